"""How many problems and how many responses it takes to tell two models apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from onoff_core.statistics.responses import ProblemResponses, graded

Problems = Mapping[str, ProblemResponses]


@dataclass(frozen=True)
class Variances:
    """Of rewards: how much a problem's responses differ, and how much the problems do."""

    num_problems: int
    within: float | None  # mean over problems of p (1 - p); None where no problem has two responses
    between: float | None  # variance over problems of p; None for fewer than two problems, or where `within` is


def variances(problems: Problems) -> Variances:
    """The two parts of the variance of a problem's mean reward, unbiased (Miller 2024, "Adding Error Bars to Evals",
    arXiv:2411.00640, section 3): s^2 of the means is between + within / n on average.

    A negative `between` is given as 0.
    """
    there = list(graded(problems).values())
    several = [found for found in there if found.num_graded > 1]
    if not several:
        return Variances(len(there), None, None)
    within = float(np.mean([_within(found) for found in several]))
    if len(there) < 2:
        return Variances(len(there), within, None)
    means = np.array([found.pass_rate for found in there])
    redrawn = float(np.mean([within / found.num_graded for found in there]))
    return Variances(len(there), within, max(0.0, float(means.var(ddof=1)) - redrawn))


def _within(found: ProblemResponses) -> float:
    n, p = found.num_graded, found.pass_rate
    return p * (1 - p) * n / (n - 1)


def difference_between(first: Problems, second: Problems) -> float | None:
    """The variance over problems of the true difference of two models' pass rates; None where it cannot be told."""
    one, other = graded(first), graded(second)
    common = sorted(one.keys() & other.keys())
    if len(common) < 2:
        return None
    differences = np.array([one[i].pass_rate - other[i].pass_rate for i in common])
    redrawn = 0.0
    for side in (one, other):
        within = variances({i: side[i] for i in common}).within
        if within is None:
            return None
        redrawn += float(np.mean([within / side[i].num_graded for i in common]))
    return max(0.0, float(differences.var(ddof=1)) - redrawn)


def problems_needed(
    difference: float, between: float, within: float, num_samples: int, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Problems that tell two models apart which differ by `difference`, with that chance, at num_samples responses of
    each model to each problem.

    (z_{1 - alpha/2} + z_{power})^2 (between + within / num_samples) / difference^2 (Miller 2024, equation 9), where
    `between` is the variance over problems of the true difference and `within` the sum of the two models' variances.
    """
    needed = _quantiles(power, alpha) ** 2 * (between + within / num_samples) / difference**2
    return max(2, math.ceil(needed - 1e-9))


def samples_needed(difference: float, within: float, num_problems: int, power: float = 0.8, alpha: float = 0.05) -> int:
    """Responses of each model to each problem that tell the two apart on these very problems, drawn again."""
    needed = _quantiles(power, alpha) ** 2 * within / (num_problems * difference**2)
    return max(1, math.ceil(needed - 1e-9))


def smallest_difference(
    between: float, within: float, num_problems: int, num_samples: int, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The difference that so many problems and responses tell (Miller 2024, section 5)."""
    return _quantiles(power, alpha) * math.sqrt((between + within / num_samples) / num_problems)


def _quantiles(power: float, alpha: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
