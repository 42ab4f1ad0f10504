"""Two models on the same problems: the paired difference and the problems that flip."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Paired:
    """First minus second; numbers are None where there are too few problems for them."""

    num_problems: int
    difference: float | None
    low: float | None
    high: float | None
    unpaired_width: float | None  # of the interval had the problems been different ones


def paired_difference(first: Mapping[str, float], second: Mapping[str, float]) -> Paired:
    """From each problem's mean reward under both models, over the problems that both have.

    The difference is the mean of d_i = a_i - b_i with standard error s_d / sqrt(m) (Miller 2024, "Adding Error Bars to
    Evals", section 4.2): questions both find hard cancel, so the interval is narrower than that of two separate sets.
    """
    common = [problem for problem in first if problem in second]
    if not common:
        return Paired(0, None, None, None, None)
    a, b = (np.array([means[problem] for problem in common]) for means in (first, second))
    mean, m = float((a - b).mean()), len(common)
    if m < 2:
        return Paired(m, mean, None, None, None)
    half = _Z95 * float((a - b).std(ddof=1)) / math.sqrt(m)
    apart = _Z95 * math.sqrt((float(a.var(ddof=1)) + float(b.var(ddof=1))) / m)
    return Paired(m, mean, mean - half, mean + half, 2 * apart)


def flips(first: Mapping[str, float], second: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """(problem, first, second) where one model is mostly right and the other mostly wrong; the widest apart first."""
    both = [(problem, first[problem], second[problem]) for problem in first if problem in second]
    apart = [row for row in both if (row[1] >= 0.5) != (row[2] >= 0.5)]
    return sorted(apart, key=lambda row: (-abs(row[1] - row[2]), row[0]))
