"""The state of each asset of a partition: complete, imported, partial, stale or missing; of those it asks for."""

from collections.abc import Mapping
from typing import Literal

from onoff_core.grid import fingerprints
from onoff_core.grid.asked import asked_assets
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
    """The fingerprint of each asset that is asked for, by the settings as they are now; `imported`: the fingerprint of
    imported samples.
    """
    samples = imported or fingerprints.samples_fingerprint(partition, problems_version)
    rewards = fingerprints.rewards_fingerprint(partition, samples)
    distributions = fingerprints.token_distributions_fingerprint(partition, samples)
    wanted = {
        "samples": samples,
        "rewards": rewards,
        "statistics": fingerprints.statistics_fingerprint(partition, rewards),
        "token_distributions": distributions,
    }
    if partition.task.second_opinion is not None:
        wanted["second_opinions"] = fingerprints.second_opinions_fingerprint(partition, rewards)
    if partition.branches is not None:
        wanted["branches"] = fingerprints.branches_fingerprint(partition, samples, rewards, distributions)
    if partition.confidence is not None:
        wanted["confidence"] = fingerprints.confidence_fingerprint(partition, samples, rewards, distributions)
    cross = wanted_cross(partition, samples)
    if cross:
        wanted["cross_scores"] = fingerprints.all_references_fingerprint(cross)
    return wanted


def wanted_cross(partition: Partition, samples: str) -> dict[str, str]:
    """The fingerprint of the cross-scores by each reference that the settings ask for."""
    return {one.name: fingerprints.cross_scores_fingerprint(partition, samples, one) for one in partition.references}


def current_version(store: Store, asset: str, partition: Partition) -> str | None:
    """The fingerprint of what is current of an asset; of cross-scores, that by all references; None: one is missing."""
    if asset != "cross_scores":
        current = store.current(asset, partition.names)
        return None if current is None else current.fingerprint
    found = {one.name: store.current(asset, (*partition.names, one.name)) for one in partition.references}
    made = {name: generation.fingerprint for name, generation in found.items() if generation is not None}
    return fingerprints.all_references_fingerprint(made) if made and len(made) == len(found) else None


def dropped_version(store: Store, asset: str, partition: Partition) -> str | None:
    """The same of what was removed on purpose; of cross-scores where that is so of some reference and others are
    there.
    """
    if asset != "cross_scores":
        return store.dropped(asset, partition.names)
    made: dict[str, str] = {}
    for one in partition.references:
        key = (*partition.names, one.name)
        current = store.current(asset, key)
        fingerprint = store.dropped(asset, key) if current is None else current.fingerprint
        if fingerprint is None:
            return None
        made[one.name] = fingerprint
    return fingerprints.all_references_fingerprint(made) if made else None


def partition_status(
    partition: Partition, problems_version: str | None, store: Store, known: CurrentGenerations | None = None
) -> dict[str, AssetStatus]:
    """The state of each asset that the partition asks for, by name.

    complete: made from what the settings say now; stale: made from something else; partial: begun and not finished;
    missing: nothing there; dropped: it was complete, and was removed on purpose. `problems_version` None: the data set
    cannot be read, so nothing can be stale for its sake.
    Optional assets are left out where the settings do not ask for them; cross-scores are complete where those by every
    reference are.
    imported (samples only): brought in by `onoff import`; what follows is complete where it was made from them.
    `known`: the answer of `current_generations`, which saves time where many partitions are looked at.
    """
    key = partition.names
    asked = asked_assets(partition)
    current = {asset: _current(store, asset, key, known) for asset in asked if asset != "cross_scores"}
    samples = current["samples"]
    if problems_version is None and samples is not None:
        problems_version = samples.inputs["problems"]
    imported = samples.fingerprint if samples is not None and samples.imported else None
    wanted: dict[str, str] = {}
    if problems_version is not None:
        wanted = wanted_now(partition, problems_version, store, samples)
    states = {asset: _state(store, asset, key, current[asset], wanted.get(asset)) for asset in current}
    if partition.references:
        states["cross_scores"] = _cross_state(partition, store, known, samples, wanted.get("samples"))
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


def _cross_state(
    partition: Partition,
    store: Store,
    known: CurrentGenerations | None,
    samples: Current | None,
    wanted_samples: str | None,
) -> AssetStatus:
    """Of the cross-scores by all references together."""
    followed = wanted_samples or (samples.fingerprint if samples is not None else None)
    wanted = {} if followed is None else wanted_cross(partition, followed)
    states: set[AssetStatus] = set()
    for one in partition.references:
        key = (*partition.names, one.name)
        current = _current(store, "cross_scores", key, known)
        states.add(_state(store, "cross_scores", key, current, wanted.get(one.name)))
    if len(states) == 1:
        return states.pop()
    if states <= {"complete", "dropped"}:
        return "dropped"
    return "stale" if "stale" in states else "partial"


def _current(store: Store, asset: str, key: tuple[str, ...], known: CurrentGenerations | None) -> Current | None:
    if known is not None:
        return known.get((asset, key))
    generation = store.current(asset, key)
    return None if generation is None else Current.of(generation.manifest())


def _state(store: Store, asset: str, key: tuple[str, ...], current: Current | None, wanted: str | None) -> AssetStatus:
    if current is not None and current.fingerprint == wanted:
        return "complete"
    if wanted is not None and store.generation(asset, key, wanted).fragment_indices():
        return "partial"
    if current is not None:
        return "stale"
    return "missing" if store.dropped(asset, key) is None else "dropped"
