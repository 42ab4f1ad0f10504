"""What came of branches: the value of each, with its interval, and what the tokens gained and lost.

The value of a branch is the mean reward of its continuations: a Monte Carlo estimate of the value of the state after
its token, under the sampler's own policy (Sutton and Barto 2018, "Reinforcement Learning", 2nd edition, section 5.1;
for steps of mathematical solutions Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935). Its interval is Clopper and
Pearson's. The value before the token is the branches' by the sampler's probabilities, renormalised among them; the
advantage of a token is its value minus that. Intervals of such sums and differences recover the variances from the
parts' own intervals, and so exist where all continuations agree (MOVER: Zou, Huang and Zhang 2009, "A Note on
Confidence Interval Estimation for a Linear Function of Binomial Proportions", Computational Statistics and Data
Analysis 53).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from onoff_core.branches.planning import Branch, BranchedPosition, BranchKey
from onoff_core.statistics.intervals import Interval, clopper_pearson


@dataclass(frozen=True)
class Outcome:
    """What the continuations of a branch came to."""

    num_graded: int  # continuations with a reward
    num_correct: int
    mean_num_tokens: float  # of the whole responses
    is_exact: bool  # no other continuation is possible


@dataclass(frozen=True)
class Estimate:
    """A number, and its 95 % interval were the continuations drawn again."""

    value: float
    interval: Interval


def estimate_of(outcome: Outcome) -> Estimate | None:
    """The value of a branch; None where no continuation has a reward."""
    if not outcome.num_graded:
        return None
    value = outcome.num_correct / outcome.num_graded
    if outcome.is_exact:
        return Estimate(value, (value, value))
    return Estimate(value, binomial_interval(outcome.num_correct, outcome.num_graded))


@lru_cache(maxsize=4096)
def binomial_interval(num_correct: int, count: int) -> Interval:
    return clopper_pearson(num_correct / count, count)


def combined(parts: Sequence[tuple[float, Estimate]]) -> Estimate:
    """The sum of independent estimates, each times a number, with the interval that MOVER gives it."""
    value = sum(factor * part.value for factor, part in parts)
    below = above = 0.0
    for factor, part in parts:
        ends = sorted((factor * part.interval[0], factor * part.interval[1]))
        below += (factor * part.value - ends[0]) ** 2
        above += (ends[1] - factor * part.value) ** 2
    return Estimate(value, (value - math.sqrt(below), value + math.sqrt(above)))


@dataclass(frozen=True)
class ValuedPosition:
    """A position with the estimates of its branches; None where none of a branch's continuations has a reward."""

    position: BranchedPosition
    outcomes: Mapping[BranchKey, Outcome]

    def estimate(self, branch: Branch) -> Estimate | None:
        return estimate_of(self.outcomes[branch.key])

    @property
    def sampled(self) -> Branch:
        return next(branch for branch in self.position.branches if branch.is_sampled)

    def weighted(self) -> list[tuple[float, Branch, Estimate]]:
        """The branches whose value is known, with weights that sum to 1; none where the sampler takes none of them."""
        known = [(branch, found) for branch in self.position.branches if (found := self.estimate(branch)) is not None]
        total = sum(branch.weight for branch, _ in known)
        return [(branch.weight / total, branch, found) for branch, found in known] if total > 0 else []

    def value(self) -> Estimate | None:
        """Of the state before the token."""
        parts = self.weighted()
        return _within_reach(combined([(weight, found) for weight, _, found in parts])) if parts else None

    def advantage(self, branch: Branch) -> Estimate | None:
        """Of a token. Its own value is part of the position's, so it counts with 1 minus its weight."""
        own, parts = self.estimate(branch), self.weighted()
        if own is None or not parts:
            return None
        terms = [((1.0 if of is branch else 0.0) - weight, found) for weight, of, found in parts]
        return combined(terms)

    def branch_rows(self) -> list[dict[str, Any]]:
        """Rows of the table `branches`."""
        sampled = self.estimate(self.sampled)
        return [self._row(branch, sampled) for branch in self.position.branches]

    def _row(self, branch: Branch, sampled: Estimate | None) -> dict[str, Any]:
        outcome, found, advantage = self.outcomes[branch.key], self.estimate(branch), self.advantage(branch)
        problem_id, sample_index, position, token_id = branch.key
        return {
            "problem_id": problem_id,
            "sample_index": sample_index,
            "position": position,
            "token_id": token_id,
            "probability": branch.probability,
            "is_sampled": branch.is_sampled,
            "num_continuations": outcome.num_graded,
            "num_correct": outcome.num_correct,
            **_columns("value", found),
            "is_exact": outcome.is_exact,
            "mean_num_tokens": outcome.mean_num_tokens,
            **_columns("advantage", advantage),
            "effect": None if branch.is_sampled else effect(found, sampled),
        }


