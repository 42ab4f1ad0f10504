"""The five most probable tokens where the mouse rests, sent a block of the response at a time and only when asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.components import as_bytes
from onoff_assets.browser.numbers import short

_MOUNT = st.components.v2.component(
    "onoff_peek", html="<span></span>", js=Path(__file__).with_name("peek.js").read_text()
)

BLOCK, SHOWN = 64, 5  # tokens of a block; most probable tokens of each
MOST = 20  # most probable tokens of each that one takes away
Row = Sequence[tuple[str, float, bool]]  # label, probability, whether it is the one that was drawn
Alternative = tuple[int, str, float]  # token id, label, probability


def wanted_block(key: str) -> int | None:
    """The block that the page asks for, before `peek` is called."""
    state = st.session_state.get(key)
    block = None if state is None else state.get("wanted")
    return block if isinstance(block, int) and block >= 0 else None


def is_whole_wanted(key: str) -> bool:
    """Whether the page asks, this once, for the alternatives of all tokens."""
    state = st.session_state.get(key)
    return state is not None and bool(state.get("whole"))


def peek(
    document: str,
    block: int | None,
    rows: Sequence[Row] | None,
    whole: Sequence[Sequence[Alternative]] | None = None,
    *,
    key: str,
) -> None:
    """Send a block's rows, and the alternatives of all tokens; None where nothing was asked for."""
    shown = None if rows is None else [[(label, short(p), int(drawn)) for label, p, drawn in row] for row in rows]
    data: dict[str, Any] = {"document": document, "block": block, "rows": shown}
    if whole is not None:
        data["whole"] = [[(i, label, float(f"{p:.6g}")) for i, label, p in row] for row in whole]
    _MOUNT(
        key=key,
        data=as_bytes(data),
        default={"wanted": None},
        on_wanted_change=lambda: None,
        on_whole_change=lambda: None,
    )
