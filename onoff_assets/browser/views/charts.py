"""Charts in the page's ink: Streamlit's chart theme draws labels too faint to read."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from onoff_assets.browser.aggregates import ENTROPY_EDGES, REWARDS

GREY = "#7a7f87"
COLOURS = ["#c2410c", "#1d7ed8", GREY]
_INK = {"light": "#31333f", "dark": "#fafafa"}


# Of more than three lines, told apart by colour-blind eyes too (Okabe and Ito 2008, without yellow and black, and with
# a grey that is darker than ours: beside ours the green is the same to deuteranopes).
_MANY = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6f6f6f"]


def colours(number: int) -> list[str]:
    """As many colours as there are lines; beyond seven they come again, and the signs differ."""
    return [_MANY[i % len(_MANY)] for i in range(number)]


def show(chart: Any, key: str) -> None:
    """Draw an Altair chart with legible labels in either theme."""
    ink = _INK.get(st.context.theme.type or "light", _INK["light"])
    legible = chart.configure_axis(labelColor=ink, titleColor=ink).configure_title(color=ink)
    legible = legible.configure_header(labelColor=ink, titleColor=ink)
    legible = legible.configure_legend(labelColor=ink, titleColor=ink, orient="top", labelLimit=300, columns=2)
    st.altair_chart(legible, width="stretch", key=key)


def entropy_histograms(counts: Sequence[NDArray[Any]], titles: Sequence[str], unit: str) -> list[alt.Chart]:
    """A chart for each (len(REWARDS), bins) array, on the same axes, so that they can be laid side by side.

    A bin without tokens has no place on a log axis: the line breaks there.
    """
    filled = [np.flatnonzero(count.sum(axis=0)) for count in counts]
    last = max((int(bins[-1]) for bins in filled if len(bins)), default=0)
    least = min((float(count[count > 0].min()) for count in counts if (count > 0).any()), default=1.0)
    most = max((float(count.max()) for count in counts), default=1.0)
    x = alt.X("middle:Q", title="entropy (nats)", scale=alt.Scale(domain=[0, ENTROPY_EDGES[last + 1]], nice=False))
    y = alt.Y("tokens:Q", title=f"{unit} (log)", scale=alt.Scale(type="log", domain=[least, max(most, 2 * least)]))
    drawn = [name for r, name in enumerate(REWARDS) if any(count[r].sum() > 0 for count in counts)]
    colours = [COLOURS[REWARDS.index(name)] for name in drawn]
    return [
        alt.Chart(pa.Table.from_pylist(_bins(count, last), _BINS), title=title)
        .mark_line(point=True, invalid="break-paths-show-path-domains")
        .encode(
            x=x,
            y=y,
            color=alt.Color("responses:N", title="responses", scale=alt.Scale(domain=drawn, range=colours)),
            shape=alt.Shape("responses:N", scale=alt.Scale(domain=drawn)),
            tooltip=["responses", "from", "to", "tokens"],
        )
        for count, title in zip(counts, titles, strict=True)
    ]


_BINS = pa.schema([(name, pa.float64()) for name in ("from", "to", "middle", "tokens")] + [("responses", pa.string())])


def _bins(counts: NDArray[Any], last: int) -> list[dict[str, Any]]:
    low, high = ENTROPY_EDGES[:-1], ENTROPY_EDGES[1:]
    return [
        {
            "from": low[i],
            "to": high[i],
            "middle": (low[i] + high[i]) / 2,
            "tokens": float(counts[r, i]) or None,
            "responses": name,
        }
        for r, name in enumerate(REWARDS)
        if counts[r].sum() > 0
        for i in range(last + 1)
    ]


def lines(
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    x: alt.X,
    y: alt.Y,
    title: str,
    label: str = "model",
    kinds: Sequence[str] = (),
) -> Any:
    """A line with its band for each name, or without bands another dash for each of the `kinds`.

    Each row has x, y, low, high (None: no band there), name and kind. `label`: what the names are of.
    """
    fields = [*((field, pa.float64()) for field in ("x", "y", "low", "high")), ("name", pa.string())]
    chart = alt.Chart(pa.Table.from_pylist(list(rows), pa.schema([*fields, ("kind", pa.string())])), title=title)
    scale = alt.Scale(domain=list(names), range=colours(len(names)))
    colour = alt.Color("name:N", title=label, sort=list(names), scale=scale, legend=alt.Legend(symbolOpacity=1))
    if kinds:
        dash = alt.StrokeDash("kind:N", title="by", sort=list(kinds), legend=alt.Legend(symbolStrokeColor=GREY))
        tooltip = ["name", "kind", "x", "y"]
        return chart.mark_line().encode(x=x, y=y, color=colour, strokeDash=dash, detail="kind:N", tooltip=tooltip)
    shape = alt.Shape("name:N", title=label, sort=list(names))
    tooltip = ["name", "x", "y", "low", "high"]
    line = chart.mark_line(point=True).encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip)
    return chart.mark_area(opacity=0.13).encode(x=x, y="low:Q", y2="high:Q", color=colour) + line


def fraction(title: str) -> alt.Y:
    """The axis of `lines` for an accuracy and its like."""
    return alt.Y("y:Q", title=title, scale=alt.Scale(domain=[0, 1]))
