"""Two models closely: their paired difference, which problems each of them solves and which flip, and every number at
every k."""

from typing import Any

import streamlit as st

from onoff_assets.browser.aggregates import TokenSummary, token_summary
from onoff_assets.browser.at_k import Row, read_at_k
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link, side_by_side
from onoff_assets.browser.numbers import signed, signed_interval
from onoff_assets.browser.pairs import solved_by
from onoff_assets.browser.problem_differences import ProblemDifference, problem_differences
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import charts, common, entropy_charts
from onoff_assets.browser.views.taking import csv_button, with_ends
from onoff_core.errors import MissingInputError
from onoff_core.statistics import problem_means, responses_by_problem
from onoff_core.statistics.comparing import compare_curves
from onoff_core.statistics.intervals import Interval
from onoff_core.statistics.stored import Figure

_MOST_ROWS = 200
Pair = tuple[Responses, Responses]


def show_pair(keys: tuple[Key, Key], pair: Pair) -> None:
    """What one looks for first: who is better by how much, who solves what, and the problems that flip."""
    means = [problem_means(responses.table) for responses in pair]
    _difference(keys, pair, means)
    _solved(keys, means)
    _problems(keys, pair)


def show_pair_in_detail(reader: Reader, keys: tuple[Key, Key], pair: Pair) -> None:
    """Every k with both intervals, and how entropy lies in correct and in wrong responses."""
    st.subheader(visible(f"{keys[0][1]} beside {keys[1][1]}, at every k"), anchor="every-k")
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
    text = f"{first} minus {second}: {signed(100 * paired.difference, 1)} points over {problems}"
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
    return signed_interval(interval, 1, times=100)


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
    common.note("Solved: the model's pass rate on the problem is at least one half.")


def _problems(keys: tuple[Key, Key], pair: Pair) -> None:
    """Every problem of both, by how far apart the two are on it; those that flip are marked."""
    rows = problem_differences(*(responses_by_problem(responses.table) for responses in pair))
    if not rows:
        return
    apart, flipped = (sum(map(of, rows)) for of in (lambda row: row.difference != 0, lambda row: row.flips))
    flip = "none flips" if not flipped else f"{flipped:,} flip{'s' if flipped == 1 else ''}"
    st.subheader(f"They differ on {apart:,} of {len(rows):,} problems; {flip}", anchor="problems")
    header = ["problem", keys[0][1], keys[1][1], "difference"]
    table = [_problem_row(keys, row) for row in rows[:_MOST_ROWS]]
    common.go(link_table("Problems by difference", header, table, key="flips", scrolls=True))
    more = f" These are the {_MOST_ROWS} farthest apart; the CSV has all." if len(rows) > _MOST_ROWS else ""
    common.note(
        "Pass rates, the farthest apart first; a problem opens side by side. ⇄ flips: one pass rate is at least one "
        "half, the other below. In brackets 95 % for each problem alone, were its responses drawn again; a fill where "
        f"that leaves out 0.{more}"
    )
    csv_button("the problems as CSV", "problems-by-difference", lambda: [_as_row(keys, row) for row in rows])


def _problem_row(keys: tuple[Key, Key], row: ProblemDifference) -> list[Cell]:
    rates = [
        Cell(
            f"{of.pass_rate:.2f}", f"{of.ballot.correct} of {of.num_graded}", level=round(6 * of.pass_rate),
            number=True, page="problem", query=Link(*key, problem=row.problem_id).query(),
        )
        for key, of in zip(keys, (row.first, row.second), strict=True)
    ]  # fmt: skip
    low, high = row.interval()
    level = max(1, round(6 * abs(row.difference))) if low > 0 or high < 0 else 0
    difference = Cell(
        signed(row.difference, 2) if row.difference else "0", signed_interval((low, high), 2), level=level,
        ramp="w" if row.difference > 0 else "e", number=True,
    )  # fmt: skip
    beside = side_by_side(keys[0], row.problem_id, None, keys[1][1])
    name = Cell(row.problem_id, "⇄ flips" if row.flips else "", breaks=True, page="side_by_side", query=beside)
    return [name, *rates, difference]


def _as_row(keys: tuple[Key, Key], row: ProblemDifference) -> dict[str, Any]:
    sides = [
        {f"{which}model": key[1], f"{which}pass_rate": of.pass_rate, f"{which}num_correct": of.ballot.correct,
         f"{which}num_graded": of.num_graded}
        for which, key, of in zip(("", "other_"), keys, (row.first, row.second), strict=True)
    ]  # fmt: skip
    ends = with_ends("difference", row.interval())
    return {"problem_id": row.problem_id, **sides[0], **sides[1], "difference": row.difference, **ends,
            "flips": row.flips}  # fmt: skip


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
    text = f"{_points_of(figure.estimate, sign)}{unit} {_between(figure.other_problems, sign)}"
    return Cell(
        text.strip(), note=f"drawn again {_between(figure.same_problems, sign)}" if figure.same_problems else ""
    )


def _between(ends: Interval | None, sign: str) -> str:
    return "" if ends is None else f"[{_points_of(ends[0], sign)}, {_points_of(ends[1], sign)}]"


def _points_of(value: float, sign: str) -> str:
    return signed(100 * value, 1) if sign else f"{100 * value:.1f}"


def _entropies(reader: Reader, keys: tuple[Key, Key], pair: Pair) -> None:
    """Over all tokens and by position, each model beside the other on the same axes."""
    st.subheader("Entropy of their tokens", anchor="entropy")
    entropy_charts.show_bands_note()
    columns = st.columns(2)
    summaries: dict[int, TokenSummary] = {}
    for i, responses in enumerate(pair):
        try:
            summaries[i] = token_summary(reader, reader.distributions(responses), responses)
        except MissingInputError as error:
            with columns[i]:
                common.explain(error)
    names = [visible(keys[i][1], 40) for i in summaries]
    of_all = list(summaries.values())
    drawn = entropy_charts.entropy_histograms(of_all, [f"Entropy by reward: {name}" for name in names])
    placed = entropy_charts.entropy_by_position(of_all, [f"Entropy by position: {name}" for name in names])
    for i, name, histogram, by_position in zip(summaries, names, drawn, placed, strict=True):
        with columns[i]:
            entropy_charts.show_means(summaries[i], f"Mean entropy of a token: {name}", key=f"means-{i}")
            charts.show(histogram, key=f"entropy-{i}")
            charts.show(by_position, key=f"position-{i}")
