"""A token's distribution as labelled bars. Small: its script is sent along with every click."""

from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.components import as_bytes, script, shortened

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_bar_view",
    html='<div id="bars"></div>',
    css=shortened((_HERE / "bar_view.css").read_text()),
    js=shortened(script("bar_view")),
)


def bar_view(payload: dict[str, Any], *, key: str) -> None:
    """Show what `bars.as_payload` made."""
    _MOUNT(key=key, data=as_bytes(payload))
