"""Series: the checkpoints of a training run side by side, step by step."""

from itertools import groupby
from typing import Any

import altair as alt
import streamlit as st

from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link, choose
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import charts, common
from onoff_assets.browser.views.taking import csv_button
from onoff_core.series import SeriesStep, fit_entropy, series_names, series_steps
from onoff_core.store.catalog import CATALOG_NAME

_CHARTS = (  # what is drawn over the steps: (title, unit, value, lower end, upper end)
    ("Accuracy", "accuracy", "accuracy", "interval_low", "interval_high"),
    ("Mean entropy", "nats a token", "mean_entropy", None, None),
    ("KL to the first step", "nats a token", "kl_to_first", None, None),
    ("Mean length", "tokens", "mean_num_tokens", None, None),
)
# Of what the first step cannot have, and no reader misses.
_AS_IT_SHOULD = ("it is the first step", "there is no step before it")


def show() -> None:
    reader = common.reader()
    if not reader.partitions():
        common.no_partitions(reader)
        return
    names = series_names(reader.store, publish=False)
    if not names:
        st.info(
            "No model here is a checkpoint of a training run. Write `series: NAME` and `step: N` at each checkpoint in "
            "onoff.yaml, and materialize them."
        )
        return
    name, message = choose("series", st.query_params.get("series"), names)
    common.warn([message] if message else [])
    assert name is not None
    with st.sidebar:
        common.pick("series", "Series", names, name)
    common.set_link(series=name)
    steps = _steps(reader, name)
    st.title("Series")
    common.note(
        f"{name}: {len({step.step for step in steps})} steps, {len({step.dataset for step in steps})} data sets"
    )
    drawn = [chart for chart in _CHARTS if any(getattr(step, chart[2]) is not None for step in steps)]
    for i in range(0, len(drawn), 2):
        for place, chart in zip(st.columns(2), drawn[i : i + 2], strict=False):
            with place:
                _chart(steps, *chart)
    for dataset, of in groupby(steps, key=lambda step: step.dataset):
        _table(name, dataset, list(of))


def _steps(reader: Reader, name: str) -> list[SeriesStep]:
    """Read once for each published catalog, since it takes a pass over the tokens."""
    version = reader.store.files.version(CATALOG_NAME)
    return reader.kept(
        ("series", version, name),
        lambda: series_steps(reader.store, name, publish=False),
        lambda made: 2000 * len(made),
    )


def _chart(steps: list[SeriesStep], title: str, unit: str, value: str, low: str | None, high: str | None) -> None:
    """A line over the steps for each data set, with a band where there is an interval."""
    rows = [
        {"x": step.step, "y": getattr(step, value), "low": low and getattr(step, low),
         "high": high and getattr(step, high), "name": visible(step.dataset)}
        for step in steps
        if getattr(step, value) is not None
    ]  # fmt: skip
    names = list(dict.fromkeys(visible(step.dataset) for step in steps))
    x = alt.X("x:Q", title="step", axis=alt.Axis(format="d", tickMinStep=1))
    y = charts.fraction(unit) if low else alt.Y("y:Q", title=unit, scale=alt.Scale(zero=False))
    charts.show(charts.lines(rows, names, x, y, title, "data set"), key=f"series-{value}")


def _as_row(step: SeriesStep) -> dict[str, Any]:
    return {field: value for field, value in vars(step).items() if not isinstance(value, list)}


def _table(name: str, dataset: str, steps: list[SeriesStep]) -> None:
    """A row for each step; what they lack, and why, is said below."""
    rows = []
    before: SeriesStep | None = None
    for step in steps:
        link = Link(dataset, step.model).query()
        beside = {} if before is None else Link(dataset, before.model, other=step.model).query()
        rows.append([
            Cell(str(step.step), number=True),
            Cell(step.model, "stale" if step.is_stale else "", page="problems", query={**link, "sort": "pass_rate"}),
            _accuracy(step),
            _best(step),
            _number(step.mean_entropy, 3),
            _number(step.kl_to_first, 4),
            _number(step.kl_to_previous, 4),
            _number(step.mean_num_tokens, 0),
            Cell("") if before is None else Cell(f"since step {before.step}", whole=True, page="compare", query=beside),
        ])  # fmt: skip
        before = step
    header = ["step", "model", "accuracy", "pass@k", "entropy", "KL to first", "KL to previous", "tokens",
              "flips"]  # fmt: skip
    common.go(link_table(dataset, header, rows, key=f"series-{dataset}"))
    csv_button("the steps as CSV", f"{name}-{dataset}", lambda: [_as_row(step) for step in steps])
    missing = [
        (step.step, one["reason"]) for step in steps for one in step.missing if one["reason"] not in _AS_IT_SHOULD
    ]
    if missing:
        count = "1 value" if len(missing) == 1 else f"{len(missing)} values"
        with st.expander(escaped(f"What is not there of {visible(dataset)}: {count}")):
            st.markdown("\n".join(f"- step {step}: {escaped(visible(reason))}" for step, reason in missing))
    known = [(s.accuracy, s.mean_entropy) for s in steps if s.accuracy is not None and s.mean_entropy is not None]
    fitted = fit_entropy([accuracy for accuracy, _ in known], [entropy for _, entropy in known])
    if fitted is not None:
        common.note(
            "The accuracy is the same at each step, so the entropy explains nothing of it."
            if fitted.r_squared is None
            else f"accuracy = {-fitted.a:.3f} exp(entropy) {fitted.b:+.3f}; at entropy 0 it would be "
            f"{fitted.ceiling:.3f}; R² = {fitted.r_squared:.2f}"
        )


def _accuracy(step: SeriesStep) -> Cell:
    if step.accuracy is None:
        return Cell("–")
    low, high = step.interval_low, step.interval_high
    interval = "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(f"{100 * step.accuracy:.1f} %", interval, level=round(6 * step.accuracy), number=True)


def _best(step: SeriesStep) -> Cell:
    known = [one for one in step.pass_at_k or [] if one["estimate"] is not None]
    if not known:
        return Cell("–")
    largest = max(known, key=lambda one: int(one["k"]))
    return Cell(f"{100 * largest['estimate']:.1f} %", f"k = {largest['k']}", number=True)


def _number(value: float | None, digits: int) -> Cell:
    return Cell("–" if value is None else f"{value:,.{digits}f}", number=True)
