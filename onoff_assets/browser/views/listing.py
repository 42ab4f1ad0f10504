"""What the pages of tables share: order, filters and columns that live in the address, stars, and downloads."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import streamlit as st

from onoff_assets.browser.components.data_table import Note, Shown, Value
from onoff_assets.browser.computing import Job
from onoff_assets.browser.downloads import as_csv, as_parquet
from onoff_assets.browser.links import looks_of, read_link
from onoff_assets.browser.problem_rows import COLUMNS as OF_PROBLEMS
from onoff_assets.browser.queries import Column, Query, extent, names_in_address, options, read_query
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.response_rows import COLUMNS as OF_RESPONSES
from onoff_assets.browser.response_rows import OF_WHOM
from onoff_assets.browser.views import common, noting

_WITH_BARS = ("num_tokens", "mean_num_tokens", "mean_entropy", "maximum_entropy", "mean_log_prob", "mean_confidence",
              "lowest_window_confidence", "unsure_percent", "token_entropy")  # fmt: skip


_TABLES = ("problems", "responses")  # pages, whose own links say themselves what is filtered there
_BESIDE = ("columns", "over")  # in the address, and of no query: which columns, and whose responses


def query_here(
    table: pa.Table, columns: Sequence[Column], shown: Collection[str], searches: bool = False
) -> tuple[Query, list[Note]]:
    """The query of the address, and a note for each part that cannot be read.

    `shown`: the names of columns that hold something, or will. The order is by one of these; a filter holds also where
    no row of the table has a value, such as a verdict before anything is graded: then it lets none through.
    """
    asked = [
        column for column in columns
        if column.name in shown or (column.name in table.column_names and column.name not in OF_WHOM)
    ]  # fmt: skip
    query, messages = read_query(st.query_params, asked, searches)
    if query.sort not in shown:
        query = replace(query, sort=None, falling=False)
    return query, [Note(message, "warning") for message in messages]


def with_asked(shown: Sequence[Shown], query: Query, columns: Sequence[Column]) -> list[Shown]:
    """These columns and those that hold nothing and are filtered by, so that one sees the filter and takes it away."""
    there = {one.column.name: one for one in shown}
    asked = replace(query, sort=None).columns
    return [
        there.get(column.name) or Shown(column)
        for column in columns
        if column.name in there or column.name in asked
    ]  # fmt: skip


def ask(columns: Sequence[Column]) -> Callable[[dict[str, Any]], None]:
    """Writes what the table asks for into the address."""
    names = names_in_address(columns)

    def asked(wanted: dict[str, Any]) -> None:
        before = {} if wanted.get("replace") else st.query_params.to_dict()
        changed = {**before, **{name: value or "" for name, value in dict(wanted.get("address") or {}).items()}}
        query, _ = read_query(changed, columns, searches=True)
        beside = {name: changed[name] or None for name in _BESIDE if name in changed}
        common.set_link(**{**dict.fromkeys(names), **query.address(columns), **beside})
        common.remember()

    return asked


def star(reader: Reader) -> Callable[[list[dict[str, Any]]], None] | None:
    """Writes the stars that were clicked; None where the browser only reads."""

    def starred(wanted: list[dict[str, Any]]) -> None:
        for one in wanted:
            link, _ = read_link(dict(one["query"]))
            if link.dataset and link.model and link.problem and link.sample is not None:
                noting.set_star(reader, (link.dataset, link.model), link.problem, link.sample, bool(one["star"]))

    return None if common.is_read_only() else starred


def faults() -> list[Note]:
    """What went wrong when a star was written."""
    error = st.session_state.pop("note-error", None)
    return [Note(error, "warning")] if error else []


def shown_columns(table: pa.Table, columns: Sequence[Column], always: Sequence[str] = ()) -> list[Shown]:
    """The columns that hold something, and those of `always`, with what their filters offer."""
    found = []
    for column in columns:
        if column.name not in table.column_names:
            continue
        if column.name not in always and table[column.name].null_count == table.num_rows > 0:
            continue
        if column.kind == "number":
            found.append(Shown(column, extent=extent(table, column), bar=column.name in _WITH_BARS))
        else:
            found.append(Shown(column, options=options(table, column) if column.kind == "choice" else ()))
    return found


def go(target: dict[str, Any] | None) -> None:
    """Follow a link of a table. One to a table says itself what is filtered and how it is ordered there; to a row's
    response or problem all goes along, so that one walks on in the same filter and order.
    """
    if target and target["page"] in _TABLES:
        own = {*names_in_address(OF_RESPONSES), *names_in_address(OF_PROBLEMS)}
        looks = {name: value for name, value in looks_of(st.query_params).items() if name not in own}
        st.switch_page(st.session_state["pages"][target["page"]], query_params={**looks, **target.get("query", {})})
    common.go(target)


def cells(row: dict[str, Any], columns: Sequence[Shown]) -> list[Value]:
    """A row's values as they are sent: a number no longer than it is shown, of choices among several their text."""
    values = ((one.column, row[one.column.name]) for one in columns)
    return [
        round(value, column.digits) if isinstance(value, float)
        else row[f"{column.name}_text"] if isinstance(value, list) and column.kind == "choice"
        else column.shown(value) if isinstance(value, str)
        else value
        for column, value in values
    ]  # fmt: skip


def version_of(*parts: object) -> str:
    """A name of what is shown, which changes with it."""
    return hashlib.sha256(repr(parts).encode(errors="replace")).hexdigest()[:16]


def wait_for(jobs: Sequence[Job[Any]]) -> None:
    """Run the page again as soon as one of these has ended."""
    if jobs:
        st.fragment(_look, run_every=0.4)(jobs)


def _look(jobs: Sequence[Job[Any]]) -> None:
    if any(one.has_ended for one in jobs):
        st.rerun()


def _file(make: Callable[[pa.Table], bytes], table: Callable[[], pa.Table]) -> bytes:
    return make(table())


def downloads(name: str, table: Callable[[], pa.Table], more: Callable[[], object] | None = None) -> None:
    """Buttons for what the table shows; the file is made when one is pressed. `more` draws another control beside."""
    with st.container(horizontal=True, vertical_alignment="center"):
        common.note("Take away what is shown:")
        for label, ending, make, kind in (
            ("CSV", "csv", as_csv, "text/csv"),
            ("Parquet", "parquet", as_parquet, "application/vnd.apache.parquet"),
        ):
            st.download_button(
                label, partial(_file, make, table), f"{name}.{ending}", kind, key=f"take-{ending}",
                on_click="ignore", type="tertiary", icon=":material/download:",
            )  # fmt: skip
        if more is not None:
            more()
