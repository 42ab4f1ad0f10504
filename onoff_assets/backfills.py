"""What Dagster's backfills mean for partitions: which they will still come to, and which a person stopped with them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph  # not public

from onoff_assets import tags
from onoff_core.tables import GRID_ASSETS, OPTIONAL

_LOOKED_AT = 50  # canceled backfills, the newest first


@dataclass(frozen=True)
class Canceled:
    """A backfill that a person canceled."""

    backfill_id: str
    ended_at: float  # seconds since 1970


@dataclass(frozen=True)
class Backfills:
    """Of the partitions of the grid, by key."""

    under_way: frozenset[str] = frozenset()  # the daemon makes their runs by and by
    canceled: Mapping[str, Canceled] = field(default_factory=dict)  # the last one that named it


def find_backfills(instance: dg.DagsterInstance, asset_graph: BaseAssetGraph) -> Backfills:
    """Those that are under way, and those that were canceled lately."""
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus  # there is no public way

    def with_status(*statuses: BulkActionStatus, limit: int | None = None) -> Iterable[Any]:
        return instance.get_backfills(filters=BulkActionsFilter(statuses=list(statuses)), limit=limit)

    under_way: set[str] = set()
    for backfill in with_status(BulkActionStatus.REQUESTED):
        under_way |= _keys(backfill, asset_graph)
    canceled: dict[str, Canceled] = {}
    for backfill in with_status(BulkActionStatus.CANCELING, BulkActionStatus.CANCELED, limit=_LOOKED_AT):
        ended = backfill.backfill_end_timestamp or backfill.backfill_timestamp
        for key in _keys(backfill, asset_graph):
            canceled.setdefault(key, Canceled(backfill.backfill_id, ended))
    return Backfills(frozenset(under_way), canceled)


def _keys(backfill: Any, asset_graph: BaseAssetGraph) -> set[str]:
    """The partitions it was asked for."""
    if not backfill.is_asset_backfill:
        return set(backfill.partition_names or ())
    if backfill.asset_backfill_data is None and backfill.serialized_asset_backfill_data is None:
        return set()
    subsets = backfill.get_asset_backfill_data(asset_graph).target_subset.partitions_subsets_by_asset_key
    found = [subset for asset, subset in subsets.items() if asset.to_user_string() in (*GRID_ASSETS, *OPTIONAL)]
    return {key for subset in found for key in subset.get_partition_keys()}


def stopped_before_their_run(
    instance: dg.DagsterInstance, canceled: Mapping[str, Canceled], inputs: Mapping[str, str]
) -> set[str]:
    """Of the keys of `inputs` those that were canceled with a backfill before it came to them, and not asked for since.

    Nothing says which inputs such a partition would have gone by, so those it has when this is first asked are kept.
    """
    found = set()
    for key, version in inputs.items():
        if key not in canceled:
            continue
        backfill = canceled[key]
        later = dg.RunsFilter(tags={tags.PARTITION: key}, created_after=datetime.fromtimestamp(backfill.ended_at, UTC))
        asked_again = bool(instance.get_runs(later, limit=1))
        if not asked_again and version == _inputs_of(instance, backfill.backfill_id, key, version):
            found.add(key)
    return found


def _inputs_of(instance: dg.DagsterInstance, backfill_id: str, key: str, now: str) -> str:
    name, storage = f"onoff/canceled/{backfill_id}/{key}", instance.daemon_cursor_storage
    known = storage.get_cursor_values({name})
    if name not in known:
        storage.set_cursor_values({name: now})
    return known.get(name, now)
