"""The invariants of a partition's confidence."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from onoff_core.checks.evidence import Check, Evidence, Found, Key, examples, keys_of

if TYPE_CHECKING:
    import pyarrow as pa

    from onoff_core.store import Store

Rows = Sequence[Mapping[str, Any]]

_SLACK = 1e-3  # nats; token distributions are float32, and kept alternatives have 10 mantissa bits
_ORDERED = (  # of each pair the first is never above the second
    ("lowest_window_confidence", "bottom_window_confidence"),
    ("mean_entropy", "maximum_entropy"),
    ("tail_entropy", "maximum_entropy"),
)


def each_response_has_its_confidence(samples: "pa.Table", confidence: Rows) -> Evidence:
    """Each response has one row, there is no other row, and no row counts more tokens than the response has."""
    lengths = dict(zip(keys_of(samples), samples["num_tokens"].to_pylist(), strict=True))
    rows = Counter(_response(row) for row in confidence)
    missing, foreign = sorted(lengths.keys() - rows.keys()), sorted(rows.keys() - lengths.keys())
    repeated = sorted(key for key, count in rows.items() if count > 1)
    longer = [_response(row) for row in confidence if row["num_tokens"] > lengths.get(_response(row), math.inf)]
    wrong = [*missing, *foreign, *repeated, *longer]
    facts = {
        "responses": samples.num_rows,
        "rows": len(confidence),
        "without a row": len(missing),
        "without a response": len(foreign),
        "repeated": len(repeated),
        "longer than the response": len(longer),
        **examples(wrong),
    }
    return Evidence(not wrong, f"{len(confidence)} rows for {samples.num_rows} responses", facts)


def measures_are_possible(confidence: Rows) -> Evidence:
    """Log-probabilities are at most 0, entropies, confidences and self-certainty at least 0, no lowest window is above
    the mean of the lowest ones, no mean entropy above the highest; what is null has a reason.
    """
    wrong = [_response(row) for row in confidence if not _is_possible(row)]
    unexplained = [
        _response(row)
        for row in confidence
        if row["reason"] is None and any(value is None for name, value in row.items() if name != "reason")
    ]
    unknown = sum(row["self_certainty"] is None for row in confidence)
    facts = {
        "responses": len(confidence),
        "impossible": len(wrong),
        "null without a reason": len(unexplained),
        "without self-certainty": unknown,
        **examples([*wrong, *unexplained]),
    }
    return Evidence(
        not wrong and not unexplained, f"{len(confidence) - len(wrong)} of {len(confidence)} are possible", facts
    )


def _is_possible(row: Mapping[str, Any]) -> bool:
    least_0 = [value for name, value in row.items() if name.endswith(("entropy", "confidence", "certainty"))]
    ordered = [(row[low], row[high]) for low, high in _ORDERED]
    known = [pair for pair in ordered if None not in pair]
    return (
        (row["mean_log_prob"] is None or row["mean_log_prob"] <= _SLACK)
        and all(value is None or value >= -_SLACK for value in least_0)
        and all(low <= high + _SLACK for low, high in known)
    )


def falling_windows_end_at_the_lowest(confidence: Rows) -> Evidence:
    """The windows of each response that are lower than all before them fall, and the last one is its lowest."""
    wrong = []
    for row in confidence:
        positions, values = row["falling_positions"], row["falling_confidences"]
        falls = all(after < before for before, after in pairwise(values))
        rises = all(after > before for before, after in pairwise(positions))
        if not falls or not rises or len(values) != len(positions) or values[-1:] != _lowest(row):
            wrong.append(_response(row))
    facts = {"responses": len(confidence), "wrong": len(wrong), **examples(wrong)}
    return Evidence(not wrong, f"{len(confidence) - len(wrong)} of {len(confidence)} agree", facts)


def _lowest(row: Mapping[str, Any]) -> list[float]:
    return [] if row["lowest_window_confidence"] is None else [row["lowest_window_confidence"]]


def majority_is_that_of_the_statistics(voting: Rows, statistics: Mapping[int, float] | None) -> Evidence:
    """maj@k beside the votes is the statistics' own, where these are of the same rewards."""
    if statistics is None:
        return Evidence(True, "not compared: there are no statistics of these rewards", {})
    apart = {
        row["k"]: abs(row["accuracy"] - statistics[row["k"]])
        for row in voting
        if row["rule"] == "majority" and row["accuracy"] is not None and row["k"] in statistics
    }
    largest = max(apart.values(), default=0.0)
    facts = {"k compared": len(apart), "largest difference": largest}
    return Evidence(largest < 1e-9, f"maj@k compared at {len(apart)} k", facts)


CONFIDENCE_CHECKS = (
    Check(each_response_has_its_confidence, "blocks"),
    Check(measures_are_possible, "error"),
    Check(falling_windows_end_at_the_lowest, "error"),
    Check(majority_is_that_of_the_statistics, "error"),
)


def check_confidence(store: "Store", key: tuple[str, str]) -> Found:
    """The evidence on a partition's current confidence, by check."""
    generation = store.require("confidence", key)
    inputs = generation.manifest().inputs
    rows = generation.read().to_pylist()
    samples = store.generation("samples", key, inputs["samples"])
    voting = store.require("confidence_voting", key).read().to_pylist()
    statistics = store.current("statistics", key)
    maj_at_k = None
    if statistics is not None and statistics.manifest().inputs["rewards"] == inputs["rewards"]:
        (found,) = statistics.read().to_pylist()
        maj_at_k = {one["k"]: one["estimate"] for one in found["maj_at_k"] if one["estimate"] is not None}
    return {
        "each_response_has_its_confidence": each_response_has_its_confidence(samples.read(), rows),
        "measures_are_possible": measures_are_possible(rows),
        "falling_windows_end_at_the_lowest": falling_windows_end_at_the_lowest(rows),
        "majority_is_that_of_the_statistics": majority_is_that_of_the_statistics(voting, maj_at_k),
    }


def _response(row: Mapping[str, Any]) -> Key:
    return row["problem_id"], row["sample_index"]
