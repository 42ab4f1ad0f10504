"""Charts in the page's ink: Streamlit's chart theme draws labels too faint to read."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from onoff_assets.browser.aggregates import ENTROPY_EDGES, POSITION_EDGES, REWARDS, TokenSummary

GREY = "#7a7f87"
COLOURS = ["#c2410c", "#1d7ed8", GREY]
_OTHERS = "#a9adb5"  # of lines that no legend names
_MOST_NAMED = 12  # lines that a legend names
_INK = {"light": "#31333f", "dark": "#fafafa"}
# Pixels: of a chart without its legend, of a row of the legend, of a letter in it and what stands beside its text; and
# what a legend may take, which is the width of a chart on a phone.
_PLOT, _ROW, _LETTER, _SYMBOL, _NARROW = 330, 19, 7.0, 32, 250


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
    legible = legible.configure_legend(labelColor=ink, titleColor=ink, orient="top", labelLimit=_NARROW - _SYMBOL)
    st.altair_chart(legible, width="stretch", key=key)


def legend(names: Sequence[str], **more: Any) -> alt.Legend:
    """A legend with as many columns as fit a narrow screen, so that none is cut off there."""
    return alt.Legend(columns=_columns(names), **more)


def _columns(names: Sequence[str]) -> int:
    longest = max((len(name) for name in names), default=1)
    return max(1, min(len(names), int(_NARROW // (_LETTER * longest + _SYMBOL))))


def height(*legends: Sequence[str]) -> int:
    """Of a chart with legends of these names, so that the plot keeps its room."""
    return _PLOT + sum(_ROW * (1 + -(-len(names) // _columns(names))) for names in legends)


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
        alt.Chart(pa.Table.from_pylist(_bins(count, last), _BINS), title=title, height=height(drawn))
        .mark_line(point=True, invalid="break-paths-show-path-domains")
        .encode(
            x=x,
            y=y,
            color=alt.Color("responses:N", scale=alt.Scale(domain=drawn, range=colours), legend=legend(drawn)),
            shape=alt.Shape("responses:N", scale=alt.Scale(domain=drawn)),
            tooltip=["responses", "from", "to", alt.Tooltip("tokens", title=unit)],
        )
        for count, title in zip(counts, titles, strict=True)
    ]


def entropy_by_position(summaries: Sequence[TokenSummary], titles: Sequence[str]) -> list[alt.Chart]:
    """A chart for each, of correct and of wrong responses apart, on the same axes."""
    drawn = [name for r, name in enumerate(REWARDS) if any(of.position_count[r].any() for of in summaries)]
    most = max((float(np.nanmax(of.position_entropy)) for of in summaries if of.num_tokens), default=1.0)
    last = max((int(np.flatnonzero(of.position_count.any(axis=0))[-1]) for of in summaries if of.num_tokens), default=0)
    end = max(1, int(POSITION_EDGES[last]))
    ticks = [0, *(digit * 10**power for power in range(7) for digit in (1, 2, 5) if digit * 10**power <= end)]
    scale = alt.Scale(domain=drawn, range=[COLOURS[REWARDS.index(name)] for name in drawn])
    return [
        alt.Chart(pa.Table.from_pylist(_places(of), _PLACES), title=title, height=height(drawn))
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "position:Q", title="position, counted from 0 (log)", axis=alt.Axis(values=ticks, format="d"),
                scale=alt.Scale(type="symlog", constant=1, nice=False, domain=[0, end]),
            ),
            y=alt.Y("entropy:Q", title="mean entropy (nats)", scale=alt.Scale(domain=[0, most])),
            color=alt.Color("responses:N", scale=scale, legend=legend(drawn)),
            shape=alt.Shape("responses:N", scale=alt.Scale(domain=drawn)),
            tooltip=["responses", "position", alt.Tooltip("entropy", format=".3f"), "tokens"],
        )
        for of, title in zip(summaries, titles, strict=True)
    ]  # fmt: skip


_PLACES = pa.schema([(name, pa.float64()) for name in ("position", "entropy", "tokens")] + [("responses", pa.string())])


def _places(summary: TokenSummary) -> list[dict[str, Any]]:
    return [
        {
            "position": POSITION_EDGES[at],
            "entropy": summary.position_entropy[r, at],
            "tokens": summary.position_count[r, at],
            "responses": name,
        }
        for r, name in enumerate(REWARDS)
        for at in np.flatnonzero(summary.position_count[r])
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
    marked: Sequence[str] = (),
) -> Any:
    """A line with its band for each name, or without bands another dash for each of the `kinds`.

    Each row has x, y, low, high (None: no band there), name and kind. `label`: what the names are of. Of more names
    than one can tell apart, those that are `marked` alone have a colour and a band, and the others are grey.
    """
    told_apart = list(names)
    if len(told_apart) > _MOST_NAMED and marked:
        told_apart = [name for name in names if name in marked]
        label = f"{label} (grey: {len(names) - len(told_apart)} others)"
        rows = [row if row["name"] in marked else {**row, "low": None, "high": None} for row in rows]
        rows = sorted(rows, key=lambda row: row["name"] in marked)
    fields = [*((field, pa.float64()) for field in ("x", "y", "low", "high")), ("name", pa.string())]
    table = pa.Table.from_pylist(list(rows), pa.schema([*fields, ("kind", pa.string())]))
    chart = alt.Chart(table, title=title, height=height(told_apart, *([kinds] if kinds else [])))
    by_name = dict(zip(told_apart, colours(len(told_apart)), strict=True))
    scale = alt.Scale(domain=list(names), range=[by_name.get(name, _OTHERS) for name in names])
    key = legend(told_apart, symbolOpacity=1, values=told_apart, symbolLimit=0)
    colour = alt.Color("name:N", title=label, sort=list(names), scale=scale, legend=key)
    places = [alt.Tooltip(field, title=_title_of(axis), format=".4~g") for field, axis in (("x", x), ("y", y))]
    if kinds:  # a legend of its own below the chart: beside the other it would be cut off
        below = legend(kinds, symbolStrokeColor=GREY, orient="bottom")
        dash = alt.StrokeDash("kind:N", title=None, sort=list(kinds), legend=below)
        told = [alt.Tooltip("name", title=label), alt.Tooltip("kind", title="by"), *places]
        return chart.mark_line().encode(x=x, y=y, color=colour, strokeDash=dash, detail="kind:N", tooltip=told)
    shape = alt.Shape("name:N", title=label, sort=list(names))
    band = [alt.Tooltip(field, title=f"95 % interval, {field}", format=".4~g") for field in ("low", "high")]
    told = [alt.Tooltip("name", title=label), *places, *(band if any(row["low"] is not None for row in rows) else ())]
    line = chart.mark_line(point=True).encode(x=x, y=y, color=colour, shape=shape, tooltip=told)
    return chart.mark_area(opacity=0.13).encode(x=x, y="low:Q", y2="high:Q", color=colour) + line


def _title_of(axis: alt.X | alt.Y) -> str:
    described: Any = axis.to_dict()
    return str(described["title"])


def fraction(title: str) -> alt.Y:
    """The axis of `lines` for an accuracy and its like."""
    return alt.Y("y:Q", title=title, scale=alt.Scale(domain=[0, 1]))
