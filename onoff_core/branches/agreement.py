"""Whether values drop where the model was unsure: the AUROC of entropy as a sign of drops, for each problem."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """The probability that a labelled item has a higher score than one without the label, ties counted half: the area
    under the ROC curve, by the Mann-Whitney statistic (Hanley and McNeil 1982, "The Meaning and Use of the Area under a
    Receiver Operating Characteristic (ROC) Curve", Radiology 143). None where all items are alike.
    """
    values, marked = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    positives, negatives = int(marked.sum()), int((~marked).sum())
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = ((last - counts + 1 + last) / 2)[inverse]  # ties share the mean of their ranks
    return float((ranks[marked].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def problem_rows(positions: Iterable[Mapping[str, Any]], drop: float) -> list[dict[str, Any]]:
    """Rows of the table `branch_problems`, of rows of `branch_positions`. A value drops where it falls by `drop` or
    more.
    """
    by_problem: dict[str, list[Mapping[str, Any]]] = {}
    for row in positions:
        by_problem.setdefault(row["problem_id"], []).append(row)
    return [_problem_row(problem_id, rows, drop) for problem_id, rows in by_problem.items()]


def _problem_row(problem_id: str, rows: Sequence[Mapping[str, Any]], drop: float) -> dict[str, Any]:
    known = [row for row in rows if row["drop"] is not None]
    drops = [row["drop"] >= drop for row in known]
    found = auroc([row["entropy"] for row in known], drops)
    reason = None
    if found is None:
        reason = "no position's drop is known" if not known else "every value drops" if all(drops) else "no value drops"
    return {
        "problem_id": problem_id,
        "num_responses": len({row["sample_index"] for row in rows}),
        "num_positions": len(known),
        "num_drops": sum(drops),
        "auroc": found,
        "reason": reason,
    }
