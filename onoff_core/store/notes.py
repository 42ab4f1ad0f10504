"""Notes that people make on responses and on tokens: a star, tags, a comment.

A note lies beside the results, as small JSON files below `notes/<dataset>/<model>/`, one for each revision of it. A
file is written once under a name of its own and never changed, so any number of people and machines write at once, on a
disk and on S3, and nobody waits. Nothing of a note enters a fingerprint, a manifest or the catalog.
"""

import dataclasses
import json
import logging
import time
import uuid
from collections.abc import Iterable, MutableMapping
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from onoff_core.errors import StoreError
from onoff_core.store.files import Files
from onoff_core.store.manifest import END_OF_TIME, NAME

logger = logging.getLogger(__name__)

FOLDER = "notes"
LONGEST_COMMENT, LONGEST_TAG, MOST_TAGS = 20_000, 60, 30  # characters, characters, tags
_MOST_BYTES = 1 << 18  # of a file of ours; a larger one is somebody else's

Key = tuple[str, str]  # (dataset, model)
Kept = MutableMapping[str, "Note"]  # files that were read before, by name: they never change


@dataclass(frozen=True)
class Note:
    """One revision of a note on a response, or on a token of it."""

    # What a newer onoff adds beside is not read; a newer version is another meaning, and is left alone.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    note: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]  # revisions of one note share it
    revision: Annotated[int, Field(ge=1)]  # the highest one counts
    at: Annotated[float, Field(ge=0, le=END_OF_TIME)]  # seconds since 1970, by the writer's clock
    author: Annotated[str, Field(max_length=200)]  # as they call themselves
    dataset: str
    model: str
    samples: str  # the fingerprint of the samples that it was made on; others may have another response at its place
    problem_id: str
    sample_index: Annotated[int, Field(ge=0)]
    position: Annotated[int, Field(ge=0)] | None  # of the token; None: the response
    excerpt: Annotated[str, Field(max_length=2_000)]  # the token, or the beginning of the response
    star: bool
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=LONGEST_TAG)], ...], Field(max_length=MOST_TAGS)
    ]
    comment: Annotated[str, Field(max_length=LONGEST_COMMENT)]
    removed: bool = False
    version: Literal[1] = 1

    @property
    def is_empty(self) -> bool:
        return not (self.star or self.tags or self.comment)


_NOTE = TypeAdapter(Note)


def new_note(
    *, author: str, key: Key, samples: str, problem_id: str, sample_index: int, position: int | None, excerpt: str
) -> Note:
    """A note without content, as of now, to be given some by `dataclasses.replace`. Not written yet."""
    return Note(
        note=uuid.uuid4().hex,
        revision=1,
        at=time.time(),
        author=author,
        dataset=key[0],
        model=key[1],
        samples=samples,
        problem_id=problem_id,
        sample_index=sample_index,
        position=position,
        excerpt=excerpt,
        star=False,
        tags=(),
        comment="",
    )


class Notes:
    """The notes of a store. `kept` may be shared among objects of one store, and saves reading files again."""

    def __init__(self, files: Files, kept: Kept | None = None) -> None:
        self._files = files
        self._kept: Kept = {} if kept is None else kept

    def write(self, note: Note) -> None:
        """Add a revision. Raises `StoreError` where it is too long, or cannot be written."""
        self._put(checked(note))

    def revise(self, note: Note, author: str, *, star: bool, tags: Iterable[str], comment: str) -> Note:
        """Write the next revision of a note, and return it."""
        following, now = note.revision + 1, time.time()
        revised = dataclasses.replace(
            note, revision=following, at=now, author=author, star=star, tags=tuple(tags), comment=comment
        )
        self.write(revised)
        return revised

    def remove(self, note: Note, author: str) -> None:
        """Write a revision that says that there is no such note any more; the former ones stay on the disk."""
        following, now = note.revision + 1, time.time()
        self.write(dataclasses.replace(note, revision=following, at=now, author=author, removed=True))

    def partitions(self) -> list[Key]:
        """(dataset, model) of which there are notes."""
        return [(dataset, model) for dataset in self._named(FOLDER) for model in self._named(f"{FOLDER}/{dataset}")]

    def of_partition(self, key: Key) -> list[Note]:
        """The newest revision of each note that was not removed, the latest note first."""
        newest: dict[str, Note] = {}
        for note in self._revisions(key):
            former = newest.get(note.note)
            if former is None or (note.revision, note.at) > (former.revision, former.at):
                newest[note.note] = note
        return sorted((note for note in newest.values() if not note.removed), key=lambda note: -note.at)

    def all(self) -> list[Note]:
        """The notes of all partitions, the latest first."""
        return sorted((note for key in self.partitions() for note in self.of_partition(key)), key=lambda note: -note.at)

    def rename(self, kind: Literal["dataset", "model"], old: str, new: str) -> int:
        """Keep the notes of a data set or a model that gets another name; returns the number of files."""
        count = 0
        for key in self.partitions():
            names: dict[str, str] = {"dataset": key[0], "model": key[1]}
            if names[kind] != old:
                continue
            for name in self._names(key):
                note = self._read(name)
                if note is not None:
                    renamed = {**names, kind: new}
                    moved = dataclasses.replace(note, dataset=renamed["dataset"], model=renamed["model"])
                    self._put(moved, name.rsplit("/", 1)[-1])
                    self._files.remove(name)
                    count += 1
        return count

    def _put(self, note: Note, name: str | None = None) -> None:
        folder = _folder((note.dataset, note.model))
        content = json.dumps(asdict(note), ensure_ascii=False).encode(errors="replace")
        self._files.create_bytes(f"{folder}/{name or f'{uuid.uuid4().hex}.json'}", content)

    def _revisions(self, key: Key) -> list[Note]:
        found = [self._read(name) for name in self._names(key)]
        return [note for note in found if note is not None and (note.dataset, note.model) == key]

    def _names(self, key: Key) -> list[str]:
        folder = _folder(key)
        return [f"{folder}/{name}" for name in self._files.children(folder) if name.endswith(".json")]

    def _named(self, folder: str) -> list[str]:
        return [name for name in self._files.folders(folder) if NAME.fullmatch(name)]

    def _read(self, name: str) -> Note | None:
        """The revision in a file; None, with a warning, if it is not one of ours: others may put files there."""
        if name in self._kept:
            return self._kept[name]
        try:
            if self._files.size(name) > _MOST_BYTES:
                raise ValueError("too large for a note")
            note = _NOTE.validate_json(self._files.read_bytes(name))
        except FileNotFoundError:  # renamed meanwhile
            return None
        except (StoreError, ValueError) as error:
            said = str(error).splitlines()[0]
            logger.warning("%s is no note that this onoff can read (%s); left alone", self._files.location(name), said)
            return None
        self._kept[name] = note
        return note


def checked(note: Note) -> Note:
    """The note, if it can be kept; else a `StoreError` that says what is too long."""
    if not all(NAME.fullmatch(name) for name in (note.dataset, note.model)):
        raise StoreError(f"{note.dataset!r}, {note.model!r}: not the names of a data set and a model")
    try:
        return _NOTE.validate_python(asdict(note))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise StoreError(f"the note's {'.'.join(map(str, first['loc']))}: {first['msg']}; shorten it") from error


def _folder(key: Key) -> str:
    return f"{FOLDER}/{key[0]}/{key[1]}"
