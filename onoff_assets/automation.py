"""What runs by itself: the chain of a partition as a job, the nightly schedule and the sensor.

The schedule and the sensor ask the same planning function which partitions are missing or stale. They differ only in
their time: at night, or a minute after something changed. Both are off until someone turns them on
(`automation.enabled` in `onoff.yaml` for the schedule, the UI for each).
"""

import logging
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph  # not public
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # not public

from onoff_assets import tags
from onoff_assets.launching import launch_tags
from onoff_assets.settings_watch import fault_sentence, read_fault
from onoff_core.grid.asked import asked_of_any
from onoff_core.study import Study

SENSOR_SECONDS = 60
Requests = Iterator[dg.RunRequest | dg.SkipReason]


def grid_job(study: Study) -> UnresolvedAssetJobDefinition:
    """The job that makes everything of one partition that the study asks for."""
    return dg.define_asset_job(
        "grid",
        selection=dg.AssetSelection.assets(*asked_of_any(study.partitions.values())),
        description="All that the study asks for of one partition, in one process and with one model load.",
    )


def request_due_partitions(
    study: Study,
    instance: dg.DagsterInstance,
    asset_graph: BaseAssetGraph,
    log: logging.Logger,
    tick: str | None = None,
) -> Requests:
    """A run request for every partition that is missing or stale, as far as the limits allow; else a reason.

    A schedule names its requests by its `tick`, so that a tick that was interrupted makes none twice. A sensor must
    not: Dagster never runs a second request of the same name.
    """
    from onoff_assets.backfills import find_backfills
    from onoff_assets.partition_states import partition_states
    from onoff_core.grid.plan import plan
    from onoff_core.grid.plan_work import estimate_line
    from onoff_core.grid.problem_versions import inputs_version
    from onoff_core.store import Store

    fault = read_fault()
    if fault is not None:
        log.error(fault_sentence(fault))
    settings, store = study.automation, Store(study.store_path)
    states = partition_states(instance, study, store, find_backfills(instance, asset_graph))
    planned = plan(states, settings.max_partitions, settings.max_failures)
    log.info(planned.sentence())
    if planned.requested:
        log.info(estimate_line([study.partitions[state.key] for state in planned.requested], store))
    for state in planned.requested:
        inputs = {tags.INPUTS: inputs_version(study.partitions[state.key])}
        key = None if tick is None else f"{state.key} {tick}"
        yield dg.RunRequest(partition_key=state.key, tags={**inputs, **launch_tags(study, state.key)}, run_key=key)
    if not planned.requested:
        yield dg.SkipReason(planned.sentence() if fault is None else f"{fault_sentence(fault)}\n{planned.sentence()}")


def nightly_schedule(study: Study, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The schedule `nightly`."""
    status = dg.DefaultScheduleStatus

    @dg.schedule(
        name="nightly",
        job=job,
        cron_schedule=study.automation.cron,
        execution_timezone=study.automation.timezone,
        default_status=status.RUNNING if study.automation.enabled else status.STOPPED,
        description="Every night: requests the partitions that are missing or stale, the oldest first.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Requests:
        assert context.repository_def is not None
        if _is_on(context.instance, "fill_gaps"):  # else both would ask for a partition before its run has begun
            yield dg.SkipReason("the sensor fill_gaps is on, and asks for all that is missing or stale")
            return
        graph, tick = context.repository_def.asset_graph, context.scheduled_execution_time.isoformat()
        yield from request_due_partitions(study, context.instance, graph, context.log, tick)

    return nightly


def _is_on(instance: dg.DagsterInstance, sensor: str) -> bool:
    """Whether a sensor that is off at first was turned on."""
    from dagster._core.definitions.run_request import InstigatorType  # there is no public way
    from dagster._core.scheduler.instigation import InstigatorStatus

    states = instance.all_instigator_state(
        instigator_type=InstigatorType.SENSOR, instigator_statuses={InstigatorStatus.RUNNING}
    )
    return any(state.instigator_name == sensor for state in states)


def fill_gaps_sensor(study: Study, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """The sensor `fill_gaps`."""

    @dg.sensor(
        name="fill_gaps",
        job=job,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="All day: requests the partitions that are missing or stale, a minute after they became so.",
    )
    def fill_gaps(context: dg.SensorEvaluationContext) -> Requests:
        assert context.repository_def is not None
        graph = context.repository_def.asset_graph
        yield from request_due_partitions(study, context.instance, graph, context.log)

    return fill_gaps
