"""The state of each asset of a partition: complete, imported, partial, stale or missing."""

from collections.abc import Mapping
from typing import Literal

from onoff_core.grid import fingerprints
from onoff_core.grid.recorded import as_recorded
from onoff_core.store import Current, Judged, Store
from onoff_core.store.provenance import is_imported
from onoff_core.study import Partition
from onoff_core.tables import TABLES

CurrentGenerations = Mapping[tuple[str, tuple[str, ...]], Current]
AssetStatus = Literal["complete", "imported", "partial", "stale", "missing", "dropped"]


def imported_samples(store: Store, key: tuple[str, str]) -> str | None:
    """The fingerprint of a partition's current samples where they were imported: no setting can make those stale."""
    current = store.current("samples", key)
    return current.fingerprint if current is not None and is_imported(current.manifest()) else None


def wanted_fingerprints(partition: Partition, problems_version: str, imported: str | None = None) -> dict[str, str]:
    """The fingerprint, by the settings as they are now, of each asset that they ask for; `imported`: the fingerprint of
    imported samples.
    """
    samples = imported or fingerprints.samples_fingerprint(partition, problems_version)
    rewards = fingerprints.rewards_fingerprint(partition, samples)
    wanted = {
        "samples": samples,
        "rewards": rewards,
        "statistics": fingerprints.statistics_fingerprint(partition, rewards),
        "token_distributions": fingerprints.token_distributions_fingerprint(partition, samples),
        "second_opinions": fingerprints.second_opinions_fingerprint(partition, rewards),
    }
    return {asset: wanted[asset] for asset in fingerprints.assets_asked_for(partition)}


def partition_status(
    partition: Partition, problems_version: str | None, store: Store, known: CurrentGenerations | None = None
) -> dict[str, AssetStatus]:
    """The state of each asset that the settings ask for, by name.

    complete: made from what the settings say now; stale: made from something else; partial: begun and not finished;
    missing: nothing there; dropped: it was complete, and was removed on purpose. `problems_version` None: the data set
    cannot be read, so nothing can be stale for its sake.
    imported (samples only): brought in by `onoff import`; what follows is complete where it was made from them.
    `known`: the answer of `current_generations`, which saves time where many partitions are looked at.
    """
    key, assets = partition.names, fingerprints.assets_asked_for(partition)
    current = {asset: _current(store, asset, key, known) for asset in assets}
    samples = current["samples"]
    if problems_version is None and samples is not None:
        problems_version = samples.inputs["problems"]
    imported = samples.fingerprint if samples is not None and samples.imported else None
    wanted: dict[str, str] = {}
    if problems_version is not None:
        wanted = wanted_now(partition, problems_version, store, samples)
    states = {asset: _state(store, asset, key, current[asset], wanted.get(asset)) for asset in assets}
    return states if imported is None else {**states, "samples": "imported"}


def wanted_now(
    partition: Partition, problems_version: str, store: Store, samples: Current | Judged | None
) -> dict[str, str]:
    """The fingerprint under which each asset belongs, beside these current samples: imported ones stay, and ones made
    under a path before are known by it.
    """
    imported = samples.fingerprint if samples is not None and samples.imported else None
    wanted = wanted_fingerprints(partition, problems_version, imported)
    if samples is None or wanted["samples"] == samples.fingerprint:
        return wanted
    return wanted_fingerprints(as_recorded(partition, store), problems_version, imported)


def is_behind(known: CurrentGenerations, asset: str, key: tuple[str, str]) -> bool:
    """Whether a table is missing, or was not made from the current generation of its input; False without that input.

    Settings do not count: a table follows its input even where the settings ask for another one.
    """
    followed = TABLES[asset].made_from[0]
    source, made = known.get((followed, key)), known.get((asset, key))
    return source is not None and (made is None or made.inputs[followed] != source.fingerprint)


def _current(store: Store, asset: str, key: tuple[str, str], known: CurrentGenerations | None) -> Current | None:
    if known is not None:
        return known.get((asset, key))
    generation = store.current(asset, key)
    return None if generation is None else Current.of(generation.manifest())


def _state(store: Store, asset: str, key: tuple[str, str], current: Current | None, wanted: str | None) -> AssetStatus:
    if current is not None and current.fingerprint == wanted:
        return "complete"
    if wanted is not None and store.generation(asset, key, wanted).fragment_indices():
        return "partial"
    if current is not None:
        return "stale"
    return "missing" if store.dropped(asset, key) is None else "dropped"
