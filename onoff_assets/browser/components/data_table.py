"""A table of any length with an order, filters and a search: it is sent the rows in sight and asks for the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.components import as_bytes
from onoff_assets.browser.queries import Column, Query, packed
from onoff_assets.browser.text import visible

WINDOW = 200  # rows that are sent at once
_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_data_table",
    html='<div id="data"></div>',
    css=(_HERE / "data_table.css").read_text(),
    js=(_HERE / "data_table.js").read_text(),
)


@dataclass(frozen=True)
class View:
    """A query that is asked for by one click."""

    label: str
    meaning: str
    query: Query


@dataclass(frozen=True)
class Over:
    """A link to another page of the browser."""

    label: str
    page: str
    query: dict[str, str]


@dataclass(frozen=True)
class Note:
    """A line above the rows; `kind` is empty or "warning"."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Shown:
    """A column with what its filter offers."""

    column: Column
    extent: tuple[float, float] | None = None
    options: Sequence[str] = ()
    bar: bool = False  # a number is drawn as a bar below it too


@dataclass(frozen=True)
class Row:
    """A row as it is sent: a value for each column, where a click leads, classes of cells, the text around a hit."""

    cells: Sequence[str | float | None]
    page: str
    query: dict[str, str]
    marks: dict[int, str] = field(default_factory=dict)
    excerpt: Sequence[tuple[str, bool]] = ()
    spans: dict[int, tuple[float, float]] = field(default_factory=dict)  # of 0 to 1, drawn below a number

    def payload(self) -> dict[str, Any]:
        shown = {"cells": [visible(c) if isinstance(c, str) else c for c in self.cells],
                 "link": {"page": self.page, "query": self.query}}  # fmt: skip
        more = {"marks": self.marks, "excerpt": self.excerpt, "spans": self.spans}
        return {**shown, **{name: value for name, value in more.items() if value}}


@dataclass(frozen=True)
class Content:
    """What the table shows: `total` rows after the filters, of `of`; `read` gives those of a window."""

    caption: str
    version: str  # of the query and what it is asked of: with another one, all rows are others
    columns: Sequence[Shown]
    all_columns: Sequence[Column]  # with those that are not there now
    query: Query
    total: int
    of: int
    read: Callable[[int, int], list[Row]]  # (first, one after the last)
    views: Sequence[View] = ()
    links: Sequence[Over] = ()
    notes: Sequence[Note] = ()
    named: int = 0  # the column whose cells are the links
    searches: bool = False
    excerpts: bool = False  # a second line below each row
    empty: str = "No row matches."


def data_table(content: Content, *, key: str, on_ask: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    """Show the table; `{page, query}` of a link that was clicked just now, else None.

    `on_ask` is called before the script runs again, with `{replace, address}` of another order or filter.
    """
    state = st.session_state.get(key)
    first = _first(state.get("window") if state is not None else None, content)
    rows = content.read(first, min(first + WINDOW, content.total))
    data = {
        "caption": content.caption,
        "version": content.version,
        "total": content.total,
        "of": content.of,
        "columns": [_column(shown) for shown in content.columns],
        "sort": content.query.sort,
        "falling": content.query.falling,
        "filters": _filters(content.query, content.all_columns),
        "search": {"text": content.query.text, "regex": content.query.is_regex} if content.searches else None,
        "views": [_view(view, content) for view in content.views],
        "links": [vars(link) for link in content.links],
        "notes": [{"text": visible(note.text), "kind": note.kind} for note in content.notes],
        "named": content.named,
        "excerpts": content.excerpts,
        "empty": content.empty,
        "first": first,
        "rows": [row.payload() for row in rows],
    }

    def asked() -> None:
        wanted = st.session_state[key].get("ask")
        if wanted:
            on_ask(dict(wanted))

    shown = _MOUNT(
        key=key, data=as_bytes(data), on_window_change=lambda: None, on_ask_change=asked, on_go_change=lambda: None
    )
    return dict(shown.go) if shown.go else None


def _first(window: Any, content: Content) -> int:
    """The first row to send: what the view asks for, if it asks it of this content."""
    if not window or window.get("version") != content.version or not isinstance(window.get("first"), int):
        return 0
    return int(max(0, min(window["first"], content.total - 1)))


def _column(shown: Shown) -> dict[str, Any]:
    low, high = shown.extent or (None, None)
    return {
        **{name: getattr(shown.column, name) for name in ("name", "label", "kind", "meaning", "digits", "width")},
        "address": shown.column.in_address,
        "low": None if low is None else round(low, shown.column.digits),
        "high": None if high is None else round(high, shown.column.digits),
        "options": [[packed(option), visible(option)] for option in shown.options],
        "bar": shown.bar,
    }


def _filters(query: Query, columns: Sequence[Column]) -> dict[str, list[str] | str]:
    """By the column's name: both ends of a range as text, choices as in the address, or a text."""
    address, names = query.address(columns), {column.name: column.in_address for column in columns}
    ranges = {name: ["" if end is None else f"{end:.10g}" for end in (low, high)] for name, low, high in query.ranges}
    return {**ranges, **{name: address[names[name]] for name, _ in (*query.choices, *query.holds)}}


def _view(view: View, content: Content) -> dict[str, Any]:
    address = view.query.address(content.all_columns)
    return {"label": view.label, "meaning": view.meaning, "address": address, "active": view.query == content.query}
