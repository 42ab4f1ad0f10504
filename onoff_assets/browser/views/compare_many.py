"""Several models of one data set: their numbers, the curves with bands, who is better than whom, and how they differ in
length and entropy."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from onoff_assets.browser.at_k import figures_of, statistics_row
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link
from onoff_assets.browser.numbers import signed
from onoff_assets.browser.pairs import Difference, paired_differences, pairs_job, shares, without_statistics
from onoff_assets.browser.reading import Reader, Responses
from onoff_assets.browser.response_rows import numbers_job, response_rows
from onoff_assets.browser.text import visible
from onoff_assets.browser.views import charts, common, listing
from onoff_assets.browser.views.compare_confidence import show_confidence
from onoff_assets.browser.views.taking import csv_button, with_ends
from onoff_core.commands import materialize_command

Models = Mapping[str, Responses]
_EDGES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)  # of absolute differences of accuracies, for the levels of the fill
_BINS = 24
# Of `paired_p_value`.
TEST = (
    "two-sided test of the mean difference by Gaffke's bound with the mid-P correction, which is McNemar's mid-P test "
    "where each problem is won, lost or drawn"
)


def show_many(reader: Reader, dataset: str, models: Models, chosen: tuple[str, str]) -> None:
    """The curves, what sets correct from wrong responses apart, and what confidence tells. Of very many models the two
    that are chosen stand out."""
    st.subheader("pass@k and maj@k", anchor="at-k")
    marked = [visible(name) for name in chosen]
    left, right = st.columns(2)
    with left:
        _curve(reader, models, "pass_at_k", "pass@k (k = 1 is the accuracy)", marked)
    with right:
        _curve(reader, models, "maj_at_k", "maj@k", marked)
    st.subheader("Correct and wrong responses", anchor="splits")
    show_splits(reader, dataset, models)
    show_confidence(reader, models, marked)


def show_numbers(reader: Reader, dataset: str, models: Models) -> None:
    """A row for each model, in words and numbers."""
    numbers = [_numbers_of(reader, model, responses) for model, responses in models.items()]
    numbers.sort(key=lambda row: -(row["accuracy"] if row["accuracy"] is not None else -1.0))
    rows = [
        [
            Cell(row["model"], page="problems", query={**Link(dataset, row["model"]).query(), "sort": "pass_rate"}),
            _share(row["accuracy"], row["interval_low"], row["interval_high"]),
            Cell(_percent(row["pass_at_k"]), "" if row["k"] is None else f"k = {row['k']}", number=True),
            Cell(f"{row['responses']:,}", number=True),
            Cell(_number(row["mean_num_tokens"], 0), number=True),
            Cell(_percent(row["truncated_share"]), number=True),
            Cell(_percent(row["unanswered_share"]), number=True),
        ]
        for row in numbers
    ]
    header = ["model", "accuracy", "pass@k", "responses", "mean tokens", "truncated", "no answer"]
    common.go(link_table("The models, the best first", header, rows, key="many-numbers", scrolls=True))
    csv_button("the models as CSV", f"models-{dataset}", lambda: [_numbers_of(reader, *one) for one in models.items()])


def _numbers_of(reader: Reader, model: str, responses: Responses) -> dict[str, Any]:
    """Of the model's statistics, with pass@k at the largest k that has an estimate; None where they have no value."""
    row = statistics_row(reader, responses) or {}
    estimates = [(one["k"], one["estimate"]) for one in row.get("pass_at_k", []) if one["estimate"] is not None]
    k, best = max(estimates, default=(None, None))
    names = ("accuracy", "interval_low", "interval_high", "mean_num_tokens", "truncated_share", "unanswered_share")
    values = {name: row.get(name) for name in names}
    return {"model": model, **values, "k": k, "pass_at_k": best, "responses": responses.table.num_rows}


