"""Commands that keep a store in order know that cross-scores have a reference in their name."""

from pathlib import Path

import pytest

from onoff_assets.browser.grid_rows import grid_rows
from onoff_core.cli.main import main
from onoff_core.errors import ModelError, StoreError
from onoff_core.grid.cross_scores import materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples
from onoff_core.grid.status import partition_status
from onoff_core.store import Store, connect_catalog
from onoff_core.study import Partition, load_study
from tests.conftest import MakeProject, tiny_model

NAMES = ("arithmetic", "tiny")


def project(
    make_project: MakeProject, *references: str, others: tuple[str, ...] = ("a", "b")
) -> tuple[Partition, Store]:
    models = {
        "tiny": {**tiny_model(None), "scored_by": list(references)},
        **{name: tiny_model(None) for name in others},
    }
    make_project(models=models)
    study = load_study()
    return study.partition("arithmetic|tiny"), open_store(study)


@pytest.fixture
def made(make_project: MakeProject) -> tuple[Partition, Store]:
    partition, store = project(make_project, "a", "b")
    materialize_samples(partition, store)
    materialize_cross_scores(partition, store)
    return partition, store


def state(make_project: MakeProject, *references: str, others: tuple[str, ...] = ("a", "b")) -> str:
    partition, store = project(make_project, *references, others=others)
    return partition_status(partition, None, store)["cross_scores"]


def references_of(store: Store, asset: str = "cross_scores") -> list[str]:
    return [manifest.partition[2] for manifest in store.current_manifests(asset)]


def test_a_reference_is_renamed_with_all_that_it_scored(
    made: tuple[Partition, Store], make_project: MakeProject
) -> None:
    assert main(["rename", "model", "a", "base"]) == 0
    assert references_of(made[1]) == references_of(made[1], "cross_responses") == ["b", "base"]
    assert state(make_project, "base", "b", others=("base", "b")) == "complete"
    assert main(["rename", "model", "tiny", "rl"]) == 0
    assert {manifest.partition[1] for manifest in made[1].current_manifests("cross_scores")} == {"rl"}


def test_one_that_is_not_asked_for_any_more_is_an_orphan(
    made: tuple[Partition, Store], make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    project(make_project, "a")
    assert main(["prune", "--orphans", "--yes"]) == 0
    assert "arithmetic|tiny|b" in capsys.readouterr().out
    assert references_of(made[1]) == ["a"]
    assert not (Path(made[1].root) / "cross_scores" / "arithmetic" / "tiny" / "b").exists()
    assert state(make_project, "a") == "complete"
    assert main(["verify"]) == 0


def test_rows_of_tokens_are_dropped_and_those_of_responses_stay(
    made: tuple[Partition, Store], make_project: MakeProject
) -> None:
    assert main(["prune", "--asset", "cross_scores", "--older-than", "0", "--yes"]) == 0
    assert references_of(made[1]) == []
    assert references_of(made[1], "cross_responses") == ["a", "b"]
    assert state(make_project, "a", "b") == "dropped"
    with connect_catalog(made[1]) as catalog:
        assert catalog.execute("SELECT count(*) FROM cross_scores").fetchone() == (0,)
        assert catalog.execute("SELECT count(*) FROM cross_responses").fetchone() == (2 * 12,)
    partition, store = project(make_project, "a", "b")
    materialize_cross_scores(partition, store)
    assert state(make_project, "a", "b") == "complete"
    assert main(["verify"]) == 0


def test_usage_says_by_which_reference(made: tuple[Partition, Store], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--model", "tiny"]) == 0
    printed = capsys.readouterr().out
    assert "cross_scores by a" in printed
    assert "cross_responses by b" in printed


def test_a_store_that_may_not_grow_is_asked_first(made: tuple[Partition, Store], make_project: MakeProject) -> None:
    partition, store = project(make_project, "a", "b", "c", others=("a", "b", "c"))
    store.max_bytes = 1000
    with pytest.raises(StoreError, match=r"cross_scores of arithmetic\|tiny by c may take"):
        materialize_cross_scores(partition, store)


def test_a_reference_that_is_not_there_hides_nothing_else(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {
        "tiny": {**tiny_model(None), "scored_by": ["gone"]},
        "gone": {"model_name": "./gone", "backend_specific": {"device": "cpu"}},
    }
    make_project(models=models)
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), open_store(study)
    materialize_samples(partition, store)
    states = partition_status(partition, None, store)
    assert (states["samples"], states["cross_scores"]) == ("complete", "missing")
    with pytest.raises(ModelError, match=r"\./gone"):
        materialize_cross_scores(partition, store)
    with connect_catalog(store) as catalog:
        assert catalog.execute("SELECT is_stale FROM generations WHERE asset = 'samples'").fetchall() == [(False,)]


def test_the_grid_has_a_row_a_partition_and_none_a_reference(
    made: tuple[Partition, Store], make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    project(make_project, "c", others=("a", "b", "c"))
    study = load_study()
    rows = {(row.dataset, row.model): row for row in grid_rows(made[1], study)}
    assert rows[NAMES].states["cross_scores"] == "missing"  # though others' are there
    assert "cross_scores" not in rows["arithmetic", "a"].states
    make_project(models={"a": {**tiny_model(None), "scored_by": ["b"]}, "b": tiny_model(None)})
    capsys.readouterr()
    assert main(["status", "--all"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("arithmetic")]
    assert [line[1] for line in lines] == ["a", "b", "tiny"]
    assert " ".join(lines[2]).count("not in study") == 2  # samples and cross_scores
