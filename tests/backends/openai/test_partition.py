"""A partition through servers: sampled there, scored here, resumed after a server's death; no address decides it."""

import json
from pathlib import Path
from typing import Any

import pytest

from onoff_core.checks.counting import count_distributions
from onoff_core.checks.token_distributions import scorer_agrees_with_sampler
from onoff_core.errors import ModelError
from onoff_core.grid.fingerprints import distribution_settings, sampling_settings
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import Store
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import Partition, load_study
from tests.backends.openai.server import KEY, serving
from tests.conftest import MakeProject

SECTIONS: dict[str, Any] = {
    "datasets": {"arithmetic": {"num_examples": 12}},
    "sampling": {"max_length": 12, "num_samples": 8, "temperature": 0.7, "seed": 7},  # three chunks
}


def model(folder: Path, *urls: str, **options: Any) -> dict[str, Any]:
    specific = {"endpoints": list(urls), "served_model_name": "tiny", "max_concurrency": 4, "device": "cpu", **options}
    return {"tiny": {"backend_type": "openai", "model_name": str(folder), "backend_specific": specific}}


def partition() -> Partition:
    return load_study().partition("arithmetic|tiny")


def test_a_server_dies_and_another_goes_on(
    make_torch_project: MakeProject, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with serving(tiny_folder, after=50) as dying, serving(tiny_folder, key=KEY, version="1.2") as other:
        folder = make_torch_project(models=model(tiny_folder, dying.url), **SECTIONS)
        store = Store(str(folder / "store"))
        with pytest.raises(ModelError, match="no server answers"):
            materialize_samples(partition(), store)
        kept = {path.name for path in folder.glob("store/samples/**/*.parquet")}
        assert 1 <= len(kept) < 3
        make_torch_project(models=model(tiny_folder, other.url, api_key_env="MY_KEY"), **SECTIONS)
        said: list[str] = []
        made = materialize_samples(partition(), store, said.append)
        assert f"resuming: {len(kept)} of 3 chunks there" in said
        whole = materialize_samples(partition(), Store(str(folder / "whole")))
    assert made.generation.fingerprint == whole.generation.fingerprint
    left, right = made.generation.read(), whole.generation.read()
    assert left.drop_columns("token_logprobs") == right.drop_columns("token_logprobs")
    how = SamplesProvenance.of(made.manifest)
    assert (how.engine, how.backend_type, how.torch_dtype, how.ids_from_text) == ("vllm 1.2", "openai", None, False)
    scored = materialize_token_distributions(partition(), store)
    evidence = scorer_agrees_with_sampler(count_distributions(made.generation, scored.generation))
    assert evidence.holds
    assert evidence.facts["tokens compared"] > 100
    written = [path.read_text() for path in folder.rglob("*.json")]
    assert not any(KEY in text or other.url in text for text in written)


def test_no_address_and_no_key_decides_a_fingerprint(make_torch_project: MakeProject, tiny_folder: Path) -> None:
    make_torch_project(models=model(tiny_folder, "http://a:1/v1"))
    one = sampling_settings(partition())
    changes: dict[str, Any] = {"api_key_env": "K", "max_concurrency": 9, "require": [], "num_process": 2}
    make_torch_project(models=model(tiny_folder, "http://b:2/v1", "http://c:3/v1", **changes))
    assert sampling_settings(partition()) == one
    assert one["model"]["engine"] == "vllm"
    make_torch_project(models=model(tiny_folder, "http://a:1/v1", engine="sglang"))
    assert sampling_settings(partition()) != one
    assert "a:1" not in json.dumps(one)


def test_text_without_ids_is_graded_and_never_scored(make_torch_project: MakeProject, tiny_folder: Path) -> None:
    with serving(tiny_folder, strict=True) as server:
        folder = make_torch_project(models=model(tiny_folder, server.url, engine="other"), **SECTIONS)
        store = Store(str(folder / "store"))
        made = materialize_samples(partition(), store)
    assert made.manifest.facts["ids"] == "from text"
    assert materialize_rewards(partition(), store).manifest.num_rows == 96
    assert materialize_statistics(partition(), store).computed
    with pytest.raises(ModelError, match="no token ids"):
        materialize_token_distributions(partition(), store)


def test_another_engine_scores_where_the_model_says_so(make_torch_project: MakeProject, tiny_folder: Path) -> None:
    with serving(tiny_folder) as server:
        entry = model(tiny_folder, server.url)
        plain = {**SECTIONS, "models": entry}
        folder = make_torch_project(**plain)
        before = distribution_settings(partition())
        store = Store(str(folder / "store"))
        made = materialize_samples(partition(), store)
    entry["tiny"]["scoring"] = {"backend_specific": {"device": "cpu", "num_process": 2}}
    make_torch_project(**plain)
    assert distribution_settings(partition()) == before
    assert not materialize_samples(partition(), store).computed
    scored = materialize_token_distributions(partition(), store)
    assert scored.manifest.facts["device"] == "2 replicas: cpu"
    assert scored.manifest.num_rows == sum(made.generation.read()["num_tokens"].to_pylist())
    entry["tiny"]["scoring"]["backend_specific"]["torch_dtype"] = "bfloat16"
    make_torch_project(**plain)
    assert distribution_settings(partition()) == {**before, "torch_dtype": "bfloat16"}
