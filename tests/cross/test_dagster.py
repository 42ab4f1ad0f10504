"""Cross-scores as an asset: of the partitions that ask for them, stale by reference, with checks."""

from typing import Any

import dagster as dg
import pytest

from onoff_assets.assets import Assets, assets_of, checks_of
from onoff_assets.automation import grid_job
from onoff_assets.input_versions import settings_versions
from onoff_assets.partition_states import partition_states
from onoff_assets.partitions import Grid
from onoff_core.grid.judging import open_store
from onoff_core.study import load_study
from tests.conftest import MakeProject, tiny_model

KEY = "arithmetic|tiny"


def project(make_project: MakeProject, *references: str, **sections: Any) -> tuple[Grid, Assets]:
    models = {"tiny": {**tiny_model(None), "scored_by": list(references)}, "a": tiny_model(None), "b": tiny_model(None)}
    make_project(models=models, **sections)
    grid = Grid(load_study())
    return grid, assets_of(grid)


def run(grid: Grid, assets: Assets, *selected: str, key: str = KEY, instance: Any = None) -> dg.ExecuteInProcessResult:
    chosen = [getattr(assets, name) for name in selected]
    checks = [one for one in checks_of(grid, assets) if one.check_specs_by_output_name and _of(one, selected)]
    return dg.materialize([*chosen, *checks], partition_key=key, instance=instance, raise_on_error=False)


def _of(checks: dg.AssetChecksDefinition, selected: tuple[str, ...]) -> bool:
    return {key.asset_key.to_user_string() for key in checks.check_keys} <= set(selected)


def test_a_run_makes_them_after_the_samples_and_checks_them(make_project: MakeProject) -> None:
    grid, assets = project(make_project, "a", "b")
    result = run(grid, assets, "samples", "cross_scores")
    assert result.success
    (event,) = result.asset_materializations_for_node("cross_scores")
    assert {"dagster/row_count", "divergences (nats a token)", "input versions"} <= set(event.metadata)
    assert "| a | response | token | 12 |" in str(event.metadata["divergences (nats a token)"].value)
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks["cross_scores_cover_every_token"]
    assert checks["divergences_are_possible"]
    assert checks["model_agrees_with_its_sampling"]
    assert event.metadata["dagster/row_count"].value == sum(
        one.num_rows for one in open_store(grid.study).current_manifests("cross_scores")
    )


def test_a_partition_that_does_not_ask_makes_none(make_project: MakeProject) -> None:
    grid, assets = project(make_project, "a")
    other = run(grid, assets, "samples", "cross_scores", key="arithmetic|a")
    assert other.success
    assert other.asset_materializations_for_node("cross_scores") == []
    alone = run(grid, assets, "cross_scores", key="arithmetic|a")
    assert not alone.success
    said = alone.failure_data_for_node("cross_scores")
    assert said is not None
    assert "models.a.scored_by" in str(said.user_failure_data)


def test_the_night_asks_for_what_is_missing_of_them(make_project: MakeProject) -> None:
    from onoff_assets.backfills import Backfills

    grid, assets = project(make_project, "a")
    study = grid.study
    assert "cross_scores" in str(grid_job(study).selection)
    with dg.instance_for_test() as instance:
        run(grid, assets, "samples", "rewards", "statistics", "token_distributions", instance=instance)

        def due(grid: Grid) -> dict[str, tuple[str, ...]]:
            store = open_store(grid.study)
            return {one.key: one.due for one in partition_states(instance, grid.study, store, Backfills(set(), {}))}

        assert due(grid)[KEY] == ("cross_scores",)
        run(grid, assets, "cross_scores", instance=instance)
        assert due(grid)[KEY] == ()
        assert "cross_scores" not in due(grid)["arithmetic|a"]
        grid, assets = project(make_project, "a", "b")
        assert due(grid)[KEY] == ("cross_scores",)  # one reference is new
        run(grid, assets, "cross_scores", instance=instance)
        assert due(grid)[KEY] == ()


def test_settings_are_observed_of_partitions_that_ask(make_project: MakeProject) -> None:
    versions = []
    for references in (("a",), ("a", "b"), ("a",)):
        grid, _ = project(make_project, *references)
        store = open_store(grid.study)
        found = settings_versions(grid.study.partitions.values(), {"arithmetic": "0" * 16}, store)["cross_settings"]
        assert set(found) == {KEY}
        versions.append(found[KEY])
    assert versions[0] == versions[2] != versions[1]


def test_a_study_without_references_has_no_run_of_them(make_project: MakeProject) -> None:
    grid, _ = project(make_project)
    assert "cross_scores" not in str(grid_job(grid.study).selection)


@pytest.mark.parametrize("references", [(), ("a",)])
def test_status_shows_a_column_where_some_partition_asks(
    make_project: MakeProject, references: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from onoff_core.cli.main import main

    project(make_project, *references)
    assert main(["status"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()[:5]
    assert ("cross_scores" in head) == bool(references)
    assert [row.split().count("-") for row in rows if "arithmetic" in row] == [5 if references else 4, 4, 4]
