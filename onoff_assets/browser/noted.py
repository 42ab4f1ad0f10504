"""Stars and notes of responses, as columns of their tables.

Notes are few and change at any time, so they are looked up anew each time and joined to what is kept of the results.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onoff_assets.browser.queries import Column
from onoff_assets.browser.reading import Key, Reader
from onoff_core.store.notes import Note, Notes

STARRED = "starred"
ANY_NOTE, WITH_COMMENT = "any note", "with a comment"  # values of `notes` beside its tags, which begin with #
STAR = Column("star", "★", "choice", "starred responses; a click stars one, or takes the star away", width=2.1, need=1,
              line=1)  # fmt: skip
NOTES = Column(
    "notes", "notes", "choice", "tags and comments on the response or on its tokens", width=5, need=2, line=3
)
NAMES = (STAR.name, NOTES.name)
_LONGEST = 200  # characters of a cell
_KEPT: dict[str, dict[str, Note]] = {}  # store -> file -> note; files never change

Response = tuple[str, str, str, int]  # data set, model, problem, sample


def notes_in(reader: Reader) -> Notes:
    return Notes(reader.store.files, _KEPT.setdefault(str(reader.store.root), {}))


def notes_on(reader: Reader, keys: Sequence[Key]) -> list[Note]:
    """The notes on responses of these partitions, and on their tokens, the latest of a partition first."""
    notes = notes_in(reader)
    there = notes.partitions() if len(keys) > 1 else keys
    return [note for key in there if key in set(keys) for note in notes.of_partition(key)]


def state_of(notes: Sequence[Note]) -> tuple[tuple[str, int], ...]:
    """What changes with any of the notes."""
    return tuple((note.note, note.revision) for note in notes)


def with_notes(table: pa.Table, notes: Sequence[Note]) -> pa.Table:
    """A table of responses with `star` (`STARRED` or null), `notes` (values to choose by) and `notes_text`.

    `table` has of_dataset, of_model, problem_id, sample_index. A note on a token is one on its response; its star is
    not.
    """
    if not notes:
        nulls = [pa.nulls(table.num_rows, kind) for kind in (pa.string(), pa.list_(pa.string()), pa.string())]
        for name, column in zip((*NAMES, "notes_text"), nulls, strict=True):
            table = table.append_column(name, column)
        return table
    by_response: dict[Response, list[Note]] = {}
    for note in notes:
        by_response.setdefault((note.dataset, note.model, note.problem_id, note.sample_index), []).append(note)
    star: list[str | None] = [None] * table.num_rows
    values: list[list[str] | None] = [None] * table.num_rows
    texts: list[str | None] = [None] * table.num_rows
    for row, found in _rows_of(table, by_response):
        star[row] = STARRED if any(note.star and note.position is None for note in found) else None
        values[row], texts[row] = values_of(found), text_of(found)
    table = table.append_column("star", pa.array(star, pa.string()))
    table = table.append_column("notes", pa.array(values, pa.list_(pa.string())))
    return table.append_column("notes_text", pa.array(texts, pa.string()))


def _rows_of(table: pa.Table, wanted: dict[Response, list[Note]]) -> list[tuple[int, list[Note]]]:
    """(row, its notes) of the responses that are wanted."""
    if not wanted:
        return []
    problems = pa.array(sorted({response[2] for response in wanted}), pa.string())
    rows = np.flatnonzero(pc.is_in(table["problem_id"], problems).to_numpy(zero_copy_only=False))
    names = ["of_dataset", "of_model", "problem_id", "sample_index"]
    columns = [table[name].take(pa.array(rows)).to_pylist() for name in names]
    return [
        (row, wanted[response])
        for row, response in zip(rows.tolist(), zip(*columns, strict=True), strict=True)
        if response in wanted
    ]


def values_of(notes: Sequence[Note]) -> list[str] | None:
    """What these notes can be chosen by; None where they are stars alone."""
    tags = sorted({f"#{tag}" for note in notes for tag in note.tags})
    comments = [WITH_COMMENT] if any(note.comment for note in notes) else []
    return [ANY_NOTE, *comments, *tags] if tags or comments else None


def text_of(notes: Sequence[Note]) -> str | None:
    """Their tags and comments on one line; None where they are stars alone."""
    tags = sorted({f"#{tag}" for note in notes for tag in note.tags})
    comments = [f"✎ {note.comment}" for note in notes if note.comment]
    return " ".join([*tags, *comments])[:_LONGEST] or None


def with_notes_of_problems(table: pa.Table, notes: Sequence[Note]) -> pa.Table:
    """A table of problems with those of their responses: `num_starred` and, as above, `notes` and `notes_text`."""
    by_problem: dict[str, list[Note]] = {}
    for note in notes:
        by_problem.setdefault(note.problem_id, []).append(note)
    found = [by_problem.get(problem, []) for problem in table["problem_id"].to_pylist()]
    stars = [len({note.sample_index for note in own if note.star and note.position is None}) or None for own in found]
    table = table.append_column("num_starred", pa.array(stars, pa.int32()))
    table = table.append_column("notes", pa.array([values_of(own) for own in found], pa.list_(pa.string())))
    return table.append_column("notes_text", pa.array([text_of(own) for own in found], pa.string()))
