"""The grid at a glance, from the catalog: numbers, freshness and the state of each asset of every partition."""

import json
from dataclasses import dataclass
from typing import Any

from onoff_core.store import Store, connect_catalog
from onoff_core.study import Partition, Study

ASSETS = ("samples", "rewards", "statistics", "token_distributions")
SOURCES = {"rewards": "samples", "statistics": "rewards", "token_distributions": "samples"}
Key = tuple[str, str]


@dataclass(frozen=True)
class GridRow:
    """One partition; numbers None where there are no statistics, `updated` (seconds since 1970) where nothing is."""

    dataset: str
    model: str
    accuracy: float | None
    low: float | None
    high: float | None
    num_samples: int | None
    updated: float | None
    states: dict[str, str]  # asset -> complete, stale, partial or missing


def grid_rows(store: Store, study: Study | None) -> list[GridRow]:
    """Every partition of the study and of the store, by data set and model."""
    generations, statistics = _read_catalog(store)
    keys = {key for asset in ("samples", "statistics") for key in store.partitions(asset)}
    if study is not None:
        keys |= {(partition.dataset, partition.model) for partition in study.partitions.values()}
    rows = []
    for key in sorted((k[0], k[1]) for k in keys):
        made = generations.get(key, {})
        partition = study.partitions.get("|".join(key)) if study is not None else None
        accuracy, low, high, samples = statistics.get(key, (None, None, None, None))
        updated = max((generation["completed"] for generation in made.values()), default=None)
        rows.append(GridRow(*key, accuracy, low, high, samples, updated, _states(store, key, made, partition)))
    return rows


def _read_catalog(store: Store) -> tuple[dict[Key, dict[str, dict[str, Any]]], dict[Key, tuple[Any, ...]]]:
    generations: dict[Key, dict[str, dict[str, Any]]] = {}
    with connect_catalog(store) as connection:
        made = connection.execute(
            "SELECT dataset, model, asset, fingerprint, epoch(completed_at), inputs FROM generations WHERE asset IN "
            "('samples', 'rewards', 'statistics', 'token_distributions')"
        ).fetchall()
        statistics = connection.execute(
            "SELECT dataset, model, accuracy, interval_low, interval_high, num_samples FROM statistics"
        ).fetchall()
    for dataset, model, asset, fingerprint, completed, inputs in made:
        generation = {"fingerprint": fingerprint, "completed": completed, "inputs": json.loads(inputs)}
        generations.setdefault((dataset, model), {})[asset] = generation
    return generations, {(row[0], row[1]): tuple(row[2:]) for row in statistics}


def _states(store: Store, key: Key, made: dict[str, dict[str, Any]], partition: Partition | None) -> dict[str, str]:
    wanted = _wanted(partition, made) if partition is not None else {}
    return {asset: _state(store, key, asset, made, wanted.get(asset)) for asset in ASSETS}


def _state(store: Store, key: Key, asset: str, made: dict[str, dict[str, Any]], wanted: str | None) -> str:
    """Without settings, an asset is stale where it was made from another generation than the current one."""
    current = made.get(asset)
    if current is None:
        children = store.files.children("/".join((asset, *key)))
        return "partial" if any(not name.endswith(".json") for name in children) else "missing"
    if wanted is not None:
        return "complete" if current["fingerprint"] == wanted else "stale"
    source = SOURCES.get(asset)
    if source is None or source not in made:
        return "complete"
    return "complete" if current["inputs"].get(source) == made[source]["fingerprint"] else "stale"


def _wanted(partition: Partition, made: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The fingerprints of what the settings say now, for the problems the samples were drawn for."""
    from onoff_core.grid import fingerprints

    if "samples" not in made:
        return {}
    samples = fingerprints.samples_fingerprint(partition, made["samples"]["inputs"]["problems"])
    rewards = fingerprints.rewards_fingerprint(partition, samples)
    return {
        "samples": samples,
        "rewards": rewards,
        "statistics": fingerprints.statistics_fingerprint(rewards),
        "token_distributions": fingerprints.token_distributions_fingerprint(partition, samples),
    }
