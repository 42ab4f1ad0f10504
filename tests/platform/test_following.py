"""Rewards, statistics and the leaderboard follow samples: nothing is lost between two ticks, nothing is made twice."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from onoff_assets.partition_states import about_to_be_retried
from tests.conftest import write_study
from tests.platform.conftest import Platform, at

ONE, TWO = "one|tiny", "two|tiny"
DATASETS = {name: {"source": "arithmetic", "num_examples": 2} for name in ("one", "two")}
FOLLOWING = ("rewards", "statistics", "leaderboard")


@dataclass
class Ticks:
    """The sensor's ticks, one after the other."""

    platform: Platform
    cursor: Any = field(default=None)

    def tick(self) -> dict[str, set[str | None]]:
        """asset -> the partitions requested, where there are any."""
        found = dg.evaluate_automation_conditions(self.platform.defs, self.platform.instance, cursor=self.cursor)
        self.cursor = found.cursor
        requested = {asset: set(found.get_requested_partitions(dg.AssetKey(asset))) for asset in FOLLOWING}
        return {asset: keys for asset, keys in requested.items() if keys}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Two data sets; the chain of the first is made, and the leaderboard is not. Copied for each test."""
    folder = tmp_path_factory.mktemp("following")
    write_study(folder, tiny_folder, datasets=DATASETS)
    with at(folder) as one:
        one.materialize(ONE)
    return folder


@pytest.fixture
def made(template: Path, tmp_path: Path) -> Iterator[Platform]:
    with at(shutil.copytree(template, tmp_path / "made")) as copied:
        yield copied


def rows(result: Any) -> str:
    [event] = result.asset_materializations_for_node("leaderboard")
    return str(event.metadata["leaderboard"].value)


def a_run(platform: Platform, assets: tuple[str, ...], key: str | None, **about: Any) -> dg.DagsterRun:
    """A run of some assets that has been made and does nothing."""
    job = platform._job_of(assets)
    dataset, model = key.split("|") if key else ("", "")
    tags = {"dagster/partition": key, "dagster/partition/dataset": dataset, "dagster/partition/model": model}
    return platform.instance.create_run_for_job(
        job, tags={**(tags if key else {}), **about.pop("tags", {})},
        asset_selection=frozenset(dg.AssetKey(asset) for asset in assets), **about,
    )  # fmt: skip


def test_the_leaderboard_is_made_when_statistics_change_and_not_else(made: Platform) -> None:
    ticks = Ticks(made)
    assert ticks.tick() == {"leaderboard": {None}}
    assert "two" not in rows(made.leaderboard())
    assert ticks.tick() == {}
    made.materialize(ONE)  # all is there already
    assert ticks.tick() == {}
    made.materialize(TWO)
    assert ticks.tick() == {"leaderboard": {None}}
    assert "two" in rows(made.leaderboard())
    assert ticks.tick() == {}


def test_statistics_made_between_a_request_and_the_next_tick_are_not_lost(made: Platform) -> None:
    """The leaderboard is requested for the first row and made; the second row comes before the sensor looks again."""
    ticks = Ticks(made)
    assert ticks.tick() == {"leaderboard": {None}}
    made.leaderboard()
    made.materialize(TWO)
    assert ticks.tick() == {"leaderboard": {None}}


def test_statistics_made_while_the_leaderboard_is_made_are_not_lost(
    made: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that comes after the leaderboard was read, and before it is recorded as made, asks for another one."""
    import onoff_core.grid.leaderboard as module

    real = module.comparisons

    def late(store: Any) -> Any:
        monkeypatch.setattr(module, "comparisons", real)
        made.materialize(TWO)
        return real(store)

    ticks = Ticks(made)
    monkeypatch.setattr(module, "comparisons", late)
    assert ticks.tick() == {"leaderboard": {None}}
    assert "two" not in rows(made.leaderboard())
    assert ticks.tick() == {"leaderboard": {None}}
    assert "two" in rows(made.leaderboard())
    assert ticks.tick() == {}


def test_rewards_and_statistics_follow_new_samples_together(made: Platform) -> None:
    made.leaderboard()
    ticks = Ticks(made)
    assert ticks.tick() == {}
    made.change(lambda content: content["sampling"].update(seed=8))
    assert ticks.tick() == {}, "a changed setting is the schedule's matter"
    made.materialize(ONE, "samples")
    assert ticks.tick() == {"rewards": {ONE}, "statistics": {ONE}}
    made.materialize(ONE, "rewards")
    assert ticks.tick() == {"statistics": {ONE}}
    made.materialize(ONE, "statistics")
    assert ticks.tick() == {"leaderboard": {None}}
    made.leaderboard()
    assert ticks.tick() == {}


