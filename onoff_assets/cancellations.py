"""A run that a person stopped stays stopped until one of its inputs changes, or someone asks for it again."""

from collections.abc import Mapping
from typing import TypeVar

import dagster as dg

from onoff_assets import tags

Key = TypeVar("Key", str, str | None)  # a partition's key; None stands for the leaderboard


def canceled(instance: dg.DagsterInstance, inputs: Mapping[Key, str], asset: str | None = None) -> set[Key]:
    """Those of the keys whose last run (of this asset, if one is named) was canceled with the inputs it has now.

    `inputs`: the version of the inputs of each. A run that was canceled in the queue may not name its inputs' version;
    it is marked with the present one.
    """
    newest: dict[str | None, dg.RunRecord] = {}
    for record in _records(instance, inputs, [dg.DagsterRunStatus.CANCELED]):
        if _covers(record.dagster_run, asset) and not _was_dagsters_doing(instance, record.dagster_run):
            newest.setdefault(record.dagster_run.tags.get(tags.PARTITION), record)
    found = set()
    for key, version in inputs.items():
        record_of_key = newest.get(key)
        if record_of_key is not None and _is_the_last_word(instance, record_of_key, key, version, asset):
            found.add(key)
    return found


def _records(
    instance: dg.DagsterInstance, inputs: Mapping[Key, str], statuses: list[dg.DagsterRunStatus]
) -> list[dg.RunRecord]:
    """The runs of these keys, the newest first."""
    keys = [key for key in inputs if key is not None]
    if keys:
        return list(instance.get_run_records(dg.RunsFilter(statuses=statuses, tags={tags.PARTITION: keys})))
    records = instance.get_run_records(dg.RunsFilter(statuses=statuses))
    return [record for record in records if inputs and tags.PARTITION not in record.dagster_run.tags]


def _is_the_last_word(
    instance: dg.DagsterInstance, record: dg.RunRecord, key: str | None, version: str, asset: str | None
) -> bool:
    run = record.dagster_run
    later = dg.RunsFilter(created_after=record.create_timestamp, tags={} if key is None else {tags.PARTITION: key})
    for one in instance.get_runs(later):
        if one.tags.get(tags.PARTITION) == key and one.run_id != run.run_id and _covers(one, asset):
            return False
    if tags.INPUTS not in run.tags:
        instance.add_run_tags(run.run_id, {tags.INPUTS: version})
        return True
    return run.tags[tags.INPUTS] == version


def _covers(run: dg.DagsterRun, asset: str | None) -> bool:
    if asset is None:
        return True
    if not run.asset_selection:
        return tags.PARTITION in run.tags  # the whole job
    return dg.AssetKey(asset) in run.asset_selection


def _was_dagsters_doing(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a backfill that failed canceled the run, and no person did."""
    from dagster._core.execution.backfill import BulkActionStatus  # there is no public way

    name = run.tags.get(tags.BACKFILL)
    backfill = None if name is None else instance.get_backfill(name)
    return backfill is not None and backfill.status in (BulkActionStatus.FAILING, BulkActionStatus.FAILED)
