"""The table `problem_statistics`: rewards and samples in, one row per problem out; and back to counts."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.statistics.intervals import clopper_pearson
from onoff_core.statistics.majority import Ballot
from onoff_core.statistics.responses import ProblemResponses
from onoff_core.statistics.thinking import Key, Thought, thinking_by_problem
from onoff_core.tables import SCHEMAS


def problem_statistics(
    problems: Mapping[str, ProblemResponses],
    rewards: pa.Table,
    samples: pa.Table | None,
    thoughts: Mapping[Key, Thought] | None = None,
) -> pa.Table:
    """One row per problem, in the order of `problems`, which are `responses_by_problem(rewards, ...)`.

    `samples` None: the responses were made elsewhere, and their lengths are not known. `thoughts` None: nothing is said
    of their thinking.
    """
    answers = _answers_by_problem(rewards)
    lengths = {} if samples is None else _lengths_by_problem(samples)
    thinking = thinking_by_problem(thoughts or {})
    rows = [
        {**_row(found, answers.get(problem, []), lengths.get(problem)), **thinking.get(problem, {})}
        for problem, found in problems.items()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["problem_statistics"])


def responses_of_table(table: pa.Table) -> dict[str, ProblemResponses]:
    """The counts that a `problem_statistics` table was made from."""
    return {
        row["problem_id"]: ProblemResponses(
            row["problem_id"],
            Ballot(row["num_correct"], tuple(row["other_answer_counts"]), row["num_no_answer"]),
            row["num_timeouts"],
            row["num_gold_unparsed"],
            row["num_missing"],
        )
        for row in table.to_pylist()
    }


def _row(
    found: ProblemResponses, answers: Sequence[tuple[int, str | None]], mean_num_tokens: float | None
) -> dict[str, Any]:
    n, correct = found.num_graded, found.ballot.correct
    interval = clopper_pearson(correct / n, n) if n else (None, None)
    asked = found.num_samples
    return {
        "problem_id": found.problem_id,
        "num_samples": asked,
        "num_graded": n,
        "num_correct": correct,
        "num_no_answer": found.ballot.abstentions,
        "num_timeouts": found.num_timeouts,
        "num_gold_unparsed": found.num_ungraded,
        "num_missing": found.num_missing,
        "other_answer_counts": list(found.ballot.others),
        "pass_rate": correct / n if n else None,
        "same_problems_low": interval[0],
        "same_problems_high": interval[1],
        "pass_rate_lowest": correct / asked,
        "pass_rate_highest": (correct + found.num_unknown) / asked,
        "answer_entropy": answer_entropy(found.ballot),
        **_majority(found, answers),
        "mean_num_tokens": mean_num_tokens,
    }


def answer_entropy(ballot: Ballot) -> float | None:
    """-sum p ln p over the shares of the different answers given, in nats; None where no answer was given.

    Responses without an answer are left out. It is the empirical shares' own entropy, which is below the model's on
    average (Miller 1955, "Note on the Bias of Information Estimates"): compare only problems with as many responses.
    """
    sizes = np.array([size for size in (ballot.correct, *ballot.others) if size], dtype=float)
    if not len(sizes):
        return None
    shares = sizes / sizes.sum()
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def _majority(found: ProblemResponses, answers: Sequence[tuple[int, str | None]]) -> dict[str, Any]:
    """The answer class with the most responses; of several, the one whose answer comes first in the alphabet."""
    sizes = Counter(answer_class for answer_class, _ in answers)
    if not sizes:
        return {"majority_answer": None, "majority_share": None, "majority_is_correct": None}
    largest = max(sizes.values())
    written = {
        one: _most_frequent([text for of, text in answers if of == one]) for one in sizes if sizes[one] == largest
    }
    winner = min(written, key=lambda one: (written[one] is None, written[one] or "", one))
    return {
        "majority_answer": written[winner],
        "majority_share": largest / found.num_graded,
        "majority_is_correct": winner == 0 if len(written) == 1 else None,
    }


def _most_frequent(texts: Sequence[str | None]) -> str | None:
    counts = Counter(text for text in texts if text is not None)
    return min(counts, key=lambda text: (-counts[text], text)) if counts else None


def _answers_by_problem(rewards: pa.Table) -> dict[str, list[tuple[int, str | None]]]:
    """(class, answer as written) of the responses that have both a reward and a class."""
    found: dict[str, list[tuple[int, str | None]]] = {}
    columns = (
        rewards[name].to_pylist() for name in ("problem_id", "reward", "answer_class", "extracted_answer", "status")
    )
    for problem, reward, answer_class, answer, status in zip(*columns, strict=True):
        if reward is not None and status != "timeout" and (reward or answer_class is not None):
            found.setdefault(problem, []).append((0 if reward else answer_class, answer))
    return found


def _lengths_by_problem(samples: pa.Table) -> dict[str, float]:
    means = samples.group_by("problem_id").aggregate([("num_tokens", "mean")])
    values = means["num_tokens_mean"].to_pylist()
    return {
        problem: value
        for problem, value in zip(means["problem_id"].to_pylist(), values, strict=True)
        if math.isfinite(value)
    }