def test_samples_without_rewards_are_graded(platform: Callable[..., Platform]) -> None:
    """Also when they were there before the sensor was first turned on."""
    both = platform(datasets=DATASETS)
    both.materialize(TWO, "samples")
    assert Ticks(both).tick() == {"rewards": {TWO}, "statistics": {TWO}}


@pytest.mark.parametrize(
    ("tags", "retry", "requested"),
    [
        ({"dagster/will_retry": "true"}, None, False),  # the retry is not made yet
        ({"dagster/will_retry": "true"}, dg.DagsterRunStatus.NOT_STARTED, False),
        ({"dagster/will_retry": "true"}, dg.DagsterRunStatus.FAILURE, True),
        ({"dagster/will_retry": "false"}, None, True),
    ],
)
def test_what_is_about_to_be_retried_is_left_to_its_retry(
    made: Platform, tags: dict[str, str], retry: dg.DagsterRunStatus | None, requested: bool
) -> None:
    """A run that died after its samples, and was not retried yet when the sensor looked."""
    made.leaderboard()
    made.materialize(TWO, "samples")
    if retry is not None:
        tags = {**tags, "dagster/auto_retry_run_id": a_run(made, ("statistics",), None, status=retry).run_id}
    a_run(made, ("rewards", "statistics"), TWO, status=dg.DagsterRunStatus.FAILURE, tags=tags)
    assert Ticks(made).tick() == ({"rewards": {TWO}, "statistics": {TWO}} if requested else {})


@pytest.mark.parametrize("status", [BulkActionStatus.COMPLETED, BulkActionStatus.CANCELED, BulkActionStatus.REQUESTED])
def test_a_run_of_a_backfill_that_is_over_is_not_about_to_be_retried(made: Platform, status: BulkActionStatus) -> None:
    """Dagster marks it for a retry and makes none; while the backfill goes on, it makes one."""
    backfill = PartitionBackfill("b", status, from_failure=False, tags={}, backfill_timestamp=0.0)
    made.instance.add_backfill(backfill)
    for backfill_id in ("b", "deleted"):
        tags = {"dagster/will_retry": "true", "dagster/backfill": backfill_id}
        a_run(made, ("samples",), TWO, status=dg.DagsterRunStatus.FAILURE, tags=tags)
    coming = {run.tags["dagster/backfill"] for run in about_to_be_retried(made.instance)}
    assert coming == ({"b"} if status is BulkActionStatus.REQUESTED else set())


def test_a_leaderboard_that_is_about_to_be_retried_is_left_to_its_retry(made: Platform) -> None:
    tags = {"dagster/will_retry": "true"}
    a_run(made, ("leaderboard",), None, status=dg.DagsterRunStatus.FAILURE, tags=tags)
    assert Ticks(made).tick() == {}


@pytest.mark.parametrize("assets", [("rewards", "statistics"), ("samples", "rewards", "statistics")])
def test_what_was_canceled_is_left_alone(made: Platform, assets: tuple[str, ...]) -> None:
    """Until an input changes, or someone asks for it."""
    made.leaderboard()
    made.materialize(TWO, "samples")
    a_run(made, assets, TWO, status=dg.DagsterRunStatus.CANCELED)
    assert Ticks(made).tick() == {}
    a_run(made, assets, TWO, status=dg.DagsterRunStatus.FAILURE, tags={"dagster/will_retry": "false"})
    assert Ticks(made).tick() == {"rewards": {TWO}, "statistics": {TWO}}


def test_a_canceled_leaderboard_is_left_until_a_row_changes(made: Platform) -> None:
    a_run(made, ("leaderboard",), None, status=dg.DagsterRunStatus.CANCELED)
    assert Ticks(made).tick() == {}
    made.materialize(TWO)
    assert Ticks(made).tick() == {"leaderboard": {None}}


def test_what_is_in_progress_is_left_alone(made: Platform) -> None:
    made.leaderboard()
    made.materialize(TWO, "samples")
    a_run(made, ("rewards", "statistics"), TWO, status=dg.DagsterRunStatus.STARTED)
    assert Ticks(made).tick() == {}


def test_what_fails_is_requested_until_it_has_failed_too_often(made: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """max_failures is 2: three tries, then a person's matter, or that of other inputs."""
    import onoff_core.grid.leaderboard as module

    def broken(store: Any) -> Any:
        raise OSError("no such catalog")

    ticks = Ticks(made)
    with monkeypatch.context() as patch:
        patch.setattr(module, "comparisons", broken)
        for _ in range(3):
            assert ticks.tick() == {"leaderboard": {None}}
            assert not made.leaderboard(raises=False).success
        assert ticks.tick() == {}
    made.materialize(TWO)
    assert ticks.tick() == {"leaderboard": {None}}
