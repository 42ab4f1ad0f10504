"""Keep a store in order: read everything against the manifests, and remove generations that nobody needs.

The order of generations comes from the pointers, never from a clock. An age is only a further condition, so a wrong
clock may keep too much and never removes a generation in use.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from onoff_core.errors import StoreError
from onoff_core.store.catalog import CATALOG_LOCK, publish_catalog
from onoff_core.store.generation import ASIDE_SUFFIX, DROPPED, Generation
from onoff_core.store.reading import reading_catalog
from onoff_core.store.schema import TEMPLATES
from onoff_core.store.store import NOTES, NOTES_LOCK, Store, current_lock
from onoff_core.tables import SCHEMAS, TABLES

logger = logging.getLogger(__name__)

_OURS = ("manifest.json", "begun.json", DROPPED)


@dataclass(frozen=True)
class Finding:
    """A fault that `verify` found, or (`damaged` false) something strange."""

    where: str
    wrong: str
    damaged: bool
    mend: str


def verify(store: Store) -> Iterator[Finding | Generation]:
    """Read everything again: yields each generation before it is read, and then its findings. Changes nothing."""
    for asset in SCHEMAS:
        for folder in store.foreign_folders(asset):
            yield Finding(store.files.location(folder), "a foreign folder", False, "left alone, and never read")
        for partition in store.partitions(asset):
            yield from _verify_pointer(store, asset, partition)
            for generation in store.generations(asset, partition):
                yield generation
                yield from _verify_generation(store, generation)


def _verify_pointer(store: Store, asset: str, partition: tuple[str, ...]) -> Iterator[Finding]:
    folder = store.files.location("/".join((asset, *partition)))
    mend = f"materialize {asset} of {'|'.join(partition)} again: what is complete is not computed again"
    try:
        order = store.order(asset, partition)
    except StoreError as error:
        yield Finding(f"{folder}/current.json", str(error), True, f"remove it and {mend}")
        return
    current = store.generation(asset, partition, order[0]) if order else None
    if current is not None and not current.is_complete and not current.is_dropped:
        yield Finding(f"{folder}/current.json", f"names {order[0]}, which is not complete", True, mend)


def _verify_generation(store: Store, generation: Generation) -> Iterator[Finding]:
    where, names = store.files.location(generation.folder), store.files.children(generation.folder)
    if not names:  # a process died that was making or removing it
        return
    if not any(name in _OURS or name.endswith(".parquet") for name in names):
        yield Finding(where, "a foreign folder", False, "left alone")
        return
    try:
        damage = generation.damage()
        known = {f.name for f in generation.manifest().fragments} if generation.is_complete else None
    except StoreError as error:
        yield Finding(where, str(error), True, "as it says")
        return
    again = (
        f"materialize {generation.asset} of {'|'.join(generation.partition[:2])} again: only this fragment is made anew"
    )
    for name, wrong in damage.items():
        yield Finding(f"{where}/{name}", wrong, True, again)
    for name in names:
        if name in _OURS or name in damage or name.endswith(ASIDE_SUFFIX):
            continue
        if (known is not None and name not in known) or (known is None and not name.endswith(".parquet")):
            yield Finding(f"{where}/{name}", "a foreign file", False, "left alone, and never read")


@dataclass(frozen=True)
class Removal:
    """A generation that `prune` would remove."""

    generation: Generation
    why: str  # former, or unfinished
    num_bytes: int


def removable(
    store: Store, keep: int = 0, older_than_days: float | None = None, unfinished: bool = False
) -> list[Removal]:
    """Generations that may go: not current, not the source of a current one, and not among the `keep` newest former
    ones of their partition; with an age, only those finished longer ago. `unfinished`: also those without a manifest,
    and those whose writer died before it made them current.
    """
    needed = _needed(store)
    found = []
    for asset in SCHEMAS:
        for partition in store.partitions(asset):
            order = store.order(asset, partition)
            if not order:
                continue  # nothing of it was ever finished: there is no old generation
            kept = set(order[: keep + 1])
            for generation in store.generations(asset, partition):
                if generation.fingerprint in kept or generation.folder in needed or not is_ours(generation):
                    continue
                why = _why(generation, order, older_than_days, unfinished)
                if why is not None:
                    found.append(Removal(generation, why, num_bytes(store, generation)))
    return found


def _why(generation: Generation, order: list[str], older_than_days: float | None, unfinished: bool) -> str | None:
    """Why a generation may go; None where it may not."""
    if not generation.is_complete or generation.fingerprint not in order:
        # The folder is empty if a process died that was making or removing it.
        names = generation.files.children(generation.folder)
        ours = not names or generation.is_complete or generation.is_begun or bool(generation.fragment_indices())
        return "unfinished" if unfinished and ours and older_than_days is None else None
    if older_than_days is not None and time.time() - generation.manifest().completed_at < older_than_days * 86_400:
        return None
    return "former"


def is_ours(generation: Generation) -> bool:
    """Whether the folder is the store's own, and its manifest, if it has one, belongs to it. The target of a link is
    somebody else's, or another generation's.
    """
    files = generation.files
    real = files.linked(generation.folder)
    if real is not None:
        logger.warning("%s is a link to %s; left alone", files.location(generation.folder), real)
        return False
    try:
        return not generation.is_complete or bool(generation.manifest())
    except StoreError as error:
        logger.warning("left alone: %s", error)
        return False


def _needed(store: Store) -> set[str]:
    """Folders of the current generations and of all generations that they were made from."""
    needed: set[str] = set()
    for asset in SCHEMAS:
        for partition in store.partitions(asset):
            current = store.current(asset, partition)
            if current is not None:
                _add_with_inputs(store, current, needed)
    return needed


def _add_with_inputs(store: Store, generation: Generation, needed: set[str]) -> None:
    if generation.folder in needed or not generation.is_complete:
        return
    needed.add(generation.folder)
    for asset, fingerprint in generation.manifest().inputs.items():
        partition = _partition_of(asset, generation)
        _add_with_inputs(store, store.generation(asset, partition, fingerprint), needed)


def _partition_of(asset: str, made: Generation) -> tuple[str, ...]:
    """The partition of the input that a generation was made from: its own names, as far as the input has them."""
    named = dict(zip(TABLES[made.asset].partitioned_by, made.partition, strict=True))
    return tuple(named[name] for name in TABLES[asset].partitioned_by)


def num_bytes(store: Store, generation: Generation) -> int:
    """Of all files in its folder."""
    total = 0
    for name in store.files.children(generation.folder):
        with suppress(FileNotFoundError):  # another prune was faster
            total += store.files.size(f"{generation.folder}/{name}")
    return total


def prune(store: Store, removals: list[Removal]) -> list[Removal]:
    """Remove these, as far as they may still go. Returns those that are gone.

    The catalog is published first, so that its newest snapshot names none of their files. If there is no room for
    that, generations that the former one does not name go nevertheless, and may make room.
    """
    if not removals:
        return []
    try:
        publish_catalog(store)
    except StoreError as error:
        with reading_catalog(store, publish=False) as connection:
            named = {folder for (folder,) in connection.execute("SELECT folder FROM generations").fetchall()}
        unnamed = [removal for removal in removals if removal.generation.folder not in named]
        if not unnamed:
            raise
        logger.warning("%s. Until then only what that catalog does not name is removed", error)
        removals = unnamed
    return [removal for removal in removals if remove(store, removal)]


def remove(store: Store, removal: Removal) -> bool:
    """Remove a generation, unless it is being written or has come into use meanwhile. Returns whether it is gone."""
    generation = removal.generation
    with store.writing_if_free(generation) as free:
        current = store.order(generation.asset, generation.partition)[:1]
        in_use = current == [generation.fingerprint] or _in_use(store, generation)
        if not free or in_use or not is_ours(generation):
            return False
        # The manifest goes first, so that a half-removed generation is never a result.
        store.files.remove(f"{generation.folder}/manifest.json")
        store.files.remove(generation.folder)
        return True


def _in_use(store: Store, generation: Generation) -> bool:
    """Whether a current generation was made from it, or one is being written that may be."""
    needed: set[str] = set()
    for asset in (made for made, table in TABLES.items() if generation.asset in table.made_from):
        for partition in _partitions_like(store, asset, generation.partition):
            if store.files.is_locked("/".join((asset, *partition))):
                return True
            current = store.current(asset, partition)
            if current is not None:
                _add_with_inputs(store, current, needed)
    return generation.folder in needed


def _partitions_like(store: Store, asset: str, partition: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The partition itself; where the asset's have more names, all that begin with these: of a data set, its models."""
    found = [partition]
    for _ in TABLES[asset].partitioned_by[len(partition) :]:
        found = [(*names, child) for names in found for child in store.files.folders("/".join((asset, *names)))]
    return found


def remove_leftovers(store: Store) -> int:
    """Remove scratch files and notes of writers that died, and return how many. A writer at work keeps its own."""
    removed = 0
    for asset in SCHEMAS:
        for partition in store.partitions(asset):
            folder = "/".join((asset, *partition))
            if store.files.linked(folder):  # they are the target's, which is not ours to tidy
                continue
            with store.files.try_lock(current_lock(asset, partition)) as free:
                removed += _remove_leftovers_in(store, folder) if free else 0
            for generation in store.generations(asset, partition):
                if store.files.linked(generation.folder):
                    continue
                with store.writing_if_free(generation) as free:
                    removed += _remove_leftovers_in(store, generation.folder) if free else 0
    if store.files.exists(""):
        for lock, folder in ((CATALOG_LOCK, ""), (CATALOG_LOCK, TEMPLATES), (NOTES_LOCK, NOTES)):
            with store.files.try_lock(lock) as free:
                removed += _remove_leftovers_in(store, folder) if free else 0
    return removed + store.forget_dead_changes()


def _remove_leftovers_in(store: Store, folder: str) -> int:
    names = store.files.leftovers(folder)
    for name in names:
        store.files.remove(f"{folder}/{name}" if folder else name)
    return len(names)
