"""Gather from the instance and the store what the planning function has to know of every partition."""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from onoff_assets import tags
from onoff_assets.backfills import Backfills, stopped_before_their_run
from onoff_assets.cancellations import Key, canceled
from onoff_assets.input_versions import latest_versions, observe, settings_versions
from onoff_core.errors import ModelError
from onoff_core.grid.asked import asked_of_any
from onoff_core.grid.plan import PartitionState
from onoff_core.grid.problem_versions import inputs_version, problems_versions
from onoff_core.grid.recorded import as_recorded
from onoff_core.grid.status import current_version, dropped_version, imported_samples, wanted_fingerprints
from onoff_core.store import Store
from onoff_core.study import Partition, Study

IN_PROGRESS = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_RETRY_IS_MADE_WITHIN = timedelta(minutes=5)


def partition_states(
    instance: dg.DagsterInstance, study: Study, store: Store, backfills: Backfills
) -> list[PartitionState]:
    """The state of every partition, in the study's order. `backfilled`: keys of backfills under way.

    Changed inputs of partitions with results are observed on the way, so that the UI agrees. Partitions in progress are
    left out: Dagster would take the tables of the run's later steps for made from the changed inputs.
    """
    versions = problems_versions(study, store)
    assets = asked_of_any(study.partitions.values())
    made = {asset: latest_versions(instance, asset, dg.DagsterEventType.ASSET_MATERIALIZATION) for asset in assets}
    running = partitions_in_progress(instance)
    observed = [
        partition
        for key, partition in study.partitions.items()
        if key not in running and any(key in made[asset] for asset in assets)
    ]
    observe(instance, {**settings_versions(observed, versions.found, store), "problems": versions.found})
    busy = running | backfills.under_way
    states = [
        PartitionState(
            key=key,
            wanted=_wanted(partition, versions.found.get(partition.dataset), store),
            made=_still_there(store, partition, {asset: made[asset][key] for asset in assets if key in made[asset]}),
            in_progress=key in busy,
        )
        for key, partition in study.partitions.items()
        # Only a person replaces imported samples.
        if imported_samples(store, (partition.dataset, partition.model)) is None
    ]
    return _with_history(instance, study, store, states, backfills)


def partitions_in_progress(instance: dg.DagsterInstance) -> set[str]:
    """The partitions with a run that is queued, running, or about to be retried."""
    runs = [*instance.get_runs(filters=dg.RunsFilter(statuses=IN_PROGRESS)), *about_to_be_retried(instance)]
    return {run.tags[tags.PARTITION] for run in runs if tags.PARTITION in run.tags}


def about_to_be_retried(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Failed runs that Dagster will try again, until the run that does so has ended.

    Until then, because a caller may have listed the runs in progress before the retry was made and ask here after it:
    it would else see neither of the two.
    """
    lately = datetime.now(UTC) - _RETRY_IS_MADE_WITHIN
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=lately)
    unmarked = "true" if instance.run_retries_enabled else "false"  # not marked yet, or never
    coming = [run for run in instance.get_runs(failed) if run.tags.get(tags.WILL_RETRY, unmarked) == "true"]
    made = [run.tags[tags.RETRY_RUN] for run in coming if tags.RETRY_RUN in run.tags]
    over = {run.run_id for run in (instance.get_runs(dg.RunsFilter(run_ids=made)) if made else ()) if run.is_finished}
    unretried = _backfills_that_retry_nothing(instance, coming)

    def is_coming(run: dg.DagsterRun) -> bool:
        if tags.RETRY_RUN in run.tags:
            return run.tags[tags.RETRY_RUN] not in over
        return run.tags.get(tags.BACKFILL) not in unretried

    return [run for run in coming if is_coming(run)]


def _backfills_that_retry_nothing(instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun]) -> set[str]:
    """The backfills of these runs that are over or gone: Dagster marks their runs for a retry and makes none."""
    from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES  # there is no public way

    ids = {run.tags[tags.BACKFILL] for run in runs if tags.BACKFILL in run.tags}
    found = {name: instance.get_backfill(name) for name in ids}
    return {name for name, one in found.items() if one is None or one.status in BULK_ACTION_TERMINAL_STATUSES}


def _wanted(partition: Partition, problems_version: str | None, store: Store) -> dict[str, str] | None:
    if problems_version is None:
        return None
    try:
        return wanted_fingerprints(as_recorded(partition, store), problems_version)
    except ModelError:  # logged when it was observed; a run of the partition fails with it
        return None


def _still_there(store: Store, partition: Partition, made: dict[str, str]) -> dict[str, str]:
    """Of what Dagster remembers, the results that are still current in the store."""
    return {
        asset: fingerprint
        for asset, fingerprint in made.items()
        if current_version(store, asset, partition) == fingerprint
        or dropped_version(store, asset, partition) == fingerprint  # on purpose, so it is not made again
    }


def _with_history(
    instance: dg.DagsterInstance, study: Study, store: Store, states: list[PartitionState], backfills: Backfills
) -> list[PartitionState]:
    """The states, those that are due with the time they were last made and the failures with their present inputs."""
    inputs = {state.key: inputs_version(study.partitions[state.key]) for state in states if state.due}
    failed = failures(instance, inputs)
    stopped = canceled(instance, inputs) | stopped_before_their_run(instance, backfills.canceled, inputs)
    return [
        dataclasses.replace(
            state,
            made_at=_made_at(store, study.partitions[state.key]),
            failures=failed[state.key],
            canceled=state.key in stopped,
        )
        if state.due
        else state
        for state in states
    ]


def failures(instance: dg.DagsterInstance, inputs: Mapping[Key, str]) -> dict[Key, int]:
    """How often each key's runs failed with these inputs."""
    counts = dict.fromkeys(inputs, 0)
    if counts:
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={tags.INPUTS: sorted(set(inputs.values()))})
        for run in instance.get_runs(filters=failed):
            made_of = (run.tags.get(tags.PARTITION), run.tags[tags.INPUTS])
            for key in [key for key, version in inputs.items() if (key, version) == made_of]:
                counts[key] += 1
    return counts


def leaderboard_made_from(instance: dg.DagsterInstance) -> str | None:
    """The version that the last leaderboard was made from; None: there is no leaderboard."""
    event = instance.get_latest_materialization_event(dg.AssetKey("leaderboard"))
    made = None if event is None else event.asset_materialization
    return None if made is None or made.tags is None else made.tags.get(tags.DATA_VERSION)


def _made_at(store: Store, partition: Partition) -> float | None:
    current = store.current("samples", (partition.dataset, partition.model))
    return None if current is None else current.manifest().completed_at
