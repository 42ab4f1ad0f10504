"""The table `comparisons`: the models of one data set in pairs, for accuracy, pass@k and maj@k at every k asked."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from onoff_core.statistics.at_k import Kind
from onoff_core.statistics.comparing import CurveDifference, DifferenceAtK, Problems, compare_curves, holm, pairs_of
from onoff_core.statistics.intervals import Interval
from onoff_core.tables import SCHEMAS

Pair = tuple[str, str]

_KINDS: tuple[Kind, ...] = ("pass_at_k", "maj_at_k")


def comparison_table(models: Mapping[str, Problems], ks: Sequence[int]) -> pa.Table:
    """Rows by statistic, k and pair. The pairs are corrected for one another at each statistic and k."""
    pairs = pairs_of(models)
    rows: list[dict[str, Any]] = []
    for kind in _KINDS:
        curves = {
            (first, second): compare_curves(kind, models[first], models[second], ks, len(pairs))
            for first, second in pairs
        }
        rows += _rows({pair: curve for pair, curve in curves.items() if curve is not None}, len(pairs))
    return pa.Table.from_pylist(_accuracies(rows) + rows, schema=SCHEMAS["comparisons"])


def _accuracies(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy is pass@1, and not one of several k."""
    first = [row for row in rows if row["statistic"] == "pass_at_k" and row["k"] == 1]
    alone = {"statistic": "accuracy", "every_k_low": None, "every_k_high": None, "curves": None}
    return [{**row, **alone} for row in first]


def _rows(curves: Mapping[Pair, CurveDifference], num_compared: int) -> list[dict[str, Any]]:
    rows = []
    for k in sorted({point.k for curve in curves.values() for point in curve.points}):
        there = {pair: point for pair, curve in curves.items() for point in curve.points if point.k == k}
        p_values = {pair: p for pair, point in there.items() if (p := point.paired.p_value) is not None}
        adjusted = dict(zip(p_values, holm(list(p_values.values()), num_compared), strict=True))
        for pair, point in there.items():
            corrected = {"num_compared": num_compared, "holm_p_value": adjusted.get(pair)}
            rows.append({**_row(pair, curves[pair], point), **corrected})
    return rows


def _row(pair: Pair, curve: CurveDifference, point: DifferenceAtK) -> dict[str, Any]:
    return {
        "first_model": pair[0],
        "second_model": pair[1],
        "statistic": curve.kind,
        "k": point.k,
        "num_problems": point.paired.num_problems,
        "first_estimate": point.first,
        "second_estimate": point.second,
        "difference": point.paired.difference,
        **_ends("other_problems", point.paired.interval),
        **_ends("same_problems", point.same_problems),
        "difference_lowest": None if point.bounds is None else point.bounds[0],
        "difference_highest": None if point.bounds is None else point.bounds[1],
        "p_value": point.paired.p_value,
        **_ends("every_pair", point.every_pair),
        **_ends("every_k", point.every_k),
        "curves": curve.curves,
    }


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else interval
    return {f"{name}_low": low, f"{name}_high": high}