def effect(branch: Estimate | None, sampled: Estimate | None) -> str | None:
    """gained or lost: whether a token's value is above or below that of the sampled one, beyond the 95 % interval of
    their difference; else None.
    """
    if branch is None or sampled is None:
        return None
    low, high = combined([(1.0, branch), (-1.0, sampled)]).interval
    return "gained" if low > 0 else "lost" if high < 0 else None


def _within_reach(estimate: Estimate) -> Estimate:
    """A value lies between 0 and 1."""
    low, high = estimate.interval
    return Estimate(estimate.value, (max(0.0, low), min(1.0, high)))


def position_rows(valued: Sequence[ValuedPosition], pass_rates: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Rows of the table `branch_positions`, of positions in order. `pass_rates`: (correct, graded) of each problem's
    responses, which is the value before a first step.
    """
    rows: list[dict[str, Any]] = []
    previous: ValuedPosition | None = None
    for one in valued:
        before = _before_step(one, previous, pass_rates) if one.position.place.step is not None else one.value()
        after = one.estimate(one.sampled)
        rows.append(_position_row(one, before, after))
        previous = one
    _mark_losses(rows, {one.position.response.name: one.position.response.reward for one in valued})
    return rows


def _before_step(
    one: ValuedPosition, previous: ValuedPosition | None, pass_rates: Mapping[str, tuple[int, int]]
) -> Estimate | None:
    """The value of the state before a step: after the step before, or of the prompt."""
    response = one.position.response
    if previous is not None and previous.position.response is response:
        return previous.estimate(previous.sampled)
    correct, graded = pass_rates[response.problem_id]
    return Estimate(correct / graded, binomial_interval(correct, graded)) if graded else None


def _position_row(one: ValuedPosition, before: Estimate | None, after: Estimate | None) -> dict[str, Any]:
    position, place = one.position, one.position.place
    drop = None
    if place.step is not None and before is not None and after is not None:
        drop = combined([(1.0, before), (-1.0, after)])
    elif place.step is None and (advantage := one.advantage(one.sampled)) is not None:
        drop = combined([(-1.0, advantage)])
    return {
        "problem_id": position.response.problem_id,
        "sample_index": position.response.sample_index,
        "position": place.position,
        "step": place.step,
        "entropy": position.entropy,
        "num_branches": len(position.branches),
        "coverage": sum(branch.probability for branch in position.branches),
        **_columns("value", before),
        **_columns("value_after", after),
        **_columns("drop", drop),
        "is_lost_here": False,
    }


def _mark_losses(rows: Sequence[dict[str, Any]], rewards: Mapping[str, int]) -> None:
    """Mark the position where a response with reward 0 was lost: its largest drop, if that is beyond 95 %."""
    worst: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = f"problem {row['problem_id']}, sample {row['sample_index']}"
        dropped = rewards[name] == 0 and row["drop_low"] is not None and row["drop_low"] > 0
        if dropped and (name not in worst or row["drop"] > worst[name]["drop"]):
            worst[name] = row
    for row in worst.values():
        row["is_lost_here"] = True


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    low, high = (None, None) if estimate is None else estimate.interval
    return {name: None if estimate is None else estimate.value, f"{name}_low": low, f"{name}_high": high}
