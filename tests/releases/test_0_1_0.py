"""A store that release 0.1.0 made (`0.1.0.tar.xz`): two partitions of the embedded model, one sampled and one imported,
with every asset. It opens, nothing in it is damaged, it is fresh but for what a raised code version makes stale on
purpose, and work goes on from it.
"""

import tarfile
from pathlib import Path

import pytest

from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.grid.problem_versions import current_problems_version
from onoff_core.grid.status import partition_status
from onoff_core.store import Store
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance
from onoff_core.store.reading import connect_catalog
from onoff_core.store.upkeep import Finding, verify
from onoff_core.study import Study, load_study
from onoff_core.tables import CODE_VERSIONS

ARCHIVE = Path(__file__).parent / "0.1.0.tar.xz"
# What a code version raised since then makes again; it is cheap, and docs/changes.md says why.
RELEASED = {"samples": "1", "rewards": "4", "statistics": "2", "token_distributions": "1"}  # assets, code versions
RAISED = {name for name, version in RELEASED.items() if CODE_VERSIONS[name] != version}
KEYS = [("arithmetic", "smollm2-135m"), ("arithmetic", "imported")]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setattr("onoff_core.backends.identity.package_version", lambda package: "0.1.2")
    monkeypatch.chdir(tmp_path)
    return load_study(tmp_path / "onoff.yaml")


@pytest.mark.parametrize("key", KEYS, ids="|".join)
def test_what_is_there_is_fresh(study: Study, key: tuple[str, str]) -> None:
    store, partition = Store(study.store_path), study.partition("|".join(key))
    version = current_problems_version("arithmetic", study.dataset("arithmetic"), study.base_dir, store)
    states = partition_status(partition, version, store)
    assert states.pop("samples") == ("imported" if key[1] == "imported" else "complete")
    stale = {asset for asset, state in states.items() if asset in RELEASED and state != "complete"}
    follows = {"statistics"} if "rewards" in RAISED else set()
    assert stale == RAISED | follows


def test_nothing_of_it_is_damaged(study: Study) -> None:
    assert [found for found in verify(Store(study.store_path)) if isinstance(found, Finding)] == []


def test_its_catalog_has_every_row(study: Study) -> None:
    with connect_catalog(Store(study.store_path)) as connection:
        for table, rows in {"problems": 2, "samples": 8, "rewards": 8, "statistics": 2, "generations": 11}.items():
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,), table
        scored, sampled = connection.execute(
            "SELECT (SELECT count(*) FROM token_distributions WHERE entropy > 0), (SELECT sum(num_tokens) FROM samples)"
        ).fetchall()[0]
        assert scored == sampled > 0


def test_how_it_was_made_is_known(study: Study) -> None:
    store = Store(study.store_path)
    sampled, imported = (SamplesProvenance.of(store.require("samples", key).manifest()) for key in KEYS)
    assert (sampled.seed, sampled.torch_dtype) == (7, "float32")
    assert sampled.sampling is not None
    assert sampled.sampling.stop_strings == ("\n\n",)
    assert (imported.imported_from, imported.sampling) == ("results.json", None)
    for key in KEYS:
        scores = ScoresProvenance.of(store.require("token_distributions", key).manifest())
        assert (scores.vocab_size, scores.top_k, scores.temperature) == (49152, 3, 1.0)


@pytest.mark.real_model
def test_work_goes_on_from_it(study: Study) -> None:
    """What is complete is kept, what is stale is made from what is there, and a lost fragment comes back as it was."""
    store, partition = Store(study.store_path), study.partition("arithmetic|smollm2-135m")
    before = store.require("token_distributions", KEYS[0])
    kept = before.read()
    (fragment,) = before.manifest().fragments
    store.files.remove(f"{before.folder}/{fragment.name}")
    said: list[str] = []
    assert not materialize_samples(partition, store, said.append).computed
    assert materialize_rewards(partition, store, said.append).computed == ("rewards" in RAISED)
    made = materialize_statistics(partition, store, said.append)
    assert made.computed == bool({"rewards", "statistics"} & RAISED)
    again = materialize_token_distributions(partition, store, said.append)
    assert again.computed
    assert again.generation.fingerprint == before.fingerprint
    now = again.generation.read()
    for column in ("problem_id", "sample_index", "position", "token_id", "topk_ids"):
        assert now[column].equals(kept[column]), column
    for column in ("logprob", "entropy"):
        difference = abs(now[column].to_numpy() - kept[column].to_numpy()).max()
        assert difference < 1e-3, column
