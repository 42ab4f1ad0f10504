"""The planning function, by cases; and the states it is fed, from a real instance and store."""

import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from onoff_assets.automation import request_due_partitions
from onoff_core.grid.plan import PartitionState, plan
from onoff_core.grid.problem_versions import inputs_version
from tests.platform.conftest import CHAIN, Platform

WANTED = dict.fromkeys(CHAIN, "now")


def state(key: str, **changes: object) -> PartitionState:
    values: dict[str, object] = {"key": key, "wanted": WANTED, "made": {}, **changes}
    return PartitionState(**values)  # type: ignore[arg-type]


def keys(states: list[PartitionState], max_partitions: int = 50, max_failures: int = 2) -> list[str]:
    return [one.key for one in plan(states, max_partitions, max_failures).requested]


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"made": WANTED}, False),
        ({"made": {}}, True),
        ({"made": {**WANTED, "token_distributions": "before"}}, True),
        ({"made": dict.fromkeys(CHAIN[:3], "now")}, True),
        ({"made": {}, "in_progress": True}, False),
        ({"made": {}, "failures": 2}, True),
        ({"made": {}, "failures": 3}, False),
        ({"made": {}, "canceled": True}, False),
        ({"made": {}, "wanted": None}, True),  # never made: due, whatever the data set is like
        ({"made": WANTED, "wanted": None}, False),  # made, and whether it is stale cannot be told
    ],
)
def test_what_is_requested(changes: dict[str, object], due: bool) -> None:
    assert keys([state("a|b", **changes)]) == (["a|b"] if due else [])


def test_oldest_first_and_not_more_than_the_limit() -> None:
    old = dict.fromkeys(CHAIN, "before")
    states = [
        state("late", made=old, made_at=30.0),
        state("early", made=old, made_at=10.0),
        state("never"),
        state("also never"),
        state("complete", made=WANTED),
    ]
    assert keys(states) == ["never", "also never", "early", "late"]
    limited = plan(states, 3, 2)
    assert [one.key for one in limited.requested] == ["never", "also never", "early"]
    assert (limited.left_for_later, limited.complete) == (1, 1)


def test_the_tick_says_what_it_leaves_and_why() -> None:
    planned = plan(
        [state("tired", failures=9), state("lost", made=WANTED, wanted=None), state("stopped", canceled=True)], 5, 2
    )
    assert "stopped" in planned.sentence()
    assert "tired" in planned.sentence()
    assert "lost" in planned.sentence()


def a_run(platform: Platform, key: str, status: dg.DagsterRunStatus, tags: dict[str, str]) -> None:
    dataset, model = key.split("|")
    platform.instance.create_run_for_job(
        platform.defs.resolve_job_def("grid"),
        status=status,
        tags={
            "dagster/partition": key,
            "dagster/partition/dataset": dataset,
            "dagster/partition/model": model,
            **tags,
        },
    )


def test_runs_under_way_and_failures_are_seen(platform: Callable[..., Platform]) -> None:
    """Started counts as in progress, so does a crash that will be retried; failures count only with the same inputs."""
    made = platform(datasets={name: {"source": "arithmetic", "num_examples": 2} for name in ("a", "b", "c", "d")})
    tags = {key: {"onoff/inputs": inputs_version(partition)} for key, partition in made.study.partitions.items()}
    a_run(made, "a|tiny", dg.DagsterRunStatus.STARTED, {})
    a_run(made, "b|tiny", dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "true"})
    for _ in range(3):
        a_run(made, "c|tiny", dg.DagsterRunStatus.FAILURE, tags["c|tiny"])
        a_run(made, "d|tiny", dg.DagsterRunStatus.FAILURE, {"onoff/inputs": "those of before"})
    planned = made.tick()
    assert [one.key for one in planned.requested] == ["d|tiny"]
    assert planned.in_progress == 2
    assert planned.failed_too_often == ("c|tiny",)
    made.change(lambda content: content["datasets"]["c"].update(num_examples=1))
    assert made.requested() == ["c|tiny", "d|tiny"]


CANCELED = dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("knows_its_inputs", [True, False], ids=["at work", "in the queue"])
def test_what_was_canceled_is_left_until_something_changes(
    platform: Callable[..., Platform], knows_its_inputs: bool
) -> None:
    """Whether it was canceled at work or, before it knew what it would go by, in the queue."""
    made = platform(datasets={name: {"source": "arithmetic", "num_examples": 2} for name in ("a", "b")})
    inputs = {"onoff/inputs": inputs_version(made.study.partitions["a|tiny"])}
    a_run(made, "a|tiny", CANCELED, inputs if knows_its_inputs else {})
    assert made.requested() == ["b|tiny"]
    assert made.tick().canceled == ("a|tiny",)
    made.change(lambda content: content["datasets"]["a"].update(num_examples=1))
    assert made.requested() == ["a|tiny", "b|tiny"]


def test_what_someone_asks_for_again_is_no_longer_canceled(platform: Callable[..., Platform]) -> None:
    made = platform(datasets={name: {"source": "arithmetic", "num_examples": 2} for name in ("a", "b")})
    a_run(made, "a|tiny", CANCELED, {})
    a_run(made, "b|tiny", dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "false"})
    a_run(made, "b|tiny", CANCELED, {})
    assert made.requested() == []
    a_run(made, "a|tiny", dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "false"})
    assert made.requested() == ["a|tiny"]


