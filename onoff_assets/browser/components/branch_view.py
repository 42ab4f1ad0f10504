"""The alternatives that were tried at a token, with what came of each, and the continuations of one of them."""

from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.components import as_bytes, script, shortened

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_branch_view",
    html='<div id="branches"></div>',
    css=shortened((_HERE / "branch_view.css").read_text()),
    js=shortened(script("branch_view")),
)


def chosen_branch(key: str, link: int | None) -> int | None:
    """The alternative whose continuations are open: the one clicked last, else the link's."""
    state = st.session_state.get(key)
    return link if state is None else state.get("chosen")


def branch_view(payload: dict[str, Any], *, key: str, chosen: int | None) -> None:
    """Show what `branching.as_payload` made."""
    _MOUNT(key=key, data=as_bytes(payload), default={"chosen": chosen}, on_chosen_change=lambda: None)
