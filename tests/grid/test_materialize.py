"""Each asset of a partition on the small model: made once, made again when a setting says so, never half."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from onoff_core.errors import DatasetError, MissingInputError, ModelError, PartitionError, StoreError
from onoff_core.grid.materialize import (
    Made,
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.grid.status import partition_status
from onoff_core.grid.summary import partition_summary
from onoff_core.store import Store, connect_catalog
from onoff_core.study import Partition, load_study
from onoff_core.tables import SCHEMAS
from tests.conftest import ROOT, MakeProject

KEY = ("arithmetic", "tiny")
STEPS = {
    "samples": materialize_samples,
    "rewards": materialize_rewards,
    "statistics": materialize_statistics,
    "token_distributions": materialize_token_distributions,
}
# 3 problems a chunk: an interruption has something to keep and something left to do
CHUNKED = {
    "datasets": {"arithmetic": {"num_examples": 9}},
    "sampling": {"max_length": 3, "num_samples": 10, "batch_size": 16, "seed": 7},
}


def opened() -> tuple[Partition, Store]:
    study = load_study()
    return study.partition("arithmetic|tiny"), Store(study.store_path)


def make_all() -> dict[str, Made]:
    partition, store = opened()
    return {asset: step(partition, store) for asset, step in STEPS.items()}


def states() -> dict[str, str]:
    partition, store = opened()
    return dict(partition_status(partition, None, store))


def forbid_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object) -> None:
        raise AssertionError("a model was loaded")

    for place in (
        "drawing.open_sampler",
        "drawing.open_tokenizer",
        "scoring.open_scorer",
        "materialize.open_tokenizer",
    ):
        monkeypatch.setattr(f"onoff_core.grid.{place}", forbidden)


def test_the_whole_path_leaves_every_row(make_project: MakeProject) -> None:
    make_project()
    made = make_all()
    assert all(one.computed for one in made.values())
    assert {asset: one.manifest.num_rows for asset, one in made.items() if asset != "token_distributions"} == {
        "samples": 12,
        "rewards": 12,
        "statistics": 1,
    }
    samples = made["samples"].generation.read()
    assert samples.schema.names == SCHEMAS["samples"].names
    rows = samples.to_pylist()
    assert [(row["problem_id"], row["sample_index"]) for row in rows] == [
        (f"test-{problem}", sample) for problem in range(4) for sample in range(3)
    ]
    for row in rows:
        assert row["num_tokens"] == len(row["token_ids"]) == len(row["token_logprobs"]) <= 12
        assert row["finish_reason"] == "stop" or (row["finish_reason"], row["num_tokens"]) == ("length", 12)
        assert all(logprob < 0 for logprob in row["token_logprobs"])
    assert made["token_distributions"].manifest.num_rows == sum(row["num_tokens"] for row in rows)
    assert set(states().values()) == {"complete"}
    _, store = opened()
    summary = partition_summary(store, KEY)
    assert (summary.num_problems, summary.num_samples) == (4, 12)
    assert summary.mean_num_tokens == pytest.approx(sum(row["num_tokens"] for row in rows) / 12)
    assert summary.mean_entropy is not None
    assert 0 < summary.mean_entropy < 6


def test_the_catalog_answers_in_sql(make_project: MakeProject) -> None:
    make_project()
    make_all()
    _, store = opened()
    with connect_catalog(store) as connection:
        joined = connection.execute(
            "SELECT count(*), count(DISTINCT problem_id) FROM samples JOIN rewards "
            "USING (dataset, model, problem_id, sample_index) JOIN problems USING (dataset, problem_id)"
        ).fetchone()
    assert joined == (12, 4)


def test_a_second_call_computes_nothing_and_loads_no_model(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project()
    first = make_all()
    forbid_models(monkeypatch)
    said: list[str] = []
    partition, store = opened()
    for asset, step in STEPS.items():
        again = step(partition, store, said.append)
        assert not again.computed
        assert again.manifest == first[asset].manifest
    assert said[0] == "samples of arithmetic|tiny is complete under these settings; nothing to do"


def test_one_model_is_loaded_once_for_sampling_and_scoring(
    make_torch_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onoff_core.backends.huggingface import loading

    loading.release_model()
    loads, plain = [], loading._load

    def counted(*args: Any) -> Any:
        loads.append(args)
        return plain(*args)

    monkeypatch.setattr(loading, "_load", counted)
    make_torch_project()
    make_all()
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("change", "made_again"),
    [
        ({"sampling": {"max_length": 12, "num_samples": 3, "seed": 8}}, set(STEPS)),
        ({"task": {"template_type": "simple"}}, set(STEPS)),
        ({"datasets": {"arithmetic": {"num_examples": 5}}}, set(STEPS)),
        ({"distribution": {"top_k": 6}}, {"token_distributions"}),
        ({"distribution": {"top_k": 5, "use_logits": True}}, set()),  # a matter of the export
        ({"sampling": {"max_length": 12, "num_samples": 3, "seed": 7, "batch_size": 2}}, set()),  # speed, not content
    ],
)
def test_a_changed_setting_makes_a_new_generation_of_what_it_decides(
    make_project: MakeProject, change: dict[str, Any], made_again: set[str]
) -> None:
    make_project()
    before = make_all()
    make_project(**change)
    after = make_all()
    assert {asset for asset, made in after.items() if made.computed} == made_again
    for asset in made_again:
        assert after[asset].generation.fingerprint != before[asset].generation.fingerprint
        assert before[asset].generation.is_complete  # the old one stays until pruned
    make_project()
    assert not any(made.computed for made in make_all().values())  # and is current again when the setting is


def test_status_says_stale_partial_and_missing(make_project: MakeProject) -> None:
    make_project()
    assert set(states().values()) == {"missing"}
    partition, store = opened()
    materialize_samples(partition, store)
    assert states() == {
        "samples": "complete",
        "rewards": "missing",
        "statistics": "missing",
        "token_distributions": "missing",
    }
    make_all()
    make_project(distribution={"top_k": 3})
    assert states() == {
        "samples": "complete",
        "rewards": "complete",
        "statistics": "complete",
        "token_distributions": "stale",
    }


@pytest.mark.parametrize("asset", ["rewards", "statistics", "token_distributions"])
def test_an_asset_before_what_it_is_made_from_says_what_to_run(make_project: MakeProject, asset: str) -> None:
    make_project()
    partition, store = opened()
    wanted = "rewards" if asset == "statistics" else "samples"
    with pytest.raises(MissingInputError, match=rf"{wanted} of arithmetic\|tiny is not there yet.*--select {wanted}"):
        STEPS[asset](partition, store)


def test_a_null_seed_is_drawn_and_recorded(make_project: MakeProject) -> None:
    make_project(sampling={"max_length": 4, "num_samples": 2, "seed": None})
    partition, store = opened()
    made = materialize_samples(partition, store)
    assert isinstance(made.manifest.facts["seed"], int)
    assert made.manifest.settings["sampling"]["seed"] is None
    assert not materialize_samples(partition, store).computed


KILLED = """
import os, signal, sys
from onoff_core.grid.materialize import materialize_{asset} as materialize
from onoff_core.store import Store
from onoff_core.store import generation
from onoff_core.study import load_study

