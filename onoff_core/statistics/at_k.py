"""pass@k and maj@k of a set of problems: an estimate, two intervals and bounds for every k that is asked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from onoff_core.statistics.distributions import Floats
from onoff_core.statistics.estimators import pass_share, powers_up_to
from onoff_core.statistics.intervals import Interval, other_problems_interval, same_problems_interval
from onoff_core.statistics.majority import Ballot, majority_jackknife, majority_share
from onoff_core.statistics.responses import ProblemResponses

Kind = Literal["pass_at_k", "maj_at_k"]


@dataclass(frozen=True)
class AtK:
    """One statistic at one k; what does not exist is None."""

    k: int
    estimate: float | None  # None with a reason
    reason: str | None
    other_problems: Interval | None  # None for fewer than two problems
    same_problems: Interval | None
    bounds: Interval | None  # everything without a verdict wrong, everything right; over all problems there are


def asked_ks(asked: Sequence[int] | Literal["all"] | None, problems: Sequence[ProblemResponses]) -> list[int]:
    """For which k the setting `statistics.k` asks: those named; all up to the most responses of a problem; None: the
    powers of two up to there.
    """
    largest = max((problem.num_graded for problem in problems), default=0)
    if asked == "all":
        return list(range(1, largest + 1))
    return powers_up_to(largest) if asked is None else list(asked)


def _pass_share(ballot: Ballot, k: int) -> float:
    return pass_share(ballot.correct, ballot.num_votes, k)


def pass_jackknife(ballot: Ballot, k: int) -> float:
    """As `majority_jackknife`, for `pass_share`."""
    n, correct = ballot.num_votes, ballot.correct
    whole = pass_share(correct, n, k)
    changed = 0.0
    if correct:
        changed += correct * (pass_share(correct - 1, n - 1, k) - whole) ** 2
    if n > correct:
        changed += (n - correct) * (pass_share(correct, n - 1, k) - whole) ** 2
    return (n - 1) / n * changed


_SHARES: dict[Kind, Callable[[Ballot, int], float]] = {"pass_at_k": _pass_share, "maj_at_k": majority_share}
_JACKKNIVES: dict[Kind, Callable[[Ballot, int], float]] = {"pass_at_k": pass_jackknife, "maj_at_k": majority_jackknife}


def values_at_k(kind: Kind, ballots: Sequence[Ballot], k: int) -> Floats:
    """(m,) each problem's own pass@k or maj@k; every ballot has at least k votes."""
    return np.array([_SHARES[kind](ballot, k) for ballot in ballots])


def variances_at_k(kind: Kind, ballots: Sequence[Ballot], k: int) -> Floats:
    """(m,) the variance of each under drawing its responses again; infinite where k = n leaves none out."""
    found = [_JACKKNIVES[kind](ballot, k) if k < ballot.num_votes else math.inf for ballot in ballots]
    return np.array(found)


def at_k(kind: Kind, problems: Sequence[ProblemResponses], k: int) -> AtK:
    """The statistic at k over all problems; intervals over those that have verdicts."""
    ballots = [problem.as_graded() for problem in problems if problem.num_graded]
    bounds = bounds_at_k(kind, problems, k)
    if not ballots or min(ballot.num_votes for ballot in ballots) < k:
        reason = f"a problem has fewer than {k} responses" if ballots else "no response has a verdict"
        return AtK(k, None, reason, None, None, bounds)
    values = values_at_k(kind, ballots, k)
    return AtK(
        k,
        float(values.mean()),
        None,
        other_problems_interval(values),
        same_problems_of(kind, ballots, k, values),
        bounds,
    )


def same_problems_of(kind: Kind, ballots: Sequence[Ballot], k: int, values: Floats) -> Interval:
    """The interval of the mean of `values_at_k` over these problems, drawn again."""
    num_samples = np.array([ballot.num_votes for ballot in ballots], dtype=float)
    return same_problems_interval(values, variances_at_k(kind, ballots, k), num_samples, k)


def bounds_at_k(kind: Kind, problems: Sequence[ProblemResponses], k: int) -> Interval | None:
    """Between what the statistic lies whatever the responses without a verdict are: all wrong, to all right.

    Over all problems and all the responses they were to have; None where one was to have fewer than k.
    """
    if not problems or min(problem.num_samples for problem in problems) < k:
        return None
    worst = values_at_k(kind, [problem.at_worst() for problem in problems], k)
    best = values_at_k(kind, [problem.at_best() for problem in problems], k)
    return float(worst.mean()), float(best.mean())
