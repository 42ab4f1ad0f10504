"""Run config does what it says, or is an error; and what it makes does not pass for what the settings say."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from onoff_core.store import Store
from tests.platform.conftest import CHAIN, Platform

KEY, NAMES = "arithmetic|tiny", ("arithmetic", "tiny")


@pytest.fixture
def made(platform: Callable[..., Platform]) -> Platform:
    return platform(datasets={"arithmetic": {"num_examples": 3}})


def configured(platform: Platform, asset: str = "samples", **config: Any) -> Any:
    """A run of the whole chain with this config."""
    job = platform.defs.resolve_job_def("grid")
    return job.execute_in_process(
        instance=platform.instance, partition_key=KEY, run_config={"ops": {asset: {"config": config}}}
    )


def rows(platform: Platform, asset: str) -> int:
    return int(Store(platform.study.store_path).require(asset, NAMES).read().num_rows)


@pytest.mark.parametrize(
    ("config", "responses"), [({"num_samples": 1}, 3), ({"limit": 2}, 6), ({"limit": 1, "num_samples": 4}, 4)]
)
def test_a_run_makes_what_its_config_says(made: Platform, config: dict[str, int], responses: int) -> None:
    """All checks hold, everything reads stale beside the settings, and a run without config puts things right."""
    result = configured(made, **config)
    assert result.success
    blocking = [one.check_name for one in result.get_asset_check_evaluations() if not one.passed and one.blocking]
    assert blocking == []
    assert rows(made, "samples") == rows(made, "rewards") == responses
    assert made.ui_status() == {KEY: dict.fromkeys(CHAIN, "stale")}
    assert made.requested() == [KEY]
    made.materialize(KEY)
    assert rows(made, "samples") == 9
    assert made.ui_status() == {KEY: dict.fromkeys(CHAIN, "fresh")}
    assert made.requested() == []


def test_a_limit_leaves_the_data_sets_problems_to_the_other_models(made: Platform) -> None:
    made.materialize(KEY)
    before = Store(made.study.store_path).require("problems", ("arithmetic",)).fingerprint
    configured(made, limit=1)
    assert Store(made.study.store_path).require("problems", ("arithmetic",)).fingerprint == before
    versions = made.instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey("problems"), dg.DagsterEventType.ASSET_OBSERVATION, ["dagster/data_version"]
    )
    assert versions["arithmetic"]["dagster/data_version"] == before


@pytest.mark.parametrize("config", [{"limit": 99}, {"limit": 3}, {"num_samples": 3}, {}])
def test_config_that_says_what_the_settings_say_makes_nothing_stale(made: Platform, config: dict[str, int]) -> None:
    configured(made, **config)
    assert made.ui_status() == {KEY: dict.fromkeys(CHAIN, "fresh")}
    assert made.requested() == []


@pytest.mark.parametrize("asset", CHAIN)
def test_force_makes_again_what_is_there(made: Platform, asset: str) -> None:
    made.materialize(KEY)
    again = configured(made, asset, force=True)
    computed = {
        event.step_key: event.materialization.metadata["computed now"].value
        for event in again.get_asset_materialization_events()
    }
    assert computed == {one: one == asset for one in CHAIN}
    assert made.ui_status() == {KEY: dict.fromkeys(CHAIN, "fresh")}


def test_a_retry_of_a_forced_run_goes_on_from_what_is_written(made: Platform) -> None:
    made.materialize(KEY)
    job = made.defs.resolve_job_def("grid")
    retried = job.execute_in_process(
        instance=made.instance, partition_key=KEY, tags={"dagster/retry_number": "1"},
        run_config={"ops": {"samples": {"config": {"force": True}}}},
    )  # fmt: skip
    [event] = retried.asset_materializations_for_node("samples")
    assert event.metadata["computed now"].value is False


@pytest.mark.parametrize(
    ("asset", "config"),
    [
        ("samples", {"num_sample": 4}),
        ("samples", {"temperature": 0.5}),
        ("rewards", {"num_samples": 4}),
        ("token_distributions", {"limit": 4}),
        ("samples_checks", {"limit": 4}),
    ],
)
def test_config_that_nobody_heeds_is_an_error(made: Platform, asset: str, config: dict[str, Any]) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(config))):
        configured(made, asset, **config)


@pytest.mark.parametrize("config", [{"limit": 0}, {"num_samples": -1}])
def test_an_impossible_value_is_an_error(made: Platform, config: dict[str, int]) -> None:
    with pytest.raises(dg.DagsterError) as raised:
        configured(made, **config)
    assert f"ops.samples.config: {next(iter(config))}: Input should be greater than" in str(raised.value.__cause__)


def test_the_leaderboard_takes_none(made: Platform) -> None:
    job = made._job_of(("leaderboard",))
    with pytest.raises(dg.DagsterInvalidConfigError):
        job.execute_in_process(instance=made.instance, run_config={"ops": {"leaderboard": {"config": {"force": True}}}})
