"""How far the responses to one problem agree: the entropy over their different answers, in nats."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from onoff_core.confidence.measures import Floats


def class_entropy(classes: Sequence[int | None], weights: Floats) -> float | None:
    """-sum p ln p over answer classes, p the share of a class of the weights; None where no response has an answer.

    With the responses' probabilities as weights it is semantic entropy (Kuhn, Gal and Farquhar 2023, "Semantic
    Uncertainty", arXiv:2302.09664; with the normalisation of Farquhar et al. 2024, "Detecting hallucinations in large
    language models using semantic entropy", Nature 630), with equal weights its discrete form. Mathematical
    equality stands for their entailment: answers of one class mean the same.
    """
    sums: dict[int, float] = {}
    for answer_class, weight in zip(classes, weights, strict=True):
        if answer_class is not None:
            sums[answer_class] = sums.get(answer_class, 0.0) + float(weight)
    total = sum(sums.values())
    if not total:
        return None
    shares = np.array([share / total for share in sums.values() if share > 0])
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def problem_row(
    problem_id: str, classes: Sequence[int | None], mean_log_probs: Sequence[float | None]
) -> dict[str, Any]:
    """The row of `confidence_problems`. A response is weighted by the geometric mean of its tokens' probabilities
    (length-normalised, as in both papers), or else each would weigh as little as it is long.
    """
    answered = [one for one in classes if one is not None]
    reason = None if answered else "no response has an answer with a class"
    known = [(one, value) for one, value in zip(classes, mean_log_probs, strict=True) if value is not None]
    weighted = class_entropy([one for one, _ in known], np.exp([value for _, value in known]) if known else np.zeros(0))
    if weighted is None and reason is None:
        reason = "semantic_entropy: the model drew no token of the responses with an answer"
    return {
        "problem_id": problem_id,
        "num_samples": len(classes),
        "num_answered": len(answered),
        "num_classes": len(set(answered)),
        "semantic_entropy": weighted,
        "discrete_semantic_entropy": class_entropy(classes, np.ones(len(classes))),
        "reason": reason,
    }
