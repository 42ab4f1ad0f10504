"""Thinking and answer apart: their lengths, and what a smaller budget of thinking would have left."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.statistics.estimators import accuracy
from onoff_core.statistics.intervals import accuracy_interval
from onoff_core.tables import SCHEMAS, TRUNCATED
from onoff_core.tasks import Parts

Key = tuple[str, int]  # problem_id, sample_index


@dataclass(frozen=True)
class Thought:
    """What is known of the thinking of one response."""

    parts: Parts
    finish_reason: str
    num_forced: int  # tokens that sampling.thinking_budget put in to close it

    @property
    def num_drawn(self) -> int:
        """Tokens of thinking that were drawn."""
        return self.parts.num_thought - self.num_forced

    @property
    def truncated(self) -> bool:
        """Whether max_length ended it within its thinking."""
        return self.parts.is_open and self.finish_reason in TRUNCATED


def thinking_columns(thoughts: Mapping[Key, Thought]) -> dict[str, float | None]:
    """The columns of `statistics` that tell thinking and answer apart; None without any response."""
    of = list(thoughts.values())
    thinking = np.array([one.parts.num_thinking for one in of], dtype=float)
    answer = np.array([one.parts.num_answer for one in of], dtype=float)
    return {
        "thinking_share": _mean([one.parts.thinks for one in of]),
        "mean_thinking_tokens": _mean(thinking),
        "median_thinking_tokens": float(np.median(thinking)) if of else None,
        "mean_answer_tokens": _mean(answer),
        "median_answer_tokens": float(np.median(answer)) if of else None,
        "truncated_in_thinking_share": _mean([one.truncated for one in of]),
        "cut_share": _mean([one.num_forced > 0 for one in of]),
    }


def thinking_by_problem(thoughts: Mapping[Key, Thought]) -> dict[str, dict[str, float | None]]:
    """The columns of `problem_statistics` that tell thinking and answer apart, by problem."""
    found: dict[str, list[Parts]] = defaultdict(list)
    for (problem, _), one in thoughts.items():
        found[problem].append(one.parts)
    return {
        problem: {
            "mean_thinking_tokens": _mean([one.num_thinking for one in of]),
            "mean_answer_tokens": _mean([one.num_answer for one in of]),
        }
        for problem, of in found.items()
    }


def budgets_of(lengths: Sequence[int]) -> list[int]:
    """The budgets to tell of: powers of two, from the last that cuts every thinking to the first that cuts none."""
    thinking = [length for length in lengths if length]
    if not thinking:
        return []
    first = max(0, (min(thinking) - 1).bit_length() - 1)
    last = (max(thinking) - 1).bit_length()
    return [2**power for power in range(first, last + 1)]


def thinking_budgets(thoughts: Mapping[Key, Thought], rewards: pa.Table) -> pa.Table:
    """The table `thinking_budgets`, from responses that were drawn with more room to think.

    A response whose thinking ended within a budget is what it would have been under it: the numbers that its tokens are
    drawn by belong to their positions. One whose thinking is longer would have been cut, and what the model would have
    answered then is not known without drawing it. It counts as wrong, so the accuracy is the least that the budget can
    come to; `accuracy_highest` is the most.
    """
    columns = (rewards[name].to_pylist() for name in ("problem_id", "sample_index", "reward"))
    rows = [(problem, thoughts[problem, index], reward) for problem, index, reward in zip(*columns, strict=True)]
    graded = [(problem, one.num_drawn, reward) for problem, one, reward in rows if reward is not None]
    budgets = budgets_of([length for _, length, _ in graded])
    return pa.Table.from_pylist([_of_budget(one, graded) for one in budgets], schema=SCHEMAS["thinking_budgets"])


def _of_budget(budget: int, graded: Sequence[tuple[str, int, int]]) -> dict[str, Any]:
    """`graded`: (problem, tokens of thinking, reward) of each response with a reward."""
    lowest, highest = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for problem, length, reward in graded:
        lowest[problem].append(0 if length > budget else reward)
        highest[problem].append(1 if length > budget else reward)
    means = np.array([np.mean(of) for of in lowest.values()])
    interval = accuracy_interval(means)
    whole = [reward for _, length, reward in graded if length <= budget]
    return {
        "budget": budget,
        "num_responses": len(graded),
        "num_whole": len(whole),
        "cut_share": (len(graded) - len(whole)) / len(graded),
        "accuracy": accuracy(means),
        "interval_low": interval[0] if interval else None,
        "interval_high": interval[1] if interval else None,
        "accuracy_highest": accuracy(np.array([np.mean(of) for of in highest.values()])),
        "accuracy_of_whole": _mean(whole),
        "mean_thinking_tokens": _mean([min(length, budget) for _, length, _ in graded]),
    }


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None
