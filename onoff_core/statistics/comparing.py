"""Two models on the problems both were given, at every k; and several models at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from onoff_core.statistics.at_k import Kind, bounds_at_k, same_problems_of, values_at_k
from onoff_core.statistics.distributions import Floats, student_t_two_sided
from onoff_core.statistics.intervals import (
    LEVEL,
    Interval,
    PairedDifference,
    difference_interval,
    difference_of,
    paired_interval,
)
from onoff_core.statistics.majority import Ballot
from onoff_core.statistics.responses import ProblemResponses

Problems = Mapping[str, ProblemResponses]
Curves = Literal["cross", "first_above", "second_above", "undecided"]

_DRAWS, _SEED = 20_000, 1
_FEWEST = 2  # problems that it takes for an interval


@dataclass(frozen=True)
class DifferenceAtK:
    """The first model minus the second at one k."""

    k: int
    first: float
    second: float
    paired: PairedDifference  # on other problems like these
    same_problems: Interval  # on these problems, drawn again
    every_k: Interval | None  # as `paired.interval`, so wide that all of the curve's hold at once
    every_pair: Interval | None  # as `paired.interval`, so wide that those of all pairs compared hold at once
    bounds: Interval | None  # whatever the responses without a verdict are


@dataclass(frozen=True)
class CurveDifference:
    """Two models' pass@k or maj@k, and what can be said of whether the curves cross.

    cross: at one k the first is above, at another the second; first_above, second_above: at every k asked;
    undecided: none of these. Each is said at 95 % for all k together, of other problems like these.
    """

    kind: Kind
    points: tuple[DifferenceAtK, ...]
    curves: Curves


def compare_curves(
    kind: Kind, first: Problems, second: Problems, ks: Sequence[int], num_compared: int = 1
) -> CurveDifference | None:
    """The two paired at each k for which all problems that both have verdicts on have responses enough; None where
    there is no such k. `num_compared`: of how many pairs of models this is one.
    """
    common = [i for i in sorted(first.keys() & second.keys()) if first[i].num_graded and second[i].num_graded]
    pairs = [[side[i].as_graded() for i in common] for side in (first, second)]
    fewest = min((ballot.num_votes for side in pairs for ballot in side), default=0)
    asked = [k for k in ks if k <= fewest]
    if not asked:
        return None
    values = {k: [values_at_k(kind, side, k) for side in pairs] for k in asked}
    differences = np.stack([values[k][0] - values[k][1] for k in asked], axis=1)  # (m, K)
    levels = (simultaneous_level(differences), 1 - (1 - LEVEL) / num_compared)
    points = []
    for k, of_k in zip(asked, differences.T, strict=True):
        one, other = (float(side.mean()) for side in values[k])
        alone = [same_problems_of(kind, ballots, k, side) for ballots, side in zip(pairs, values[k], strict=True)]
        redrawn = difference_interval((one, alone[0]), (other, alone[1]))
        every_k, every_pair = (paired_interval(of_k, level) if len(of_k) >= _FEWEST else None for level in levels)
        bounds = difference_bounds(kind, first, second, k)
        points.append(DifferenceAtK(k, one, other, difference_of(of_k), redrawn, every_k, every_pair, bounds))
    return CurveDifference(kind, tuple(points), _curves([point.every_k for point in points]))


def _curves(bands: Sequence[Interval | None]) -> Curves:
    known = [band for band in bands if band is not None]
    above = [low > 0 for low, _ in known]
    below = [high < 0 for _, high in known]
    if any(above) and any(below):
        return "cross"
    if known and all(above):
        return "first_above"
    return "second_above" if known and all(below) else "undecided"


def difference_bounds(kind: Kind, first: Problems, second: Problems, k: int) -> Interval | None:
    """Between what the difference lies whatever the responses without a verdict are, over all problems of either; a
    problem that only one was given is all missing of the other.
    """
    if first.keys() != second.keys():
        sizes = [problem.num_samples for side in (first, second) for problem in side.values()]
        first, second = _filled(first, second, max(sizes)), _filled(second, first, max(sizes))
    one, other = bounds_at_k(kind, list(first.values()), k), bounds_at_k(kind, list(second.values()), k)
    return None if one is None or other is None else (one[0] - other[1], one[1] - other[0])


def _filled(problems: Problems, other: Problems, num_samples: int) -> Problems:
    lacking = other.keys() - problems.keys()
    return {**problems, **{i: ProblemResponses(i, Ballot(0, (), 0), num_missing=num_samples) for i in lacking}}


def simultaneous_level(differences: Floats, level: float = LEVEL) -> float:
    """The level of each interval at which all K of (m, K) differences' intervals hold at once with `level`.

    The quantile of the largest of K absolute t statistics that are correlated as these are (Hothorn, Bretz and
    Westfall 2008, "Simultaneous Inference in General Parametric Models", Biometrical Journal 50), by drawing with a
    fixed seed, then the level at which one alone has this quantile. Between `level` and Bonferroni's.
    """
    m, num_ks = differences.shape
    if m < _FEWEST or num_ks < 2:
        return level
    centered = differences - differences.mean(axis=0)
    norms = np.sqrt((centered**2).sum(axis=0))
    moving = centered[:, norms > 0] / norms[norms > 0]  # (m, moving)
    draw = np.random.default_rng(_SEED)
    _, scales, directions = np.linalg.svd(moving, full_matrices=False)  # fewer draws than by problem
    normal = draw.standard_normal((_DRAWS, len(scales))) @ (scales[:, None] * directions)
    still = draw.standard_normal((_DRAWS, num_ks - moving.shape[1]))  # nothing is known of how they go together
    chi = np.sqrt(draw.chisquare(m - 1, _DRAWS) / (m - 1))
    largest = np.abs(np.hstack([normal, still])).max(axis=1) / chi
    alone = 1 - student_t_two_sided(float(np.quantile(largest, level)), m - 1)
    return min(max(alone, level), 1 - (1 - level) / num_ks)


def holm(p_values: Sequence[float], num_compared: int) -> list[float]:
    """Adjusted p-values of tests made at once: where one is below 0.05, so is the chance of any false one among all
    (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6).

    `num_compared` tests were meant; one without a p-value counts as not significant.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (num_compared - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def pairs_of(models: Mapping[str, Problems]) -> list[tuple[str, str]]:
    """Every two models that have verdicts on a problem in common, the more accurate on these first, then by name."""
    found = []
    for one, other in combinations(sorted(models), 2):
        common = models[one].keys() & models[other].keys()
        both = [i for i in common if models[one][i].num_graded and models[other][i].num_graded]
        if both:
            ahead = sum(models[one][i].pass_rate - models[other][i].pass_rate for i in both)
            found.append((one, other) if ahead >= 0 else (other, one))
    return found
