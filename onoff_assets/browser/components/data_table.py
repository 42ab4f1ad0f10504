"""A table of any length with an order, filters and a search: it is sent the rows in sight and asks for the others.

Where a window has no room for the columns that every table needs, each row is a card of a few lines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.components import as_bytes, script, shortened
from onoff_assets.browser.queries import Column, Query, packed
from onoff_assets.browser.text import visible

WINDOW = 200  # rows that are sent at once
_LONGEST = 300  # characters of a cell: a question may be long
_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_data_table",
    html='<div id="data"></div>',
    css=shortened((_HERE / "data_table.css").read_text()),
    js=shortened(script("data_table")),
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
    bar: bool = False  # a number is drawn as a bar below it too, from the lowest of all rows to the highest


@dataclass(frozen=True)
class Place:
    """A link in a cell of the kind `links`."""

    text: str
    page: str
    query: dict[str, str]
    tip: str = ""  # what is told where one points at it


Value = str | float | Sequence[Place] | None


@dataclass(frozen=True)
class Searched:
    """What is looked for in the responses, why that cannot be used, and among which responses, as in the address."""

    text: str
    is_regex: bool
    fault: str = ""
    scopes: Sequence[tuple[str, str]] = ()
    scope: str = ""


@dataclass(frozen=True)
class Row:
    """A row as it is sent: a value for each column, where a click leads, classes of cells, the text around a hit."""

    cells: Sequence[Value]
    page: str
    query: dict[str, str]
    marks: dict[int, str] = field(default_factory=dict)
    excerpt: Sequence[tuple[str, bool]] = ()
    spans: dict[int, tuple[float, float]] = field(default_factory=dict)  # of 0 to 1, drawn below a number
    tips: dict[int, str] = field(default_factory=dict)  # what is told of a cell that one points at

    def payload(self) -> dict[str, Any]:
        shown = {"cells": [_sent(value) for value in self.cells], "link": {"page": self.page, "query": self.query}}
        more = {"marks": self.marks, "excerpt": self.excerpt, "spans": self.spans, "tips": self.tips}
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
    search: Searched | None = None
    chosen: dict[str, bool] = field(default_factory=dict)  # columns to show or to hide, by their names in the address
    excerpts: bool = False  # a second line below each row
    empty: str = "No row matches."
    is_short: bool = False  # leaves room for what follows on the page


def _sent(value: Value) -> Any:
    if isinstance(value, str):
        return visible(value, _LONGEST)
    if value is None or isinstance(value, int | float):
        return value
    return [
        {"text": visible(place.text), "page": place.page, "query": place.query, "tip": visible(place.tip, _LONGEST)}
        for place in value
    ]


def data_table(
    content: Content,
    *,
    key: str,
    on_ask: Callable[[dict[str, Any]], None],
    on_star: Callable[[list[dict[str, Any]]], None] | None = None,
) -> dict[str, Any] | None:
    """Show the table; `{page, query}` of a link that was clicked just now, else None.

    `on_ask` is called before the script runs again, with `{replace, address}` of another order or filter; `on_star`
    with `{query, star}` of each row whose star was clicked. Without it stars are shown and cannot be changed.
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
        "search": None if content.search is None else _search(content.search),
        "chosen": content.chosen,
        "stars": on_star is not None,
        "views": [_view(view, content) for view in content.views],
        "links": [vars(link) for link in content.links],
        "notes": [{"text": visible(note.text), "kind": note.kind} for note in content.notes],
        "named": content.named,
        "excerpts": content.excerpts,
        "empty": content.empty,
        "short": content.is_short,
        "first": first,
        "rows": [row.payload() for row in rows],
    }

    def asked() -> None:
        wanted = st.session_state[key].get("ask")
        if wanted:
            on_ask(dict(wanted))

    def starred() -> None:
        wanted = st.session_state[key].get("star")
        if wanted and on_star is not None:
            on_star([dict(one) for one in wanted])

    shown = _MOUNT(
        key=key,
        data=as_bytes(data),
        on_window_change=lambda: None,
        on_ask_change=asked,
        on_star_change=starred,
        on_go_change=lambda: None,
    )
    return dict(shown.go) if shown.go else None


def _first(window: Any, content: Content) -> int:
    """The first row to send: what the view asks for, if it asks it of this content."""
    if not window or window.get("version") != content.version or not isinstance(window.get("first"), int):
        return 0
    return int(max(0, min(window["first"], content.total - 1)))


def _search(searched: Searched) -> dict[str, Any]:
    return {
        **{name: getattr(searched, name) for name in ("text", "fault", "scopes", "scope")},
        "regex": searched.is_regex,
    }


_OF_COLUMN = ("name", "label", "kind", "meaning", "digits", "width", "need", "line", "grows", "words", "mono")


def _column(shown: Shown) -> dict[str, Any]:
    low, high = shown.extent or (None, None)
    return {
        **{name: getattr(shown.column, name) for name in _OF_COLUMN},
        "address": shown.column.in_address,
        "low": None if low is None else round(low, shown.column.digits),
        "high": None if high is None else round(high, shown.column.digits),
        "options": [[packed(option), visible(shown.column.shown(option))] for option in shown.options],
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
