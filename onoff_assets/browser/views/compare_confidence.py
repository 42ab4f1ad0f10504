"""What the models' confidence tells, where it was made: calibration, accuracy of the surest ones, votes by it."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pyarrow as pa
import streamlit as st

from onoff_assets.browser.links import choose
from onoff_assets.browser.reading import Reader, Responses
from onoff_assets.browser.text import visible
from onoff_assets.browser.views import charts, common
from onoff_core.errors import MissingInputError

Rows = Mapping[str, list[dict[str, Any]]]  # by model
# Of the rules by which an answer is chosen, those that are drawn.
_RULES = {"majority": "majority", "weighted": "weighted by confidence", "best_of": "the surest response"}


def show_confidence(reader: Reader, models: Mapping[str, Responses], marked: Sequence[str] = ()) -> None:
    """Nothing where no model has confidences of these very tokens."""
    bins, coverage, voting = (
        {name: found for name, one in models.items() if (found := _rows(reader, one, table))}
        for table in ("confidence_bins", "confidence_coverage", "confidence_voting")
    )
    measures = list(dict.fromkeys(row["measure"] for rows in bins.values() for row in rows))
    if not measures:
        return
    st.subheader("How sure they are", anchor="confidence")
    wanted = st.query_params.get("measure") or ("mean_confidence" if "mean_confidence" in measures else None)
    measure, message = choose("measure", wanted, measures)
    common.warn([message] if message else [])
    assert measure is not None
    with st.sidebar:
        common.pick("measure", "Confidence by", measures, measure)
    columns = st.columns(2)
    with columns[0]:
        _calibration(bins, measure, marked)
    with columns[1]:
        _coverage(coverage, measure, marked)
    with st.columns(2)[0]:
        _voting(voting, measure, marked)


def has_confidence(reader: Reader, models: Mapping[str, Responses]) -> bool:
    """Whether there is something to show of any model."""
    return any(_rows(reader, one, "confidence_bins") for one in models.values())


def _rows(reader: Reader, responses: Responses, table: str) -> list[dict[str, Any]]:
    """Of the confidences that were made of these responses' token distributions."""
    try:
        made = reader.confidence(reader.distributions(responses))
    except MissingInputError:
        return []
    beside = made and reader.store.current(table, responses.samples.partition[:2])
    if made is None or beside is None or beside.fingerprint != made.fingerprint:
        return []
    return reader.kept((table, beside.folder), lambda: beside.read().to_pylist(), lambda rows: 1000 * len(rows))


def _points(of: Rows, measure: str, x: str) -> list[dict[str, Any]]:
    """Of `charts.lines`: the accuracy with its interval over the column x."""
    return [
        {"x": row[x], "y": row["accuracy"], "low": row["accuracy_low"], "high": row["accuracy_high"],
         "name": visible(name)}
        for name, found in of.items()
        for row in found
        if row["measure"] == measure and row["accuracy"] is not None
    ]  # fmt: skip


def _calibration(bins: Rows, measure: str, marked: Sequence[str]) -> None:
    """The accuracy of responses that are correct with about this probability; on the grey line it is as promised."""
    rows, names = _points(bins, measure, "mean_probability"), [visible(name) for name in bins]
    if rows:
        axis = alt.X("x:Q", title="probability of being correct", scale=alt.Scale(domain=[0, 1]))
        ends = alt.Chart(pa.table({"x": [0.0, 1.0], "y": [0.0, 1.0]})).mark_line(color=charts.GREY, strokeDash=[4, 3])
        chart = charts.lines(
            rows, names, axis, charts.fraction("accuracy"), "Calibration, on other problems", marked=marked
        )
        charts.show(ends.encode(x="x:Q", y="y:Q") + chart, key="calibration")


def _coverage(coverage: Rows, measure: str, marked: Sequence[str]) -> None:
    rows, names = _points(coverage, measure, "coverage"), [visible(name) for name in coverage]
    if rows:
        axis = alt.X("x:Q", title="share kept, the surest", scale=alt.Scale(domain=[0, 1]))
        chart = charts.lines(rows, names, axis, charts.fraction("accuracy"), "Accuracy of the surest", marked=marked)
        charts.show(chart, key="coverage")


def _voting(voting: Rows, measure: str, marked: Sequence[str]) -> None:
    """The accuracy of the answer that is chosen of k responses, by the majority and by confidence."""
    rows = [
        {
            "x": row["k"],
            "y": row["accuracy"],
            "low": None,
            "high": None,
            "name": visible(name),
            "kind": _RULES[row["rule"]],
        }
        for name, found in voting.items()
        for row in found
        if row["rule"] in _RULES and row["measure"] in (None, measure) and row["accuracy"] is not None
    ]
    if not rows:
        return
    ticks = alt.Axis(values=sorted({row["x"] for row in rows}), format="d")
    axis = alt.X("x:Q", title="k (log)", scale=alt.Scale(type="log", nice=False), axis=ticks)
    names = [visible(name) for name in voting]
    chart = charts.lines(
        rows,
        names,
        axis,
        charts.fraction("accuracy"),
        "An answer chosen of k, and by what",
        kinds=list(_RULES.values()),
    )
    charts.show(chart, key="voting")
