"""Remove what is current: results of what is no longer in the study, and distributions that cost more than they tell.

Each first stops being current and is taken out of the catalog; only then do its files go. Who dies in between leaves
what the same command finds and finishes.
"""

import json
import time
from collections.abc import Callable

from onoff_core.errors import StoreError
from onoff_core.store.catalog import publish_catalog
from onoff_core.store.generation import DROPPED, Generation
from onoff_core.store.store import Change, Store, current_lock
from onoff_core.store.upkeep import Removal, is_ours, num_bytes, remove
from onoff_core.tables import SCHEMAS, TABLES

InStudy = Callable[[str, tuple[str, ...]], bool]  # of an asset and a partition


def orphans(store: Store, in_study: InStudy) -> list[Removal]:
    """Every generation of a partition that is not in the study, current ones too."""
    found = []
    for asset in reversed(SCHEMAS):  # what was made from others before those
        for partition in store.partitions(asset):
            if not in_study(asset, partition):
                for generation in store.generations(asset, partition):
                    if is_ours(generation):
                        found.append(Removal(generation, "not in the study", num_bytes(store, generation)))
    return found


def remove_orphans(store: Store, removals: list[Removal]) -> list[Removal]:
    """Remove these; those that are gone. A partition that somebody writes is left."""
    notes = []
    partitions = {(removal.generation.asset, removal.generation.partition) for removal in removals}
    for asset, partition in sorted(partitions):
        if not store.files.is_locked("/".join((asset, *partition))):
            notes += _forget(store, asset, partition)
    publish_catalog(store)
    store.forget_changes(notes)
    gone = [removal for removal in removals if remove(store, removal)]
    for asset, partition in sorted(partitions):
        remove_empty(store, asset, partition)
    return gone


def _forget(store: Store, asset: str, partition: tuple[str, ...]) -> list[Change]:
    """Let nothing of a partition be current; the notes that say so to the next publication."""
    with store.files.lock(current_lock(asset, partition)):
        order = store.order(asset, partition)
        if not order:
            return []
        note = store.note(asset, partition, order[0])
        store.files.remove("/".join((asset, *partition, "current.json")))
        return [note]


def remove_empty(store: Store, asset: str, partition: tuple[str, ...]) -> None:
    """Remove a partition's folder, and its data set's, where nothing but locks is left in them."""
    for depth in range(len(partition), 0, -1):
        folder = "/".join((asset, *partition[:depth]))
        if store.files.children(folder) or not store.files.exists(folder) or store.files.is_locked(folder):
            return
        store.files.remove(folder)


def droppable(store: Store, asset: str, older_than_days: float) -> list[Removal]:
    """The current generations of an asset that were finished longer ago, of an asset that nothing is made from."""
    makes = sorted(name for name, table in TABLES.items() if asset in table.made_from)
    if makes or asset in ("problems", "vocabulary"):
        raise StoreError(f"{asset} cannot be dropped: {', '.join(makes) or 'every page'} needs it")
    found = []
    for partition in store.partitions(asset):
        current = store.current(asset, partition)
        if current is None or not is_ours(current):
            continue
        if time.time() - current.manifest().completed_at >= older_than_days * 86_400:
            found.append(Removal(current, "to be dropped", num_bytes(store, current)))
    return found


def drop(store: Store, removals: list[Removal]) -> list[Removal]:
    """Remove the rows of these current generations and remember that they were there; those that are gone."""
    dropped, notes = [], []
    for removal in removals:
        generation = removal.generation
        with store.writing_if_free(generation) as free:
            if free and is_ours(generation) and generation.is_complete:
                manifest = generation.manifest()
                told = {"dropped_at": time.time(), "num_rows": manifest.num_rows, "num_bytes": removal.num_bytes}
                store.files.write_bytes(f"{generation.folder}/{DROPPED}", json.dumps(told).encode())
                notes.append(store.note(generation.asset, generation.partition, generation.fingerprint))
                store.files.remove(f"{generation.folder}/manifest.json")
                dropped.append(removal)
    publish_catalog(store)
    store.forget_changes(notes)
    for removal in dropped:
        _empty(store, removal.generation)
    return dropped


def _empty(store: Store, generation: Generation) -> None:
    with store.writing_if_free(generation) as free:
        if free and generation.is_dropped:
            for name in store.files.children(generation.folder):
                if name != DROPPED:
                    store.files.remove(f"{generation.folder}/{name}")
