"""What is there of each asset of a partition: complete, imported, partial, stale or missing."""

from typing import Literal

from onoff_core.grid import fingerprints
from onoff_core.store import Store
from onoff_core.study import Partition

AssetStatus = Literal["complete", "imported", "partial", "stale", "missing"]


def imported_samples(store: Store, key: tuple[str, str]) -> str | None:
    """The fingerprint of a partition's current samples where they were imported: no setting can make those stale."""
    current = store.current("samples", key)
    return current.fingerprint if current is not None and current.manifest().facts.get("imported") else None


def wanted_fingerprints(partition: Partition, problems_version: str, imported: str | None = None) -> dict[str, str]:
    """The fingerprint under which each asset belongs, by what the settings say now; or by the imported samples."""
    samples = imported or fingerprints.samples_fingerprint(partition, problems_version)
    rewards = fingerprints.rewards_fingerprint(partition, samples)
    return {
        "samples": samples,
        "rewards": rewards,
        "statistics": fingerprints.statistics_fingerprint(rewards),
        "token_distributions": fingerprints.token_distributions_fingerprint(partition, samples),
    }


def partition_status(partition: Partition, problems_version: str | None, store: Store) -> dict[str, AssetStatus]:
    """The state of each asset, by name.

    complete: made from what the settings say now; stale: made from something else; partial: begun and not finished;
    missing: nothing there. `problems_version` None: the data set cannot be read, so nothing can be stale for its sake.
    imported (samples only): brought in by `onoff import`; what follows is complete where it was made from them.
    """
    key = (partition.dataset, partition.model)
    if problems_version is None:
        current = store.current("samples", key)
        problems_version = current.manifest().inputs["problems"] if current else None
    imported = imported_samples(store, key)
    wanted = {} if problems_version is None else wanted_fingerprints(partition, problems_version, imported)
    states = {asset: _state(store, asset, key, wanted.get(asset)) for asset in fingerprints.ASSETS}
    return states if imported is None else {**states, "samples": "imported"}


def _state(store: Store, asset: str, key: tuple[str, str], wanted: str | None) -> AssetStatus:
    current = store.current(asset, key)
    if current is not None and current.fingerprint == wanted:
        return "complete"
    if wanted is not None and store.generation(asset, key, wanted).fragment_indices():
        return "partial"
    return "missing" if current is None else "stale"