plain, written = generation.write_parquet, []

def killed(row_groups, schema, place, *rest):
    rows = plain(row_groups, schema, place, *rest)
    written.append(place)
    if len(written) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)  # the file is full of rows, and not yet under its name
    return rows

generation.write_parquet = killed
study = load_study()
materialize(study.partition("arithmetic|tiny"), Store(study.store_path))
"""


def run_until_killed(folder: Path, asset: str, after: int) -> None:
    script = KILLED.format(asset=asset, after=after)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_killed_while_writing_leaves_nothing_that_reads_as_complete(make_project: MakeProject) -> None:
    folder = make_project(**CHUNKED)
    run_until_killed(folder, "samples", after=4)  # problems, vocabulary, the first chunk, then in the second
    partition, store = opened()
    assert store.current("samples", KEY) is None
    with pytest.raises(MissingInputError):
        materialize_rewards(partition, store)
    assert states()["samples"] in {"partial", "missing"}
    said: list[str] = []
    made = materialize_samples(partition, store, said.append)
    assert "resuming: 1 of 3 chunks there" in said
    assert made.manifest.num_rows == 90
    interrupted = made.generation.read()

    other = folder / "other"
    uninterrupted = materialize_samples(partition, Store(str(other))).generation.read()
    assert interrupted.drop_columns("token_logprobs") == uninterrupted.drop_columns("token_logprobs")


def test_killed_while_scoring_goes_on_from_there(make_project: MakeProject) -> None:
    folder = make_project(**CHUNKED)
    partition, store = opened()
    materialize_samples(partition, store)
    run_until_killed(folder, "token_distributions", after=3)
    assert store.current("token_distributions", KEY) is None
    assert states()["token_distributions"] == "partial"
    said: list[str] = []
    made = materialize_token_distributions(partition, store, said.append)
    assert "resuming: 2 of 3 chunks there" in said
    samples = store.require("samples", KEY).read()
    assert made.manifest.num_rows == sum(samples["num_tokens"].to_pylist())


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(make_project: MakeProject) -> None:
    """The system refuses to let a file grow, as a full disk does."""
    resource = pytest.importorskip("resource")
    make_project(**CHUNKED)
    partition, store = opened()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(StoreError, match=r"cannot be written \(.*nothing of it was kept"):
            materialize_samples(partition, store, lambda line: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(Path(store.root).rglob("manifest.json"))
    assert materialize_samples(partition, store).manifest.num_rows == 90


def test_a_store_that_cannot_be_written_says_so(make_project: MakeProject) -> None:
    folder = make_project(store={"path": "file/store"})
    (folder / "file").write_text("a file where a folder should be")
    partition, store = opened()
    with pytest.raises(StoreError, match=r"file/store.*cannot be written"):
        materialize_samples(partition, store)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store_says_so(make_project: MakeProject) -> None:
    folder = make_project()
    (folder / "store").mkdir(mode=0o555)
    partition, store = opened()
    with pytest.raises(StoreError, match="cannot be written"):
        materialize_samples(partition, store)


@pytest.mark.parametrize("damage", ["cut", "scribbled", "emptied"])
def test_a_damaged_parquet_is_named_and_nothing_is_made_of_it(make_project: MakeProject, damage: str) -> None:
    make_project()
    partition, store = opened()
    made = materialize_samples(partition, store)
    (fragment,) = (Path(store.root) / made.generation.folder).glob("*.parquet")
    content = fragment.read_bytes()
    changed = {"cut": content[:-200], "scribbled": b"\xff" * len(content), "emptied": b""}[damage]
    fragment.write_bytes(changed)
    for step in (materialize_rewards, materialize_token_distributions):
        with pytest.raises(StoreError, match=rf"{fragment.name}.*damaged"):
            step(partition, store)
    assert store.current("rewards", KEY) is None


def test_a_partition_that_is_not_in_the_grid(make_project: MakeProject) -> None:
    make_project()
    with pytest.raises(PartitionError, match="has no model 'tinny'; did you mean 'tiny'"):
        load_study().partition("arithmetic|tinny")


def test_a_data_set_or_model_that_fails_leaves_no_generation(make_project: MakeProject) -> None:
    folder = make_project(datasets={"arithmetic": {"path": "gone.jsonl"}})
    partition, store = opened()
    with pytest.raises(DatasetError, match=r"gone\.jsonl: no such file"):
        materialize_samples(partition, store)
    (folder / "empty").mkdir()
    make_project(models={"tiny": {"model_name": "./empty", "backend_specific": {"device": "cpu"}}})
    partition, store = opened()
    with pytest.raises(ModelError, match=r"models\.tiny: .*cannot be loaded"):
        materialize_samples(partition, store)
    assert store.current("samples", KEY) is None


def test_one_row_group_a_response(make_project: MakeProject) -> None:
    """So that a reader fetches one response without the others."""
    make_project()
    made = make_all()["token_distributions"]
    (fragment,) = (Path(made.generation.files.root) / made.generation.folder).glob("*.parquet")
    assert pq.ParquetFile(fragment).num_row_groups == 12


def test_what_it_was_made_from_is_there_at_its_end(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store was removed before the first fragment: its problems and vocabulary are gone with it."""
    from onoff_core.grid import materialize

    make_project()
    partition, store = opened()
    sample = materialize._sample

    def remove_then_sample(*given: Any) -> Any:
        shutil.rmtree(store.root)
        return sample(*given)

    monkeypatch.setattr(materialize, "_sample", remove_then_sample)
    with pytest.raises(StoreError, match=r"the problems that it was made from is gone .*; was the store removed"):
        materialize_samples(partition, store)
    monkeypatch.undo()
    monkeypatch.chdir(Path(store.root).parent)
    shutil.rmtree(Path(store.root) / "vocabulary")
    make_all()
    assert store.require("vocabulary", ("tiny",)).read().num_rows > 0
