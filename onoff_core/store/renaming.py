"""Give a data set or a model another name, and keep all its results.

A fingerprint holds no name. So the files are linked (on S3 copied) under the new name, with a manifest that names it,
and become current there; then those under the former name are removed. Until then both are whole, so that a process
that dies in between loses nothing, and the same command goes on.
"""

import dataclasses
from typing import Literal

from onoff_core.errors import StoreError
from onoff_core.store.dropping import orphans, remove_orphans
from onoff_core.store.manifest import NAME
from onoff_core.store.notes import Notes
from onoff_core.store.store import Store
from onoff_core.tables import SCHEMAS, TABLES

Kind = Literal["dataset", "model"]
_COLUMNS: dict[Kind, tuple[str, ...]] = {"dataset": ("dataset",), "model": ("model", "reference")}


def rename(store: Store, kind: Kind, old: str, new: str) -> int:
    """Rename a data set or a model in the store, and return the number of its generations.

    Raises `StoreError` if there is nothing of the old name, if there are other results under the new one, or if one of
    them is being written.
    """
    if not NAME.fullmatch(new):
        raise StoreError(f"{new!r} is no name: letters, digits and . _ + -, beginning with a letter or digit")
    found = [(asset, partition) for asset, partition in _partitions(store) if old in _named(asset, partition, kind)]
    if not found:
        raise StoreError(f"{store.root} has nothing of the {kind} {old!r}")
    for asset, partition in found:
        target = _renamed(asset, partition, kind, old, new)
        for names in (partition, target):
            if store.files.is_locked("/".join((asset, *names))):
                raise StoreError(f"{asset} of {'|'.join(names)} is being written; rename when that is done")
        others = set(store.order(asset, target)) - set(store.order(asset, partition))
        if others and not _is_renamed(store, asset, partition, target):
            raise StoreError(f"{store.root} has results of {'|'.join(target)} already; choose another name")
    count = 0
    for asset, partition in found:
        target = _renamed(asset, partition, kind, old, new)
        order = [name for name in store.order(asset, partition) if _copy(store, asset, partition, target, name)]
        for fingerprint in reversed(order):  # the current one last
            store.make_current(store.generation(asset, target, fingerprint))
        count += len(order)
    Notes(store.files).rename(kind, old, new)
    removals = orphans(store, lambda asset, partition: (asset, partition) not in found)
    remove_orphans(store, removals)
    return count


def _is_renamed(store: Store, asset: str, partition: tuple[str, ...], target: tuple[str, ...]) -> bool:
    """Whether what is left under the former name is what somebody left who died while removing it, after all of it had
    become current under the new one.
    """
    if store.order(asset, partition):
        return False
    left, there = ({one.fingerprint for one in store.generations(asset, names)} for names in (partition, target))
    return not left or bool(left & there)


def _partitions(store: Store) -> list[tuple[str, tuple[str, ...]]]:
    return [(asset, partition) for asset in SCHEMAS for partition in store.partitions(asset)]


def _named(asset: str, partition: tuple[str, ...], kind: Kind) -> list[str]:
    """The names of this kind that a partition has."""
    columns = TABLES[asset].partitioned_by
    return [value for name, value in zip(columns, partition, strict=True) if name in _COLUMNS[kind]]


def _renamed(asset: str, partition: tuple[str, ...], kind: Kind, old: str, new: str) -> tuple[str, ...]:
    columns = TABLES[asset].partitioned_by
    return tuple(
        new if name in _COLUMNS[kind] and value == old else value
        for name, value in zip(columns, partition, strict=True)
    )


def _copy(store: Store, asset: str, partition: tuple[str, ...], target: tuple[str, ...], fingerprint: str) -> bool:
    """Link a complete generation under the new name. Returns whether there is one."""
    source, copy = (store.generation(asset, names, fingerprint) for names in (partition, target))
    with store.writing(copy):
        if copy.is_complete:
            return True
        if not source.is_complete:
            return False
        manifest = source.manifest()
        for name in (*(fragment.name for fragment in manifest.fragments), "begun.json"):
            if store.files.exists(f"{source.folder}/{name}"):
                store.files.copy(f"{source.folder}/{name}", f"{copy.folder}/{name}")
        moved = dataclasses.replace(manifest, partition=target)
        store.files.write_bytes(f"{copy.folder}/manifest.json", moved.to_json())
        return True
