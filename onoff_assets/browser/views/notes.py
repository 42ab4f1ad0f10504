"""Notes: the stars, tags and comments of the whole store, with links to where they were made."""

import csv
import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import streamlit as st

from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link
from onoff_assets.browser.noted import notes_in
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.text import age, visible
from onoff_assets.browser.views import common
from onoff_core.store.notes import Note

_MOST_ROWS = 500
_HEADER = ["", "where", "comment, tags, by whom", "what it is on"]
_EXCERPT = 60  # characters shown of what a note is on


def show() -> None:
    reader, link = common.reader(), common.link_here()
    if not reader.partitions():
        common.no_partitions(reader)
        return
    common.keep_link(link)
    st.title("Notes")
    notes = notes_in(reader).all()
    if not notes:
        st.info("There are no notes yet: on a response, s stars it, and the note button keeps tags and a comment.")
        link_table("Notes", [], [], key="notes")
        return
    shown = _filtered(notes)
    common.note(
        f"{len(shown)} of {len(notes)} notes, the latest first; onoff export --what notes writes a partition's."
    )
    current = {key: _samples_now(reader, key) for key in {(note.dataset, note.model) for note in shown}}
    rows = [_row(note, current[note.dataset, note.model]) for note in shown[:_MOST_ROWS]]
    common.go(link_table("Notes", _HEADER, rows, key="notes"))
    with st.container(horizontal=True, vertical_alignment="center"):
        common.note("Take away what is shown:")
        for label, made, name, kind in (
            ("JSON lines", _as_lines, "notes.jsonl", "application/jsonl"),
            ("CSV", _as_csv, "notes.csv", "text/csv"),
        ):
            st.download_button(
                label, partial(made, shown), name, kind, on_click="ignore", type="tertiary", icon=":material/download:"
            )


def _filtered(notes: Sequence[Note]) -> list[Note]:
    tags = sorted({tag for note in notes for tag in note.tags})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.multiselect("Tags", tags, key="notes-tags", placeholder="any")
        text = st.text_input("Text", key="notes-text", placeholder="in a comment, a tag or a name")
        stars = st.toggle("stars alone", key="notes-stars")
    return [
        note
        for note in notes
        if (not wanted or set(wanted) & set(note.tags))
        and (not stars or note.star)
        and text.casefold()
        in "\n".join((note.comment, *note.tags, note.author, note.excerpt, note.problem_id)).casefold()
    ]


def _samples_now(reader: Reader, key: tuple[str, str]) -> str | None:
    current = reader.store.current("samples", key)
    return None if current is None else current.fingerprint


def _row(note: Note, samples: str | None) -> list[Cell]:
    link = Link(note.dataset, note.model, None, note.problem_id, note.sample_index, note.position).query()
    there = {"page": "response", "query": link} if samples is not None else {}
    former = "" if samples in (note.samples, None) else "made on former responses"
    where = f"{note.problem_id}, sample {note.sample_index}"
    if note.position is not None:
        where += f", token {note.position}"
    tags = ", ".join(f"#{tag}" for tag in note.tags)  # a tag may have several words
    by = " · ".join(part for part in (tags, f"{visible(note.author, 40)}, {age(note.at, time.time())}") if part)
    return [
        Cell("★" if note.star else ""),
        Cell(where, f"{note.dataset} | {note.model}", breaks=True, **there),  # type: ignore[arg-type]
        Cell(note.comment, by, prose=True),
        Cell(visible(note.excerpt, _EXCERPT), former, mono=True),
    ]


def _as_lines(notes: Sequence[Note]) -> str:
    return "".join(json.dumps(asdict(note), ensure_ascii=False) + "\n" for note in notes)


def _as_csv(notes: Sequence[Note]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    names = [
        "dataset",
        "model",
        "problem_id",
        "sample_index",
        "position",
        "star",
        "tags",
        "comment",
        "excerpt",
        "author",
        "at",
    ]
    writer.writerow(names)
    for note in notes:
        values = {**asdict(note), "tags": " ".join(note.tags)}
        writer.writerow([_plain(values[name]) for name in names])
    return out.getvalue()


def _plain(value: object) -> object:
    """Text that a spreadsheet would take for a formula stays text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
