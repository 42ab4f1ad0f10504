"""The five most probable tokens where the mouse rests, sent a block of the response at a time and only when asked."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from onoff_assets.browser.components import as_bytes

_MOUNT = st.components.v2.component(
    "onoff_peek", html="<span></span>", js=Path(__file__).with_name("peek.js").read_text()
)

BLOCK, SHOWN = 64, 5  # tokens of a block; most probable tokens of each
Row = Sequence[tuple[str, float, bool]]  # label, probability, whether it is the one that was drawn


def wanted_block(key: str) -> int | None:
    """The block that the page asks for, before `peek` is called."""
    state = st.session_state.get(key)
    block = None if state is None else state.get("wanted")
    return block if isinstance(block, int) and block >= 0 else None


def peek(document: str, block: int | None, rows: Sequence[Row] | None, *, key: str) -> None:
    """Send a block's rows; None where nothing was asked for yet."""
    shown = None if rows is None else [[(label, round(p, 5), int(drawn)) for label, p, drawn in row] for row in rows]
    data = as_bytes({"document": document, "block": block, "rows": shown})
    _MOUNT(key=key, data=data, default={"wanted": None}, on_wanted_change=lambda: None)
