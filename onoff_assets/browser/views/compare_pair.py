"""Two models closely: their paired difference, which problems each of them solves and which flip, and every number at
every k."""

import numpy as np
import streamlit as st

from onoff_assets.browser.aggregates import TokenSummary, token_summary
from onoff_assets.browser.at_k import Figure, Row, read_at_k
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.flips import flips
from onoff_assets.browser.links import Link, side_by_side
from onoff_assets.browser.pairs import solved_by
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import charts, common
from onoff_assets.browser.views.taking import csv_button
from onoff_core.errors import MissingInputError
from onoff_core.statistics import problem_means, responses_by_problem
from onoff_core.statistics.comparing import compare_curves
from onoff_core.statistics.intervals import Interval

_MOST_FLIPS = 200
Pair = tuple[Responses, Responses]


def show_pair(keys: tuple[Key, Key], pair: Pair) -> None:
    """What one looks for first: who is better by how much, who solves what, and the problems that flip."""
    means = [problem_means(responses.table) for responses in pair]
    _difference(keys, pair, means)
    _solved(keys, means)
    _flips(keys, means)


def show_pair_in_detail(reader: Reader, keys: tuple[Key, Key], pair: Pair) -> None:
    """Every k with both intervals, and how entropy lies in correct and in wrong responses."""
    _at_k(keys, read_at_k(reader, pair))
    _entropies(reader, keys, pair)


def _difference(keys: tuple[Key, Key], pair: tuple[Responses, Responses], means: list[dict[str, float]]) -> None:
    if pair[0].samples.manifest().inputs["problems"] != pair[1].samples.manifest().inputs["problems"]:
        st.warning("The two were drawn for different versions of the data set; only problems of both are compared.")
    counted = [responses_by_problem(responses.table) for responses in pair]
    curve = compare_curves("pass_at_k", counted[0], counted[1], [1])
    if curve is None:
        st.info("They have no graded problem in common; materialize rewards of both.")
        return
    paired, same_problems = curve.points[0].paired, curve.points[0].same_problems
    first, second = visible(keys[0][1]), visible(keys[1][1])
    problems = "1 problem" if paired.num_problems == 1 else f"{paired.num_problems} problems"
    text = f"{first} minus {second}: {100 * paired.difference:+.1f} points over {problems}"
    if paired.interval is not None:
        text += f", 95 % interval {_points(paired.interval)} for other problems like these, paired by problem"
    st.markdown(f"**{escaped(text)}**")
    common_problems = means[0].keys() & means[1].keys()
    accuracies = [sum(of[problem] for problem in common_problems) / len(common_problems) for of in means]
    again = "" if paired.interval is None else (
        f"For these problems, drawn again: 95 % interval {_points(same_problems)}. "
    )  # fmt: skip
    common.note(
        f"{again}Accuracy on the same problems: {first} {100 * accuracies[0]:.1f} %, "
        f"{second} {100 * accuracies[1]:.1f} %"
    )


def _points(interval: Interval) -> str:
    return f"[{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


def _solved(keys: tuple[Key, Key], means: list[dict[str, float]]) -> None:
    """How many problems both solve, one alone, neither."""
    counts = solved_by(*means)
    total = sum(counts)
    if not total:
        return
    first, second = (visible(model, 40) for _, model in keys)
    cells = [Cell(f"{count:,}", f"{100 * count / total:.0f} %", level=round(6 * count / total), number=True)
             for count in counts]  # fmt: skip
    rows = [[Cell(f"{first} solves it"), cells[0], cells[1]], [Cell(f"{first} does not"), cells[2], cells[3]]]
    link_table(
        f"Solved by which, of {total:,} problems", ["", f"{second} solves it", f"{second} does not"], rows, key="solved"
    )
    common.note("A problem is solved where the model's pass rate on it is at least one half.")


def _flips(keys: tuple[Key, Key], means: list[dict[str, float]]) -> None:
    apart = flips(*means)
    st.subheader("1 problem flips" if len(apart) == 1 else f"{len(apart)} problems flip")
    if not apart:
        return
    common.note("One model's pass rate is at least one half, the other's below; the widest apart first.")
    rows = []
    for problem, first, second in apart[:_MOST_FLIPS]:
        cells = [
            Cell(f"{mean:.2f}", level=round(6 * mean), page="problem", query=Link(*key, problem=problem).query())
            for key, mean in zip(keys, (first, second), strict=True)
        ]
        beside = side_by_side(keys[0], problem, None, keys[1][1])
        rows.append([Cell(problem, breaks=True, page="side_by_side", query=beside), *cells])
    common.go(link_table("Problems that flip", ["problem", keys[0][1], keys[1][1]], rows, key="flips", scrolls=True))
    names = ("problem_id", *(key[1] for key in keys))
    csv_button("the flips as CSV", "flips", lambda: [dict(zip(names, row, strict=True)) for row in apart])


_NAMES = {"pass_at_k": "pass@k", "maj_at_k": "maj@k"}


def _at_k(keys: tuple[Key, Key], rows: list[Row]) -> None:
    """Each k with both intervals, the one for other problems first and the one for these problems below it."""
    if not rows:
        st.info("There are no statistics of these verdicts; materialize statistics of both.")
        return
    common.note(
        "pass@k and maj@k have two 95 % intervals: the first for other problems like these, below it that for these "
        "problems, drawn again. The difference is paired by problem."
    )
    table = [
        [
            Cell(_NAMES[row.kind]),
            Cell(str(row.k), number=True),
            *(_figure(figure) for figure in row.figures),
            _figure(row.difference, sign="+"),
        ]
        for row in rows
    ]
    models = [key[1] for key in keys]
    header = ["statistic", "k", *models, f"{models[0]} minus {models[1]}, points"]
    common.go(link_table("Both intervals at every k", header, table, key="at-k"))


def _figure(figure: Figure | None, sign: str = "") -> Cell:
    if figure is None:
        return Cell("–")
    unit = "" if sign else " %"
    text = f"{100 * figure.estimate:{sign}.1f}{unit} {_between(figure.other_problems, sign)}"
    return Cell(
        text.strip(), note=f"drawn again {_between(figure.same_problems, sign)}" if figure.same_problems else ""
    )


def _between(ends: Interval | None, sign: str) -> str:
    return "" if ends is None else f"[{100 * ends[0]:{sign}.1f}, {100 * ends[1]:{sign}.1f}]"


def _entropies(reader: Reader, keys: tuple[Key, Key], pair: Pair) -> None:
    """Over all tokens and by position, each model beside the other on the same axes."""
    columns = st.columns(2)
    summaries: dict[int, TokenSummary] = {}
    for i, responses in enumerate(pair):
        try:
            summaries[i] = token_summary(reader, reader.distributions(responses), responses)
        except MissingInputError as error:
            with columns[i]:
                common.explain(error)
    histograms = [of.histogram for of in summaries.values()]
    shares = [counts / np.maximum(1, counts.sum(axis=1, keepdims=True)) for counts in histograms]
    names = [visible(keys[i][1], 40) for i in summaries]
    drawn = charts.entropy_histograms(shares, [f"Entropy by reward: {name}" for name in names], "share of tokens")
    placed = charts.entropy_by_position(list(summaries.values()), [f"Entropy by position: {name}" for name in names])
    for i, histogram, by_position in zip(summaries, drawn, placed, strict=True):
        with columns[i]:
            charts.show(histogram, key=f"entropy-{i}")
            charts.show(by_position, key=f"position-{i}")
