"""Charts in the page's ink: Streamlit's chart theme draws labels too faint to read."""

from typing import Any

import streamlit as st

COLOURS = ["#c2410c", "#1d7ed8", "#7a7f87"]
_INK = {"light": "#31333f", "dark": "#fafafa"}


def show(chart: Any, key: str) -> None:
    """Draw an Altair chart with legible labels in either theme."""
    ink = _INK.get(st.context.theme.type or "light", _INK["light"])
    legible = chart.configure_axis(labelColor=ink, titleColor=ink).configure_legend(labelColor=ink, titleColor=ink)
    st.altair_chart(legible, width="stretch", key=key)