def _share(value: float | None, low: float | None, high: float | None) -> Cell:
    if value is None:
        return Cell("no statistics")
    interval = "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(f"{100 * value:.1f} %", interval, level=round(6 * value), number=True)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _curve(reader: Reader, models: Models, kind: str, title: str, marked: Sequence[str]) -> None:
    """A line with its band for each model."""
    rows: list[dict[str, Any]] = []
    for model, responses in models.items():
        for (of, k), figure in figures_of(reader, responses).items():
            if of == kind:
                low, high = figure.other_problems or (None, None)
                rows.append({"x": k, "y": figure.estimate, "low": low, "high": high, "name": visible(model)})
    if rows:
        ticks = alt.Axis(values=sorted({row["x"] for row in rows}), format="d")
        x = alt.X("x:Q", title="k (log)", scale=alt.Scale(type="log", nice=False), axis=ticks)
        names = [visible(model) for model in models]
        y = charts.fraction(title.split(" ")[0])
        charts.show(charts.lines(rows, names, x, y, title, marked=marked), key=f"many-{kind}")


def show_matrix(reader: Reader, dataset: str, models: Models, chosen: tuple[str, str]) -> None:
    """Who is better than whom: the row's model minus the column's. The cell of the two that are chosen is marked.

    Only models with complete statistics are in it, and in the family that the p-values are corrected for.
    """
    st.subheader("Paired differences", anchor="differences")
    left_out = without_statistics(reader, models)
    if left_out:
        common.warn([_left_out(dataset, left_out)])
    models = {name: responses for name, responses in models.items() if name not in left_out}
    if len(models) < 2:
        st.info("It takes two models with complete statistics.")
        return
    work = pairs_job(reader, dataset, models)
    if work.result(3.0) is None:
        common.note(f"Comparing {len(models) * (len(models) - 1) // 2:,} pairs ...")
        listing.wait_for([work])
        return
    differences, compared = paired_differences(reader, dataset, models)
    if not differences:
        st.info("No two of them have a graded problem in common; materialize their rewards.")
        return
    names = list(models)
    rows = [
        [
            Cell(name),
            *(
                _difference(dataset, names, (name, other), differences.get((name, other)), chosen == (name, other))
                for other in names
            ),
        ]
        for name in names
    ]
    common.go(link_table("Row minus column, points", ["", *names], rows, key="many-pairs", scrolls=True))
    common.note(
        f"Accuracies paired by problem. p: {TEST}, corrected for all {compared} pairs compared (Holm). A fill is "
        "p < 0.05, blue where the row is better, orange where the column is. A click shows the two."
    )
    csv_button("the differences as CSV", f"differences-{dataset}", lambda: _as_rows(differences))


def _left_out(dataset: str, reasons: Mapping[str, str]) -> str:
    names = "; ".join(f"{visible(name)}: {reason}" for name, reason in reasons.items())
    command = materialize_command(["rewards", "statistics"], f"{dataset}|{next(iter(reasons))}")
    return f"Left out of the paired differences and of their correction: {names}. Where no run is at it: {command}"


def _difference(
    dataset: str, names: list[str], pair: tuple[str, str], found: Difference | None, is_chosen: bool
) -> Cell:
    first, second = pair
    if found is None:
        return Cell("" if first == second else "–", chosen=is_chosen)
    p = "" if found.holm_p_value is None else _p_value(found.holm_p_value)
    level = 1 + sum(abs(found.difference) >= edge for edge in _EDGES[1:]) if found.is_significant else 0
    query = {**Link(dataset, first, other=second).query(), "models": ",".join(names)}
    return Cell(
        signed(100 * found.difference, 1), p, level=level, ramp="w" if found.difference > 0 else "e", number=True,
        chosen=is_chosen, page="compare", query=query,
    )  # fmt: skip


def _as_rows(differences: Mapping[tuple[str, str], Difference]) -> list[dict[str, Any]]:
    return [
        {"model": first, "other": second, "difference": found.difference, **with_ends("interval", found.interval),
         "holm_p_value": found.holm_p_value, "num_problems": found.num_problems, "num_compared": found.num_compared}
        for (first, second), found in differences.items()
    ]  # fmt: skip


