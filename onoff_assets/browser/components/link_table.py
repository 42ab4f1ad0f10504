"""A table of text whose cells may be links into the browser: the grid, problems that flip, a prefix tree."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.colour import ramp_css
from onoff_assets.browser.components import as_bytes
from onoff_assets.browser.links import looks_of
from onoff_assets.browser.text import visible

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_link_table",
    html='<div id="table"></div>',
    css=ramp_css() + (_HERE / "link_table.css").read_text(),
    js=(_HERE / "link_table.js").read_text(),
)


@dataclass(frozen=True)
class Cell:
    """Text, a smaller second line, a level of a ramp (`e` or `w`), an indent, and where a click leads.

    `page` and `query` are in this browser; `href` is an address elsewhere, never one that a model or a data set wrote.
    """

    text: str
    note: str = ""
    level: int = 0
    ramp: str = "w"
    indent: int = 0
    mono: bool = False
    breaks: bool = False  # a long text may break at any letter, as with `mono`
    prose: bool = False  # several lines of text, which stay readable on a narrow screen
    whole: bool = False  # its text stays on one line, such as a sign and its word
    number: bool = False
    value: float | None = None  # of a grid's cell, what it is ordered by
    mark: str = ""  # of a grid's cell, where there is little room
    done: float | None = None  # of a grid's cell that is being made, the share that is there
    chosen: bool = False  # what the page shows more of
    page: str | None = None
    query: dict[str, str] = field(default_factory=dict)
    href: str | None = None

    def payload(self) -> dict[str, Any]:
        shown = {name: value for name, value in vars(self).items() if value not in (0, "", None, False, {})}
        shown |= {name: number for name in ("value", "done") if (number := getattr(self, name)) is not None}  # 0 too
        return {**shown, "text": visible(self.text), "note": visible(self.note)}


def link_table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, key: str, scrolls: bool = False
) -> dict[str, Any] | None:
    """Show the table; `{page, query}` of a link that was clicked just now, else None.

    `scrolls`: where it is long it scrolls in itself, with the header and the first column in sight.
    """
    data = {
        "caption": caption,
        "columns": [visible(column) for column in columns],
        "scrolls": scrolls,
        "looks": looks_of(st.query_params),
        "rows": [[cell.payload() for cell in row] for row in rows],
    }
    clicked = _MOUNT(key=key, data=as_bytes(data), on_go_change=lambda: None).go
    return dict(clicked) if clicked else None
