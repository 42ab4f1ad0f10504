"""The grid at a glance: numbers, freshness and the state of each asset of every partition, in a few queries."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onoff_assets.browser.facts import Underway, underway_asset
from onoff_assets.browser.reading import Reader
from onoff_core.errors import OnoffError
from onoff_core.store import Current, Store, current_generations, reading_catalog
from onoff_core.study import Partition, Study
from onoff_core.tables import GRID_ASSETS, OPTIONAL, TABLES

Key = tuple[str, str]
Known = Mapping[tuple[str, tuple[str, ...]], Current]
Underways = Mapping[Key, tuple[Underway, ...]]


@dataclass(frozen=True)
class GridRow:
    """One partition. Its numbers are None without statistics; times are seconds since 1970: `updated`, of its last
    asset, is None without results, and `drawn`, when its responses were complete, without these.
    """

    dataset: str
    model: str
    accuracy: float | None
    low: float | None
    high: float | None
    num_samples: int | None
    updated: float | None
    drawn: float | None
    states: dict[str, str]  # asset that is asked for -> complete, imported, partial, stale or missing
    has_responses: bool  # whether complete samples are there, even if they are of former settings
    runs: dict[str, str]  # asset -> id of the Dagster run that completed it; without assets made outside Dagster


def in_order(models: Iterable[str], study: Study | None) -> list[str]:
    """Models in the study's order, then the others by name, of which numbers count as numbers (7b before 14b)."""
    known = [] if study is None else list(study.models)
    different = dict.fromkeys(models)
    first = [model for model in known if model in different]
    return first + sorted(different.keys() - set(first), key=_natural)


def _by_name(key: Key) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    return _natural(key[0]), _natural(key[1])


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def grid_rows(store: Store, study: Study | None) -> list[GridRow]:
    """Every partition of the study, in its order, and then the store's others by data set and model."""
    keys = {(key[0], key[1]) for asset in ("samples", "statistics") for key in store.partitions(asset)}
    partitions = {} if study is None else {(p.dataset, p.model): p for p in study.partitions.values()}
    known, times, runs, statistics = _read_catalog(store) if keys else ({}, {}, {}, {})
    rows = []
    for dataset, model in [*partitions, *sorted(keys - set(partitions), key=_by_name)]:
        key = (dataset, model)
        accuracy, low, high, num_samples = statistics.get(key, (None, None, None, None))
        rows.append(
            GridRow(
                dataset,
                model,
                accuracy,
                low,
                high,
                num_samples,
                *times.get(key, (None, None)),
                _states(store, key, known, partitions.get(key)),
                ("samples", key) in known,
                runs.get(key, {}),
            )
        )
    return rows


def grid_underway(reader: Reader, rows: Iterable[GridRow]) -> Underways:
    """What was begun of each partition and is not complete; without those of which nothing is.

    Only assets that are not complete are looked at, since a look is a listing of a folder; where there are no locks,
    as on S3, no missing ones either.
    """
    looked_at = ("partial", "stale", "missing") if reader.store.files.locks else ("partial", "stale")
    found = {}
    for row in rows:
        key = (row.dataset, row.model)
        assets = [asset for asset, state in row.states.items() if state in looked_at]
        looked = (
            underway_asset(reader, key, asset) for asset in assets if len(TABLES[asset].partitioned_by) == len(key)
        )
        known = tuple(one for one in looked if one is not None)
        if known:
            found[key] = known
    return found


def is_running(underway: Iterable[Underway]) -> bool:
    """Whether a process is at some of it, or may be."""
    return any(one.is_written is not False for one in underway)


def _read_catalog(
    store: Store,
) -> tuple[Known, dict[Key, tuple[float | None, float | None]], dict[Key, dict[str, str]], dict[Key, tuple[Any, ...]]]:
    """Read one snapshot: current generations; of each partition its last change and that of its samples, its Dagster
    runs, its statistics.
    """
    with reading_catalog(store, publish=False) as connection:
        known = current_generations(store, connection)
        updated = connection.execute(
            "SELECT dataset, model, epoch(max(completed_at)), "
            "epoch(max(completed_at) FILTER (WHERE asset = 'samples')) FROM generations "
            "WHERE dataset IS NOT NULL AND model IS NOT NULL GROUP BY ALL"
        ).fetchall()
        made = connection.execute(
            "SELECT dataset, model, asset, facts->>'dagster_run_id' AS run FROM generations "
            "WHERE dataset IS NOT NULL AND model IS NOT NULL AND run IS NOT NULL"
        ).fetchall()
        statistics = connection.execute(
            "SELECT dataset, model, accuracy, interval_low, interval_high, num_samples FROM statistics"
        ).fetchall()
    runs: dict[Key, dict[str, str]] = {}
    for dataset, model, asset, run in made:
        runs.setdefault((dataset, model), {})[asset] = run
    last = {(row[0], row[1]): (row[2], row[3]) for row in updated}
    return known, last, runs, {(row[0], row[1]): tuple(row[2:]) for row in statistics}


def _states(store: Store, key: Key, known: Known, partition: Partition | None) -> dict[str, str]:
    """Each asset's state by the settings. Without them it is stale if it was not made from the current generation."""
    from onoff_core.grid.status import partition_status

    states: dict[str, str] = {}
    if partition is not None:
        try:
            states = dict(partition_status(partition, None, store, known))
        except OnoffError:  # such as a model's folder that is not on this machine
            states = {}
    states = states or {
        asset: _state(key, asset, known)
        for asset in (*GRID_ASSETS, *OPTIONAL)
        if asset in GRID_ASSETS or (asset, key) in known
    }
    return {asset: _begun(store, key, asset) if state == "missing" else state for asset, state in states.items()}


def _state(key: Key, asset: str, known: Known) -> str:
    current = known.get((asset, key))
    if current is None:
        return "missing"
    followed = TABLES[asset].made_from[0]  # problems have no key of this kind, so samples are never stale here
    source = known.get((followed, key))
    if source is None or current.inputs.get(followed) == source.fingerprint:
        return "complete"
    return "stale"


def _begun(store: Store, key: Key, asset: str) -> str:
    by_reference = len(TABLES[asset].partitioned_by) > len(key)  # then the state is that of all references already
    if by_reference or not store.generations(asset, key):
        return "missing"
    return "partial" if store.dropped(asset, key) is None else "dropped"