def _p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def show_splits(reader: Reader, dataset: str, models: Models) -> None:
    """Lengths and entropies of correct and of wrong responses, as shares of each, in the same bins for all models."""
    columns = st.columns(2)
    lengths = {name: responses.table["num_tokens"].to_numpy().astype(float) for name, responses in models.items()}
    with columns[0]:
        _ridges(models, lengths, "tokens", "Length")
    jobs = {name: numbers_job(reader, response_rows(reader, [(dataset, name)])) for name in models}
    entropies: dict[str, NDArray[np.float64]] = {}
    for name, work in jobs.items():
        known = work.result(0.2)
        if known is not None:
            entropies[name] = np.asarray(known["mean_entropy"].to_numpy(zero_copy_only=False), dtype=float)
    with columns[1]:
        waiting = [work for name, work in jobs.items() if name not in entropies]
        if waiting:
            common.note(f"Reading the tokens of {len(waiting)} of {len(jobs)} models ...")
        _ridges(models, entropies, "mean entropy (nats)", "Mean entropy")
        listing.wait_for(waiting)


def _ridges(models: Models, values: Mapping[str, NDArray[np.float64]], unit: str, title: str) -> None:
    """A ridge for each model: the shares of its correct and of its wrong responses over the same bins."""
    known = {name: of for name, of in values.items() if np.isfinite(of).any()}
    if not known:
        return
    edges = np.histogram_bin_edges(np.concatenate([of[np.isfinite(of)] for of in known.values()]), bins=_BINS)
    rows: list[dict[str, Any]] = []
    for place, (name, of) in enumerate(reversed(known.items())):
        rewards = np.array([np.nan if r is None else r for r in models[name].table["reward"].to_pylist()], dtype=float)
        for label, reward in (("correct", 1.0), ("wrong", 0.0)):
            chosen = of[(rewards == reward) & np.isfinite(of)]
            if len(chosen):
                steps = shares(chosen.tolist(), edges.tolist())
                rows += [
                    {"at": edge, "share": share, "foot": float(place), "responses": label, "model": visible(name)}
                    for edge, share in zip(edges.tolist(), [*steps, steps[-1]], strict=True)
                ]
    if not rows:
        return
    highest = max(row["share"] for row in rows)
    for row in rows:
        row["top"] = row["foot"] + 0.9 * row["share"] / highest
    _draw_ridges(rows, [visible(name, 24) for name in reversed(known)], unit, title)


def _draw_ridges(rows: list[dict[str, Any]], names: list[str], unit: str, title: str) -> None:
    schema = pa.schema(
        [(n, pa.string()) for n in ("model", "responses")]
        + [(n, pa.float64()) for n in ("at", "share", "foot", "top")]
    )  # fmt: skip
    axis = alt.Axis(
        values=list(range(len(names))), labelExpr=f"{json.dumps(names)}[datum.value]", grid=True, ticks=False
    )
    colour = alt.Scale(domain=["wrong", "correct"], range=charts.COLOURS[:2])
    chart = alt.Chart(
        pa.Table.from_pylist(rows, schema), title=f"{title}, shares of each",
        height=190 + len(names) * max(45, 120 - 10 * len(names)),
    ).mark_line(interpolate="step-after").encode(
        x=alt.X("at:Q", title=unit, scale=alt.Scale(nice=False, zero=False)),
        y=alt.Y("top:Q", title=None, axis=axis, scale=alt.Scale(domain=[0, len(names)], nice=False)),
        color=alt.Color("responses:N", title=None, scale=colour, legend=charts.legend(["correct", "wrong"])),
        strokeDash=alt.StrokeDash("responses:N", title=None, scale=alt.Scale(domain=["wrong", "correct"])),
        detail="model:N",
        tooltip=["model", "responses", "at", "share"],
    )  # fmt: skip
    charts.show(chart, key=f"many-{title.lower().replace(' ', '-')}")
