"""Responses: those of a partition or of several as one table, to sort, filter and search."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import streamlit as st

from onoff_assets.browser.components.data_table import Content, Note, Over, Row, Searched, Shown, View, data_table
from onoff_assets.browser.computing import Job
from onoff_assets.browser.downloads import taken
from onoff_assets.browser.links import Link
from onoff_assets.browser.noted import ANY_NOTE, NAMES, NOTES, STAR, STARRED, notes_on, state_of, with_notes
from onoff_assets.browser.queries import Query, Rows, read_columns, rows_of
from onoff_assets.browser.reading import Key, Reader
from onoff_assets.browser.response_rows import (
    COLUMNS,
    CONFIDENCE,
    NUMBERS,
    OF_WHOM,
    FoundRows,
    ResponseRows,
    made_of,
    numbers_job,
    response_rows,
    search_job,
    texts_of,
)
from onoff_assets.browser.scope import OVER, keys_over, over_of
from onoff_assets.browser.searching import Search, excerpt
from onoff_assets.browser.views import common, listing, strip
from onoff_core.tables import LENGTH, LENGTH_IN_THINKING

_MARKS = {"correct": "right", "wrong": "wrong", "no_answer": "wrong", "timeout": "wrong", "gold_unparsed": "open"}
_WAIT_NUMBERS, _WAIT_SEARCH = 0.1, 0.6  # seconds that a page waits before it shows what it has


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    over = over_of(st.query_params)
    common.keep_link(Link(*key))
    strip.show(reader, key)
    rows = response_rows(reader, keys_over(reader, key, over), first=key)
    others = st.container()
    st.title("Responses")
    _table(reader, rows, key, over)
    with others:  # after the rows, since it asks for the state of the whole grid
        strip.show_others(reader, key, rows.keys)


@dataclass(frozen=True)
class _Listed:
    """What is shown of the responses: `order` numbers the rows of `table`, which `version` names."""

    rows: ResponseRows
    table: pa.Table
    shown: Sequence[Shown]
    query: Query
    order: Rows
    version: str
    search: Search | None
    fault: str
    notes: Sequence[Note]  # lines above the rows
    is_starred: bool
    waiting: Sequence[Job[Any]]
    is_searching: bool


@st.fragment
def _table(reader: Reader, rows: ResponseRows, key: Key, over: str) -> None:
    """The table: another order, filter or window runs this again and nothing else of the page."""
    if over_of(st.query_params) != over:  # whose responses are shown changed in this fragment
        st.rerun()
    one = _listed(reader, rows)
    content = _content(one, key, over)
    listing.go(data_table(content, key="responses", on_ask=listing.ask(COLUMNS), on_star=listing.star(reader)))
    listing.wait_for(one.waiting)
    with_text = st.session_state.get("take-text", False)
    listing.downloads("-".join(["responses", *key]), lambda: _taken(rows, one.table, one.order, with_text), _with_text)


def _listed(reader: Reader, rows: ResponseRows) -> _Listed:
    """The responses that the address asks for, as far as is known by now."""
    numbers = numbers_job(reader, rows)
    known = numbers.result(_WAIT_NUMBERS)
    plain = rows.table
    if known is not None:
        for name in known.column_names:
            plain = plain.append_column(name, known[name])
    made = notes_on(reader, rows.keys)
    table = with_notes(plain, made)
    identity = (*rows.identity, known is None, numbers.key)
    shown = _shown(reader, identity, plain, table)
    pending = set() if known is not None else {*NUMBERS, *CONFIDENCE}
    there = {*(one.column.name for one in shown), *pending, *NAMES}
    query, notes = listing.query_here(table, COLUMNS, there, searches=True)
    shown = shown if known is None else listing.with_asked(shown, query, COLUMNS)
    search, found, searching, fault = _search(reader, rows, query, notes)
    notes += [*listing.faults(), *_notes(rows, None if known is not None else numbers, bool(query.columns & pending))]
    answerable = query if known is not None else _answerable(query, pending)
    mask = None if search is None else (np.zeros(len(table), dtype=bool) if found is None else found.mask)
    noted = state_of(made) if query.columns & set(NAMES) else ()
    order = reader.kept(
        ("order", *identity, answerable, found and found.num_searched, noted),
        lambda: rows_of(table, answerable, COLUMNS, mask),
        lambda made: made.nbytes,
    )
    waiting = [*([numbers] if known is None else []), *([searching] if searching is not None else [])]
    version = listing.version_of(identity, query, found is None, noted)
    is_starred = any(note.star for note in made)
    return _Listed(
        rows, table, shown, query, order, version, search, fault, notes, is_starred, waiting, searching is not None
    )


def _content(one: _Listed, key: Key, over: str) -> Content:
    names = [shown.column.name for shown in one.shown]
    walk = {**one.query.address(COLUMNS), **({"over": over} if over else {})}
    return Content(
        caption="Responses",
        version=one.version,
        columns=one.shown,
        all_columns=COLUMNS,
        query=one.query,
        chosen=read_columns(st.query_params.to_dict()),
        total=len(one.order),
        of=len(one.table),
        read=lambda first, end: _rows(one.rows, one.table, one.shown, one.order[first:end], one.search, walk),
        views=views(names, one.is_starred),
        links=[Over("Problems, worst first", "problems", {**Link(*key).query(), "sort": "pass_rate"})],
        notes=one.notes,
        named=names.index("problem_id"),
        search=Searched(one.query.text, one.query.is_regex, one.fault, tuple(OVER.items()), over),
        excerpts=one.search is not None,
        empty="Searching ..." if one.is_searching else _empty(one.table),
    )


def _shown(reader: Reader, key: tuple[Hashable, ...], plain: pa.Table, noted: pa.Table) -> list[Shown]:
    """The columns that are there; the data set and the model only where there are several.

    `plain`: the table without notes, which change while it stays, and `key` names it.
    """
    stars = () if common.is_read_only() else (STAR.name,)
    found = [
        *reader.kept(("shown", *key), lambda: listing.shown_columns(plain, COLUMNS), lambda _: 50_000),
        *listing.shown_columns(noted, (STAR, NOTES), always=stars),
    ]
    there = {one.column.name: one for one in found if one.column.name not in OF_WHOM or len(one.options) > 1}
    return [there[column.name] for column in COLUMNS if column.name in there]


def _empty(table: pa.Table) -> str:
    graded = table["status"].null_count < table.num_rows
    return "No response matches." if graded else "No response matches: none of these is graded yet."


def _with_text() -> None:
    st.checkbox("with the responses' text", key="take-text")


def views(names: Sequence[str], is_starred: bool = False) -> list[View]:
    """The queries that are asked for most. How sure a response was is its confidence, else its entropy, else its
    log-probability, by what is there."""
    measure, surest_is_largest, word = next(
        (
            found
            for found in (
                ("mean_confidence", True, "highest confidence"),
                ("mean_entropy", False, "lowest mean entropy"),
                ("mean_log_prob", True, "highest log-probability"),
            )
            if found[0] in names
        ),
        (None, True, ""),
    )
    sure = [] if measure is None else [
        View("confidently wrong", f"wrong answers, {word} first",
             Query(measure, surest_is_largest, choices=(("status", ("wrong",)),))),
        View("unsure and correct", f"correct answers, the other end of {measure.replace('_', ' ')} first",
             Query(measure, not surest_is_largest, choices=(("status", ("correct",)),))),
    ]  # fmt: skip
    return [
        View("all", "every response, as the data set has them", Query()),
        *sure,
        View("longest", "the most tokens first", Query("num_tokens", True)),
        View("truncated", "cut off at max_length", Query(choices=(("finish_reason", (LENGTH, LENGTH_IN_THINKING)),))),
        *(
            [View("★ starred", "responses that have a star", Query(choices=((STAR.name, (STARRED,)),)))]
            if is_starred
            else []
        ),
        *(
            [View("with notes", "responses with tags or comments", Query(choices=((NOTES.name, (ANY_NOTE,)),)))]
            if NOTES.name in names
            else []
        ),
    ]


def _search(
    reader: Reader, rows: ResponseRows, query: Query, notes: list[Note]
) -> tuple[Search | None, FoundRows | None, Job[FoundRows] | None, str]:
    """What is searched for, what was found, the work where it is still under way, and why the text cannot be used."""
    if not query.text:
        return None, None, None, ""
    search = Search(query.text, query.is_regex)
    fault = search.fault()
    if fault is not None:
        return None, None, None, f"This is no regular expression that can be used: {fault}"
    work = search_job(reader, rows, search)
    found = work.result(_WAIT_SEARCH)
    if found is None:
        notes.append(Note(f"Searched {work.done:,} of {work.total or len(rows.table):,} responses ..."))
        return search, None, work, ""
    if found.num_searched < len(rows.table):
        notes.append(Note(
            f"Only {found.num_searched:,} of {len(rows.table):,} responses were searched before the time was over; "
            "choose fewer partitions.", "warning",
        ))  # fmt: skip
    return search, found, None, ""


def _answerable(query: Query, pending: set[str]) -> Query:
    """The query without what is not known yet."""
    return Query(
        None if query.sort in pending else query.sort,
        query.falling,
        tuple(one for one in query.ranges if one[0] not in pending),
        query.choices,
        query.holds,
        query.text,
        query.is_regex,
    )


def _notes(rows: ResponseRows, numbers: Job[pa.Table] | None, is_waited_for: bool) -> list[Note]:
    """`numbers`: the work where it is under way."""
    found = []
    if numbers is not None:
        waiting = "; the order asked for follows" if is_waited_for else ""
        found.append(Note(f"Reading the tokens: {numbers.done:,} of {len(rows.table):,} responses{waiting} ..."))
    if rows.left_out:
        names = ", ".join("|".join(key) for key in rows.left_out[:3])
        found.append(Note(
            f"{len(rows.left_out)} partitions are left out, as {len(rows.table):,} responses are shown already: {names}"
            f"{' ...' if len(rows.left_out) > 3 else ''}. Choose fewer at the side.", "warning",
        ))  # fmt: skip
    if rows.missing:
        number = len(rows.missing)
        have = "1 partition has" if number == 1 else f"{number} partitions have"
        found.append(Note(f"{have} no responses yet: {rows.missing[0]}", "warning"))
    return found


def _rows(
    rows: ResponseRows,
    table: pa.Table,
    shown: Sequence[Shown],
    wanted: Rows,
    search: Search | None,
    walk: dict[str, str],
) -> list[Row]:
    """The rows of a window. `walk` goes along to the response: whose, in which filter and order one walks on there."""
    names = [one.column.name for one in shown]
    values = table.take(pa.array(wanted)).to_pylist()
    excerpts = [()] * len(wanted) if search is None else [excerpt(text, search) for text in texts_of(rows, wanted)]
    place = names.index("status") if "status" in names else None
    made = []
    for row, hit in zip(values, excerpts, strict=True):
        mark = _MARKS.get(row["status"] or "")
        link = Link(row["of_dataset"], row["of_model"], problem=row["problem_id"], sample=row["sample_index"])
        marks = {place: mark} if place is not None and mark else {}
        made.append(Row(listing.cells(row, shown), "response", {**link.query(), **walk}, marks, hit))
    return made


def _taken(rows: ResponseRows, table: pa.Table, order: Rows, with_text: bool) -> pa.Table:
    chosen = taken(table, order, COLUMNS)
    for name, column in zip(("samples", "rewards"), made_of(rows, order).columns, strict=True):
        chosen = chosen.append_column(name, column)
    return chosen.append_column("response", pa.array(texts_of(rows, order), pa.string())) if with_text else chosen
