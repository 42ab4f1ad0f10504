"""What is being made now, on a line above the grid, and its cells as they are now."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.components import as_bytes
from onoff_assets.browser.components.link_table import Cell
from onoff_assets.browser.text import visible

_CSS = """
#now { color: var(--st-text-color); font: .875rem/1.5 var(--st-font, sans-serif);
  min-height: 1.5em; overflow-wrap: anywhere; }
a { color: inherit; font-weight: 600; text-underline-offset: 2px; unicode-bidi: isolate; }
a:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
"""
_MOUNT = st.components.v2.component(
    "onoff_grid_now",
    html='<div id="now" role="status"></div>',
    css=_CSS,
    js=Path(__file__).with_name("grid_now.js").read_text(),
)


def grid_now(
    lines: Sequence[Cell], cells: Sequence[tuple[str, str, Cell]], resting: str, *, key: str
) -> dict[str, Any] | None:
    """Show the lines, or `resting` where there are none, and give the grid these (data set, model, cell).

    `{page, query}` of a link clicked just now.
    """
    data = {
        "resting": visible(resting),
        "lines": [line.payload() for line in lines],
        "cells": [[visible(dataset), visible(model), cell.payload()] for dataset, model, cell in cells],
    }
    clicked = _MOUNT(key=key, data=as_bytes(data), on_go_change=lambda: None).go
    return dict(clicked) if clicked else None
