"""What runs by itself: the chain of a partition as a job, the nightly schedule and the sensor.

The schedule and the sensor ask the same planning function which partitions are missing or stale, and differ only in
when: at night, or a minute after something changed. Both are off until someone turns them on (`automation.enabled` in
`onoff.yaml` for the schedule, the UI for each).
"""

from collections.abc import Iterator

import dagster as dg

from onoff_assets.observing import INPUTS_TAG
from onoff_assets.study import study
from onoff_core.grid.fingerprints import ASSETS

SENSOR_SECONDS = 60

grid = dg.define_asset_job(
    "grid",
    selection=dg.AssetSelection.assets(*ASSETS),
    description="Everything of one partition, from samples to token distributions, with one model load.",
)


def request_due_partitions(
    instance: dg.DagsterInstance, asset_graph: object, log: object, tick: str | None = None
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run request for every partition that is missing or stale, as far as the limits allow; else the reason.

    A schedule has to name its requests, so that a tick which was interrupted makes none twice: `tick` tells it from
    other ticks. A sensor must not: a name asked for once would never be run again.
    """
    from onoff_assets.states import partition_states, partitions_of_backfills
    from onoff_core.grid.plan import plan
    from onoff_core.grid.problem_versions import inputs_version
    from onoff_core.store import Store

    settings = study().automation
    backfilled = partitions_of_backfills(instance, asset_graph)
    states = partition_states(instance, study(), Store(study().store_path), backfilled)
    planned = plan(states, settings.max_partitions, settings.max_failures)
    log.info(planned.sentence())  # type: ignore[attr-defined]
    for state in planned.requested:
        tags = {INPUTS_TAG: inputs_version(study().partitions[state.key])}
        yield dg.RunRequest(partition_key=state.key, tags=tags, run_key=None if tick is None else f"{state.key} {tick}")
    if not planned.requested:
        yield dg.SkipReason(planned.sentence())


@dg.schedule(
    name="nightly",
    job=grid,
    cron_schedule=study().automation.cron,
    execution_timezone=study().automation.timezone,
    default_status=(
        dg.DefaultScheduleStatus.RUNNING if study().automation.enabled else dg.DefaultScheduleStatus.STOPPED
    ),
    description="Every night: requests the partitions that are missing or stale, the oldest first.",
)
def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    assert context.repository_def is not None
    graph, tick = context.repository_def.asset_graph, context.scheduled_execution_time.isoformat()
    yield from request_due_partitions(context.instance, graph, context.log, tick)


@dg.sensor(
    name="fill_gaps",
    job=grid,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="All day: requests the partitions that are missing or stale, a minute after they became so.",
)
def fill_gaps(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    assert context.repository_def is not None
    yield from request_due_partitions(context.instance, context.repository_def.asset_graph, context.log)
