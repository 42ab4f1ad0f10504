"""The store as a whole: its generations, which of them are current, and locks for writers.

`current.json` names a partition's current generation and, newest first, the former ones: their order comes from there
and never from a clock.
"""

import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from onoff_core.commands import materialize_command
from onoff_core.errors import MissingInputError, StoreError
from onoff_core.store.files import Files, open_files
from onoff_core.store.generation import Generation
from onoff_core.store.judging import Judge
from onoff_core.store.life_signs import find_sign, remove_sign
from onoff_core.store.manifest import NAME, Manifest, plain_json
from onoff_core.tables import TABLES

logger = logging.getLogger(__name__)

NOTES = "changed"
NOTES_LOCK = ".changed.lock"  # held while a note is written: scratch files without it are of a writer that died
_SAID_AFTER_SECONDS = 1.0  # `is_locked` of a reader holds a lock for an instant too
_REMEMBERED = 1000  # former generations in a pointer


@dataclass(frozen=True)
class Change:
    """A note that a partition's current generation is to be published."""

    name: str  # the note's file
    asset: str
    partition: tuple[str, ...]
    fingerprint: str


class Store:
    """Results below one root: a folder, or an `s3://` URL.

    `facts` go into the manifest of every generation that is completed through this object: who made it. `judge` says
    at publications which results are of its study, and which are stale.
    """

    def __init__(self, path: str, facts: Mapping[str, Any] | None = None, judge: Judge | None = None) -> None:
        self.files: Files = open_files(path)
        self.facts = dict(facts or {})
        self.judge = judge
        self.max_bytes: int | None = None  # that results may take; None: as many as there is room for

    @property
    def root(self) -> Any:
        return self.files.root

    def generation(self, asset: str, partition: tuple[str, ...], fingerprint: str) -> Generation:
        for name in (asset, *partition, fingerprint):
            if not name or name.startswith(".") or "/" in name or "\0" in name:  # a path that leads elsewhere
                raise StoreError(f"{self.root}: {name!r} is no name of a dataset, a model or a generation")
        return Generation(self.files, asset, partition, fingerprint, self.facts)

    def current(self, asset: str, partition: tuple[str, ...]) -> Generation | None:
        """The current generation, always a complete one; None where there is none."""
        order = self.order(asset, partition)
        if not order:
            return None
        generation = self.generation(asset, partition, order[0])
        return generation if generation.is_complete else None

    def dropped(self, asset: str, partition: tuple[str, ...]) -> str | None:
        """The fingerprint of the current generation where its rows were removed on purpose; else None."""
        order = self.order(asset, partition)
        return order[0] if order and self.generation(asset, partition, order[0]).is_dropped else None

    def order(self, asset: str, partition: tuple[str, ...]) -> list[str]:
        """Fingerprints of the current generation and of the former ones, newest first."""
        name = _pointer(asset, partition)
        content = self.files.find_bytes(name)
        if content is None:
            return []
        try:
            pointer = plain_json(content)
            return _names([pointer["fingerprint"], *pointer.get("previous", [])])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{self.files.location(name)}: damaged ({error}); remove it and materialize {asset} of "
                f"{'|'.join(partition)} again: what is complete is not computed again"
            ) from error

    def require(self, asset: str, partition: tuple[str, ...]) -> Generation:
        """The current generation, or a `MissingInputError` that says what to run."""
        generation = self.current(asset, partition)
        if generation is None:
            key = "|".join(partition)
            is_written = self.is_written(asset, partition)
            there = f"{asset} of {key} is {self._how_far(asset, partition, is_written)} in {self.root}"
            if is_written:
                raise MissingInputError(f"{there}; wait until that run is done")
            raise MissingInputError(f"{there}; run: {materialize_command([asset], key)}")
        return generation

    def is_written(self, asset: str, partition: tuple[str, ...]) -> bool | None:
        """Whether a process writes an asset of a partition now; None where it cannot be told, as on S3."""
        if not self.files.locks:
            return None
        try:
            return self.files.is_locked("/".join((asset, *partition)))
        except StoreError:  # a store that we may not write in: its locks cannot be tried
            return None

    def how_far(self, asset: str, partition: tuple[str, ...]) -> str:
        """In words, what there is of an asset that has no current generation."""
        return self._how_far(asset, partition, self.is_written(asset, partition))

    def _how_far(self, asset: str, partition: tuple[str, ...], is_written: bool | None) -> str:
        begun = [one for one in self.generations(asset, partition) if one.is_begun and not one.is_complete]
        if not begun:
            return "not there yet, a run has begun to make it" if is_written else "not there yet"
        parts = max(len(one.fragment_indices()) for one in begun)
        written = "1 part is" if parts == 1 else f"{parts} parts are"
        if is_written:
            return f"begun and not complete ({written} written): a run is making it now"
        return (
            f"begun and not complete ({written} written): a run is making it, or was interrupted and goes on from there"
        )

    def make_current(self, generation: Generation) -> None:
        """Let readers see this generation from now on; readers of the catalog see it after its next publication."""
        asset, partition = generation.asset, generation.partition
        with self.files.lock(current_lock(asset, partition)):
            order = self.order(asset, partition)
            if order[:1] == [generation.fingerprint] and not generation.completed_here:
                return
            # The note comes first: a process that dies between the two leaves a note too many, never one too few.
            self.note(asset, partition, generation.fingerprint)
            previous = [other for other in order if other != generation.fingerprint][:_REMEMBERED]
            pointer = {"fingerprint": generation.fingerprint, "previous": previous}
            self.files.write_bytes(_pointer(asset, partition), json.dumps(pointer).encode())

    def note(self, asset: str, partition: tuple[str, ...], fingerprint: str) -> Change:
        """Note that the next publication has to look at a partition."""
        name = f"{uuid.uuid4().hex}.json"
        note = {"asset": asset, "partition": partition, "fingerprint": fingerprint}
        with self.files.lock(NOTES_LOCK):
            self.files.write_bytes(f"{NOTES}/{name}", json.dumps(note).encode())
        return Change(name, asset, partition, fingerprint)

    def changes(self) -> list[Change]:
        """The changes that are not published yet."""
        found = []
        for name in self.files.children(NOTES):
            try:
                content = self.files.find_bytes(f"{NOTES}/{name}")
                if content is not None:  # else another publication was faster
                    found.append(_change(name, plain_json(content)))
            except (StoreError, ValueError, KeyError, TypeError) as error:  # not one of ours, which are always whole
                logger.warning("%s is a foreign file (%s); left alone", self.files.location(f"{NOTES}/{name}"), error)
        return found

    def forget_changes(self, published: list[Change]) -> None:
        """Drop the notes of changes that are published."""
        for change in published:
            self.files.remove(f"{NOTES}/{change.name}")

    def forget_dead_changes(self) -> int:
        """Drop notes of writers that died before they changed their partition's pointer; returns how many.

        On S3, without locks, nobody can tell these notes from those of writers at work, so they stay.
        """
        if not self.files.locks:
            return 0
        dead = []
        for change in self.changes():
            if self.files.outside("/".join((change.asset, *change.partition))):
                continue
            # If the lock is held, a writer is between its note and its pointer.
            with self.files.try_lock(current_lock(change.asset, change.partition)) as free:
                try:
                    if free and change.fingerprint not in self.order(change.asset, change.partition):
                        dead.append(change)
                except StoreError as error:  # a damaged pointer; the other notes are tidied nevertheless
                    logger.warning("a note is left alone: %s", error)
        self.forget_changes(dead)
        return len(dead)

    @contextmanager
    def writing(self, generation: Generation) -> Iterator[None]:
        """Be the only writer of this generation. A second one says that it waits, and then finds it complete.

        Scratch files that a killed writer left are removed.

        On S3 nobody waits: a second writer joins, and each fragment is the one of the faster writer.
        """
        with self._held(generation):
            for name in self.files.leftovers(generation.folder):
                self.files.remove(f"{generation.folder}/{name}")
            remove_sign(self.files, generation.asset, generation.partition)
            try:
                yield
            finally:
                remove_sign(self.files, generation.asset, generation.partition)

    @contextmanager
    def _held(self, generation: Generation) -> Iterator[None]:
        """The lock of a generation's writer; a person is told of a wait that is longer than a look at the lock."""
        name = _lock(generation)
        with self.files.try_lock(name, _SAID_AFTER_SECONDS) as free:
            if free:
                yield
                return
        sign = find_sign(self.files, generation.asset, generation.partition)
        how_far = "" if sign is None else f" ({sign.done} of {sign.total} {sign.unit})"
        logger.warning(
            "%s of %s is being made by another run%s; this one waits until that one ends, and then does what is left",
            generation.asset,
            "|".join(generation.partition),
            how_far,
        )
        with self.files.lock(name):
            yield

    @contextmanager
    def writing_if_free(self, generation: Generation) -> Iterator[bool]:
        """Be the only writer, if nobody else is; says whether one is."""
        with self.files.try_lock(_lock(generation)) as free:
            yield free

    def partitions(self, asset: str) -> list[tuple[str, ...]]:
        """The partitions of which the asset has anything at all. A folder whose name is no name is nobody's."""
        found: list[tuple[str, ...]] = [()]
        for _ in TABLES[asset].partitioned_by:
            found = [(*names, child) for names in found for child in self._named(asset, *names)]
        return found

    def _named(self, *names: str) -> list[str]:
        return [child for child in self.files.folders("/".join(names)) if NAME.fullmatch(child)]

    def generations(self, asset: str, partition: tuple[str, ...]) -> list[Generation]:
        """All of a partition's generations, unfinished and former ones too, by fingerprint."""
        return [self.generation(asset, partition, name) for name in self._named(asset, *partition)]

    def foreign_folders(self, asset: str) -> list[str]:
        """Folders where partitions and generations belong, with names that those cannot have; nothing reads them."""
        above = [
            "/".join((asset, *names[:depth])) for names in self.partitions(asset) for depth in range(len(names) + 1)
        ]
        return [
            f"{folder}/{child}"
            for folder in dict.fromkeys([asset, *above])
            for child in self.files.folders(folder)
            if not NAME.fullmatch(child)
        ]

    def current_manifests(self, asset: str) -> list[Manifest]:
        """The manifest of every partition's current generation."""
        currents = (self.current(asset, partition) for partition in self.partitions(asset))
        return [generation.manifest() for generation in currents if generation is not None]


def _names(names: list[Any]) -> list[str]:
    """The names; `ValueError` if one of them is not allowed."""
    wrong = [name for name in names if not isinstance(name, str) or not NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no name")
    return names


def _change(name: str, note: Any) -> Change:
    asset, partition, fingerprint = note["asset"], note["partition"], note["fingerprint"]
    if len(partition) != len(TABLES[asset].partitioned_by):
        raise ValueError(f"{partition!r} is no partition of {asset}")
    return Change(name, asset, tuple(_names(list(partition))), _names([fingerprint])[0])


def current_lock(asset: str, partition: tuple[str, ...]) -> str:
    """The lock that a writer holds while it writes a note of a change and then the partition's pointer."""
    return "/".join((asset, *partition, ".current.lock"))


def _pointer(asset: str, partition: tuple[str, ...]) -> str:
    return "/".join((asset, *partition, "current.json"))


def _lock(generation: Generation) -> str:
    return "/".join((generation.asset, *generation.partition, f".{generation.fingerprint}.lock"))
