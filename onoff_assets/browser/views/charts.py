"""Charts in the page's ink: Streamlit's chart theme draws labels too faint to read."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import pyarrow as pa
import streamlit as st

from onoff_assets.browser.components.picture_link import picture_link
from onoff_assets.browser.views.taking import table_button

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
    """Draw an Altair chart with legible labels in either theme, and below it links to take it away: as SVG, and its
    numbers as CSV. `key` names the files, too.
    """
    ink = _INK.get(st.context.theme.type or "light", _INK["light"])
    taken = taken_away(chart)
    legible = chart.configure_axis(labelColor=ink, titleColor=ink, labelPadding=5, titlePadding=8)
    legible = legible.configure_title(color=ink, offset=6).configure_header(labelColor=ink, titleColor=ink)
    legible = legible.configure_legend(
        labelColor=ink, titleColor=ink, orient="top", labelLimit=_NARROW - _SYMBOL, offset=6, padding=0, rowPadding=2
    )
    legible = legible.properties(usermeta={"embedOptions": {"renderer": "svg"}})  # of many points too
    with st.container(gap="xsmall"):
        st.altair_chart(legible, width="stretch", key=key)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            picture_link("SVG", f"{key}.svg", key=f"picture-{key}")
            table_button("data as CSV", key, lambda: taken)


def taken_away(chart: Any) -> pa.Table:
    """The numbers that a chart draws; columns called x and y get the titles of their axes."""
    drawn, table = chart, chart.data
    while isinstance(drawn, alt.LayerChart):
        drawn = drawn.layer[-1]
        table = drawn.data if isinstance(drawn.data, pa.Table) else table
    there = [name for name in table.column_names if table[name].null_count < table.num_rows]
    titles = {of: _title_of(getattr(drawn.encoding, of)).removesuffix(" (log)") for of in ("x", "y") if of in there}
    return table.select(there).rename_columns([titles.get(name, name) for name in there])


def legend(names: Sequence[str], **more: Any) -> alt.Legend:
    """A legend with as many columns as its chart has room for, on a wide screen and on a narrow one."""
    return alt.Legend(columns=alt.ExprRef(f"max(1, floor(width / {_entry(names)}))"), **more)


def _entry(names: Sequence[str]) -> int:
    """Pixels of the widest name of a legend with its sign."""
    return min(_NARROW, math.ceil(_LETTER * max((len(name) for name in names), default=1) + _SYMBOL))


def height(*legends: Sequence[str]) -> int:
    """Of a chart with legends of these names, so that the plot keeps its room on a narrow screen too."""
    return _PLOT + sum(_ROW * -(-len(names) // (_NARROW // _entry(names))) for names in legends)


def powers_of_ten(low: float, high: float) -> list[float]:
    """The ticks of a log axis between two values, both above 0: where these are close, also 2 and 5 of each."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1,) if math.log10(high / low) >= 2 else (1, 2, 5)
    return [digit * 10.0**power for power in powers for digit in digits if low <= digit * 10.0**power <= high]


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
    told_apart, among = list(names), None
    if len(told_apart) > _MOST_NAMED and marked:
        told_apart = [name for name in names if name in marked]
        among = f"{label} (grey: {len(names) - len(told_apart)} others)"
        rows = [row if row["name"] in marked else {**row, "low": None, "high": None} for row in rows]
        rows = sorted(rows, key=lambda row: row["name"] in marked)
    fields = [*((field, pa.float64()) for field in ("x", "y", "low", "high")), ("name", pa.string())]
    table = pa.Table.from_pylist(list(rows), pa.schema([*fields, ("kind", pa.string())]))
    chart = alt.Chart(table, title=title, height=height(told_apart, *([kinds] if kinds else [])))
    by_name = dict(zip(told_apart, colours(len(told_apart)), strict=True))
    scale = alt.Scale(domain=list(names), range=[by_name.get(name, _OTHERS) for name in names])
    drawn = {row["name"] for row in rows}
    named = [name for name in told_apart if name in drawn]  # a line that has no points yet is in no legend
    key = legend(named, symbolOpacity=1, values=named, symbolLimit=0)
    colour = alt.Color("name:N", title=among, sort=list(names), scale=scale, legend=key)
    places = [alt.Tooltip(field, title=_title_of(axis), format=".4~g") for field, axis in (("x", x), ("y", y))]
    if kinds:  # a legend of its own below the chart: beside the other it would be cut off
        below = legend(kinds, symbolStrokeColor=GREY, orient="bottom")
        dash = alt.StrokeDash("kind:N", title=None, sort=list(kinds), legend=below)
        told = [alt.Tooltip("name", title=label), alt.Tooltip("kind", title="by"), *places]
        return chart.mark_line().encode(x=x, y=y, color=colour, strokeDash=dash, detail="kind:N", tooltip=told)
    shape = alt.Shape("name:N", title=among, sort=list(names))
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
