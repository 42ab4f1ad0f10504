"""Remove current results: those that are no longer in the study, and distributions that are not worth their space.

A result first stops being current and leaves the catalog; only then are its files removed. If the process dies in
between, the same command finds the rest and finishes it. Where a full disk has no room for a catalog, the files go
first.
"""

import json
import logging
import time
from collections.abc import Callable

from onoff_core.errors import StoreError
from onoff_core.machine import is_full
from onoff_core.store.catalog import publish_catalog
from onoff_core.store.generation import DROPPED, Generation
from onoff_core.store.store import Change, Store, current_lock
from onoff_core.store.upkeep import Removal, is_ours, num_bytes, remove
from onoff_core.tables import OPTIONAL_ASSETS, SCHEMAS, TABLES

logger = logging.getLogger(__name__)

InStudy = Callable[[str, tuple[str, ...]], bool]  # takes an asset and a partition


def orphans(store: Store, in_study: InStudy) -> list[Removal]:
    """Every generation of a partition that is not in the study, current ones too."""
    found = []
    for asset in reversed(SCHEMAS):  # a table before those that it was made from
        for partition in store.partitions(asset):
            if not in_study(asset, partition):
                for generation in store.generations(asset, partition):
                    if is_ours(generation):
                        found.append(Removal(generation, "not in the study", num_bytes(store, generation)))
    return found


def remove_orphans(store: Store, removals: list[Removal]) -> list[Removal]:
    """Remove these, and return those that are gone. A partition that is being written is left."""
    notes = []
    partitions = {(removal.generation.asset, removal.generation.partition) for removal in removals}
    for asset, partition in sorted(partitions):
        if not store.files.is_locked("/".join((asset, *partition))):
            notes += _forget(store, asset, partition)
    gone: list[Removal] = []
    _publish_and(store, notes, lambda: gone.extend(removal for removal in removals if remove(store, removal)))
    for asset, partition in sorted(partitions):
        remove_empty(store, asset, partition)
    return gone


def _publish_and(store: Store, notes: list[Change], remove_files: Callable[[], None]) -> None:
    """Publish a catalog without what goes, whose changes these are, and then remove its files."""
    try:
        publish_catalog(store)
    except StoreError as error:
        if not is_full(error):
            raise
        logger.warning("%s. So the files that go are removed first, which may make room", error)
        remove_files()
        publish_catalog(store)
        store.forget_changes(notes)
        return
    store.forget_changes(notes)
    remove_files()


def _forget(store: Store, asset: str, partition: tuple[str, ...]) -> list[Change]:
    """Let nothing of a partition be current. Returns the notes of that change for the next publication."""
    with store.files.lock(current_lock(asset, partition)):
        order = store.order(asset, partition)
        if not order:
            return []
        note = store.note(asset, partition, order[0])
        store.files.remove("/".join((asset, *partition, "current.json")))
        return [note]


def remove_empty(store: Store, asset: str, partition: tuple[str, ...]) -> None:
    """Remove a partition's folder, and its data set's, if only locks are left in them."""
    for depth in range(len(partition), 0, -1):
        folder = "/".join((asset, *partition[:depth]))
        if store.files.children(folder) or not store.files.exists(folder) or store.files.is_locked(folder):
            return
        store.files.remove(folder)


def droppable(store: Store, asset: str, older_than_days: float) -> list[Removal]:
    """The current generations of an asset that were finished longer ago; an error if other tables are made from it."""
    # What is made of distributions where the settings ask for it stays whole without them.
    extra = {table.name for made in OPTIONAL_ASSETS for table in made.tables}
    makes = sorted(name for name, table in TABLES.items() if asset in table.made_from and name not in extra)
    if makes or asset in ("problems", "vocabulary"):
        raise StoreError(f"{asset} cannot be dropped: {', '.join(makes) or 'every page'} needs it")
    found = []
    for partition in store.partitions(asset):
        order = store.order(asset, partition)
        current = store.generation(asset, partition, order[0]) if order else None
        if current is None or not is_ours(current):
            continue
        if _is_half_dropped(store, current) or (
            current.is_complete and time.time() - current.manifest().completed_at >= older_than_days * 86_400
        ):
            found.append(Removal(current, "to be dropped", num_bytes(store, current)))
    return found


def _is_half_dropped(store: Store, generation: Generation) -> bool:
    """Whether somebody died between calling it dropped and removing its rows."""
    return generation.is_dropped and store.files.children(generation.folder) != [DROPPED]


def drop(store: Store, removals: list[Removal]) -> list[Removal]:
    """Remove the rows of these current generations, remember that they were there, and return those removed."""
    dropped, notes = [], []
    for removal in removals:
        generation = removal.generation
        with store.writing_if_free(generation) as free:
            if not free or not is_ours(generation):
                continue
            if generation.is_complete:
                manifest = generation.manifest()
                told = {"dropped_at": time.time(), "num_rows": manifest.num_rows, "num_bytes": removal.num_bytes}
                store.files.write_bytes(f"{generation.folder}/{DROPPED}", json.dumps(told).encode())
                notes.append(store.note(generation.asset, generation.partition, generation.fingerprint))
                store.files.remove(f"{generation.folder}/manifest.json")
            if generation.is_dropped:
                dropped.append(removal)

    def empty() -> None:
        for removal in dropped:
            _empty(store, removal.generation)

    _publish_and(store, notes, empty)
    return dropped


def _empty(store: Store, generation: Generation) -> None:
    with store.writing_if_free(generation) as free:
        if free and generation.is_dropped:
            for name in store.files.children(generation.folder):
                if name != DROPPED:
                    store.files.remove(f"{generation.folder}/{name}")
