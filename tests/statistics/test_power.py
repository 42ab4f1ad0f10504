"""What power promises, tried."""

import numpy as np
import pytest

from onoff_core.statistics.intervals import paired_p_value
from onoff_core.statistics.majority import Ballot
from onoff_core.statistics.power import (
    Problems,
    difference_between,
    problems_needed,
    samples_needed,
    smallest_difference,
    variances,
)
from onoff_core.statistics.responses import ProblemResponses


def drawn(draw: np.random.Generator, chances: np.ndarray, n: int) -> Problems:
    counts = draw.binomial(n, chances)
    return {str(i): ProblemResponses(str(i), Ballot(int(c), (n - int(c),), 0)) for i, c in enumerate(counts)}


def test_variances_are_unbiased() -> None:
    draw = np.random.default_rng(0)
    chances = draw.beta(2, 3, (200, 100))
    found = [variances(drawn(draw, row, 4)) for row in chances]
    assert np.mean([one.within for one in found if one.within is not None]) == pytest.approx(
        0.2, rel=0.02
    )  # ab/(a+b)(a+b+1)
    assert np.mean([one.between for one in found if one.between is not None]) == pytest.approx(0.04, rel=0.05)


def test_one_response_says_nothing_of_variance_within() -> None:
    found = variances(drawn(np.random.default_rng(0), np.full(5, 0.5), 1))
    assert (found.num_problems, found.within, found.between) == (5, None, None)


def test_so_many_problems_tell_the_difference() -> None:
    """Two models that differ by 0.1 on average, on the same problems: at the number of problems that power names, the
    paired test tells them apart in about 80 % of studies.
    """
    draw = np.random.default_rng(1)
    n, difference = 4, 0.1

    def chances(m: int) -> tuple[np.ndarray, np.ndarray]:
        common, apart = draw.uniform(0.25, 0.65, m), draw.normal(0, 0.12, m)
        return np.clip(common + difference + apart, 0, 1), common

    many = chances(20_000)
    first, second = (drawn(draw, side, n) for side in many)
    between = difference_between(first, second)
    assert between == pytest.approx(0.12**2, rel=0.1)
    within = (variances(first).within or 0) + (variances(second).within or 0)
    m = problems_needed(difference, between or 0, within, n)
    told = 0
    for _ in range(300):
        one, other = (draw.binomial(n, side) / n for side in chances(m))
        told += paired_p_value(one - other) < 0.05
    assert told / 300 == pytest.approx(0.8, abs=0.08)
    assert smallest_difference(between or 0, within, m, n) == pytest.approx(difference, rel=0.02)


def test_numbers_by_hand() -> None:
    quantiles = (1.959964 + 0.841621) ** 2
    assert problems_needed(0.02, 0.01, 0.32, 8) == int(np.ceil(quantiles * 0.05 / 0.0004))
    assert samples_needed(0.02, 0.32, 500) == int(np.ceil(quantiles * 0.32 / 500 / 0.0004))
    assert problems_needed(0.9, 0, 0, 1) == 2
    assert samples_needed(0.9, 0, 10) == 1
    assert problems_needed(0.02, 0.01, 0.32, 8, power=0.9) > problems_needed(0.02, 0.01, 0.32, 8)