@pytest.mark.parametrize(("status", "asked"), [("FAILED", ["a|tiny"]), ("CANCELED", [])])
def test_what_a_failing_backfill_cancels_was_canceled_by_nobody(
    platform: Callable[..., Platform], status: str, asked: list[str]
) -> None:
    made = platform(datasets={"a": {"source": "arithmetic", "num_examples": 2}})
    made.instance.add_backfill(
        PartitionBackfill("b", BulkActionStatus[status], from_failure=False, tags={}, backfill_timestamp=0.0)
    )
    a_run(made, "a|tiny", CANCELED, {"dagster/backfill": "b"})
    assert made.requested() == asked


def test_what_a_canceled_backfill_had_not_come_to_is_left_too(platform: Callable[..., Platform]) -> None:
    """b had its run before, c is asked for after it; a is left until an input changes."""
    made = platform(datasets={name: {"source": "arithmetic", "num_examples": 2} for name in ("a", "b", "c")})
    failed = dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "false"}
    a_run(made, "b|tiny", *failed)
    made.instance.add_backfill(
        PartitionBackfill(
            "b", BulkActionStatus.CANCELED, from_failure=False, tags={}, backfill_timestamp=time.time(),
            partition_names=["a|tiny", "c|tiny"], backfill_end_timestamp=time.time(),
        )
    )  # fmt: skip
    assert made.requested() == ["b|tiny"]
    assert set(made.tick().canceled) == {"a|tiny", "c|tiny"}
    a_run(made, "c|tiny", *failed)
    assert made.requested() == ["b|tiny", "c|tiny"]
    made.change(lambda content: content["datasets"]["a"].update(num_examples=1))
    assert made.requested() == ["a|tiny", "b|tiny", "c|tiny"]


def test_the_schedule_leaves_it_to_the_sensor_where_both_are_on(platform: Callable[..., Platform]) -> None:
    """Neither sees a run that the other is about to make: both would ask for the partition."""
    made = platform()
    repository = made.defs.get_repository_def()
    context = dg.build_schedule_context(
        made.instance, scheduled_execution_time=datetime(2030, 1, 1, 2, tzinfo=UTC), repository_def=repository
    )
    nightly = repository.get_schedule_def("nightly")
    assert len(nightly.evaluate_tick(context).run_requests or []) == 1
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(InProcessCodeLocationOrigin(LoadableTargetOrigin()), "__repository__"), "fill_gaps"
    )
    made.instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
    )
    ticked = nightly.evaluate_tick(context)
    assert not ticked.run_requests
    assert "fill_gaps is on" in str(ticked.skip_message)


def test_the_schedule_and_the_sensor_request_runs_of_the_job(platform: Callable[..., Platform]) -> None:
    made = platform(
        datasets={name: {"source": "arithmetic", "num_examples": 2} for name in ("a", "b", "c")},
        automation={"cron": "30 3 * * *", "enabled": True, "max_partitions": 2},
    )
    repository = made.defs.get_repository_def()
    nightly = repository.get_schedule_def("nightly")
    assert nightly.cron_schedule == "30 3 * * *"
    assert nightly.default_status is dg.DefaultScheduleStatus.RUNNING
    fill_gaps = repository.get_sensor_def("fill_gaps")
    assert fill_gaps.default_status is dg.DefaultSensorStatus.STOPPED
    context = dg.build_schedule_context(
        made.instance, scheduled_execution_time=datetime(2030, 1, 1, 3, 30, tzinfo=UTC), repository_def=repository
    )
    ticked = nightly.evaluate_tick(context)
    assert [request.partition_key for request in ticked.run_requests] == ["a|tiny", "b|tiny"]
    sensed = fill_gaps.evaluate_tick(dg.build_sensor_context(instance=made.instance, repository_def=repository))
    assert [request.partition_key for request in sensed.run_requests] == ["a|tiny", "b|tiny"]


def test_the_schedule_is_off_unless_asked_for(platform: Callable[..., Platform]) -> None:
    nightly = platform().defs.get_repository_def().get_schedule_def("nightly")
    assert nightly.default_status is dg.DefaultScheduleStatus.STOPPED
    assert nightly.cron_schedule == "0 2 * * *"


def test_a_tick_says_what_its_partitions_take(
    platform: Callable[..., Platform], caplog: pytest.LogCaptureFixture
) -> None:
    made = platform(datasets={"arithmetic": {"num_examples": 4}, "more": {"source": "arithmetic", "num_examples": 6}})
    log = logging.getLogger("tick")

    def last_line() -> str:
        with caplog.at_level(logging.INFO, "tick"):
            list(request_due_partitions(made.study, made.instance, made.defs.get_repository_def().asset_graph, log))
        return str(caplog.messages[-1])

    assert last_line() == (
        "estimated: unknown; not known of 2: no run of tiny that made samples and token_distributions yet; no run that "
        "made rewards and statistics yet (see onoff plan)"
    )
    made.materialize("arithmetic|tiny")
    assert re.fullmatch(r"estimated: .* tokens, .* one after another, .*B of disk, up to .*B of memory", last_line())
