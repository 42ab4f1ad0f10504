"""Data sets x models: a table with headers that stay, ordered and filtered in the page, with means."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.colour import ramp_css
from onoff_assets.browser.components import as_bytes
from onoff_assets.browser.components.link_table import Cell
from onoff_assets.browser.text import visible

STATE = ("rows", "columns", "find_dataset", "find_model")  # in the address: what is ordered by what, and the filters
_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_grid_table",
    html='<div id="table"></div>',
    css=ramp_css() + (_HERE / "grid_table.css").read_text(),
    js=(_HERE / "grid_table.js").read_text(),
)


def grid_table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    key: str,
    address: Mapping[str, str],
    on_ask: Callable[[dict[str, Any]], None],
    hints: tuple[str, str] = ("", ""),
) -> dict[str, Any] | None:
    """Show the table, whose first column names the rows; `{page, query}` of a link clicked just now, else None.

    A cell's `value` (0 to 1) is what it is ordered by and what means are of; its `mark` is shown where there is little
    room; `done` (0 to 1) how far it is being made. `hints` stand below the table, the second where there is little
    room. `on_ask` is called with the names of `STATE` that change, before the script runs again.
    """
    data = {
        "caption": caption,
        "columns": [visible(column) for column in columns],
        "rows": [[cell.payload() for cell in row] for row in rows],
        "hint": hints[0],
        "compact_hint": hints[1],
        "state": {name: address[name] for name in STATE if address.get(name)},
    }

    def asked() -> None:
        wanted = st.session_state[key].get("ask")
        if wanted:
            on_ask({name: value for name, value in dict(wanted).items() if name in STATE})

    clicked = _MOUNT(key=key, data=as_bytes(data), on_ask_change=asked, on_go_change=lambda: None).go
    return dict(clicked) if clicked else None
