"""The leaderboard: order, and two models of a data set compared over the problems both have."""

from pathlib import Path

import dagster as dg
import pytest

from onoff_core.grid.leaderboard import comparisons, leaderboard_rows
from onoff_core.grid.materialize import materialize_rewards, materialize_samples, materialize_statistics
from onoff_core.statistics import paired_difference
from onoff_core.store import Store
from onoff_core.study import Study, load_study
from tests.conftest import MakeProject


@pytest.fixture
def graded(make_project: MakeProject, tiny_folder: Path) -> tuple[Study, Store]:
    """Two models (the same weights, another seed) on one data set, sampled and graded."""
    model = {"model_name": str(tiny_folder), "backend_specific": {"device": "cpu"}}
    make_project(models={"a": model, "b": {**model, "sampling": {"seed": 8}}})
    study = load_study()
    store = Store(study.store_path)
    for partition in study.partitions.values():
        for materialize in (materialize_samples, materialize_rewards, materialize_statistics):
            materialize(partition, store)
    return study, store


def test_rows_and_pairs(graded: tuple[Study, Store]) -> None:
    _, store = graded
    rows = leaderboard_rows(store)
    assert [(row.dataset, row.num_samples) for row in rows] == [("arithmetic", 12), ("arithmetic", 12)]
    assert all(row.other_problems != row.same_problems and None not in row.same_problems for row in rows)
    [pair] = comparisons(store)
    assert {pair.first, pair.second} == {"a", "b"}
    assert pair.paired.num_problems == 4
    means = {}
    for model in ("a", "b"):
        rows = store.require("rewards", ("arithmetic", model)).read().to_pylist()
        ids = {row["problem_id"] for row in rows}
        means[model] = {i: sum(r["reward"] for r in rows if r["problem_id"] == i) / 3 for i in ids}
    assert pair.paired == paired_difference(means[pair.first], means[pair.second])
    assert pair.paired.difference >= 0


def test_the_asset_shows_them(graded: tuple[Study, Store]) -> None:
    from onoff_assets.assets import build_assets

    study, _ = graded
    result = dg.materialize([build_assets(study).leaderboard])
    [event] = result.asset_materializations_for_node("leaderboard")
    pairs, rows = (event.metadata[name].value.splitlines() for name in ("paired differences", "leaderboard"))
    assert (len(pairs), len(rows)) == (3, 4)
    for question in ("other problems like these", "these problems drawn again"):
        assert question in pairs[0]
        assert question in rows[0]
