"""Two responses beside each other, aligned where they part."""

from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.colour import ramp_css
from onoff_assets.browser.components import as_bytes, script

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_pair_view",
    html='<div id="pair"></div>',
    css=ramp_css() + (_HERE / "pair_view.css").read_text(),
    js=script("pair_view"),
)


def pair_view(content: dict[str, Any], *, document: str, picked: tuple[int, int], key: str) -> tuple[int, int]:
    """Show what `side.pair_payload` made; the positions that are picked, of the first and of the second.

    As with the token view, `picked` is what it opens with and must stay the same while the document does.
    """
    data = as_bytes({"document": document, "picked": picked}) + b"\n" + as_bytes(content)
    found = _MOUNT(key=key, data=data, default={"picked": list(picked)}, on_picked_change=lambda: None).picked
    return (int(found[0]), int(found[1])) if isinstance(found, list) and len(found) == 2 else picked
