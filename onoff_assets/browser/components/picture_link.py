"""A link below a chart that saves it as SVG: Streamlit's own menu has PNG alone."""

from pathlib import Path

import streamlit as st

from onoff_assets.browser.components import as_bytes, shortened

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_picture_link",
    html='<div id="picture"></div>',
    css=shortened((_HERE / "picture_link.css").read_text()),
    js=shortened((_HERE / "picture_link.js").read_text()),
)


def picture_link(label: str, name: str, *, key: str) -> None:
    """`name` of the file. It belongs to the chart in the same container."""
    _MOUNT(key=key, data=as_bytes({"label": label, "name": name}), width="content")
