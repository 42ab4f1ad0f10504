"""The interval that may be looked at as often as one likes."""

import itertools
import math

import numpy as np
import pytest

from onoff_core.statistics import sequence
from onoff_core.statistics.intervals import clopper_pearson
from onoff_core.statistics.sequence import Sequence95, as_matrix, rounds_of

WANTED = Sequence95(half_width=0.1, least=2, most=60)


@pytest.mark.parametrize("chances", [(0.5, 0.5), (0.02, 0.9), (0.0, 0.3), (0.7, 1.0)])
@pytest.mark.parametrize("rate", [0.05, 0.4, 0.9])
def test_the_supermartingale_is_one(chances: tuple[float, float], rate: float) -> None:
    """Its expectation, over every outcome of two problems and three responses each, is 1 at most; for 1 - x too."""
    p = np.array(chances)[:, None]
    psi = -math.log(1 - rate) - rate
    for sign in (1, -1):
        total = 0.0
        for outcome in itertools.product((0.0, 1.0), repeat=6):
            x = np.array(outcome).reshape(2, 3)
            probability = float(np.where(x == 1, p, 1 - p).prod())
            squares = float(((x - sequence._expected(x)) ** 2).sum())
            total += probability * math.exp(sign * rate * float((x - p).sum()) - psi * squares)
        assert total <= 1 + 1e-12


def test_what_is_expected_of_a_response_rests_on_those_before_it() -> None:
    x = np.random.default_rng(1).integers(0, 2, (4, 9)).astype(float)
    changed = x.copy()
    changed[:, 5:] = 1 - changed[:, 5:]
    assert np.array_equal(sequence._expected(x)[:, :6], sequence._expected(changed)[:, :6])
    assert np.all(sequence._expected(x)[:, 0] == 0.5)


def misses(interval_of: object, runs: int = 80) -> float:
    """In which share of runs some look, one after every second response, leaves the accuracy on these problems out."""
    draw = np.random.default_rng(2)
    chances = draw.beta(0.5, 0.5, 6)
    missed = 0
    for _ in range(runs):
        rewards = (draw.random((6, 60)) < chances[:, None]).astype(np.int8)
        looks = (interval_of(rewards[:, :n]) for n in range(2, 61, 2))  # type: ignore[operator]
        missed += any(not low <= chances.mean() <= high for low, high in looks)
    return missed / runs


def test_it_holds_the_truth_however_often_it_is_looked_at() -> None:
    assert misses(WANTED.interval) <= 0.05
    # An interval for one look does not.
    assert misses(lambda rewards: clopper_pearson(float(rewards.mean()), rewards.size, 0.80)) > 0.20


def test_only_the_spread_within_problems_counts() -> None:
    draw = np.random.default_rng(3)
    settled = np.repeat(np.arange(20)[:, None] % 2, 40, 1).astype(np.int8)  # always or never solved
    open_ = draw.integers(0, 2, (20, 40)).astype(np.int8)
    widths = []
    for rewards in (settled, open_):
        low, high = WANTED.interval(rewards) or (0.0, 0.0)
        widths.append(high - low)
    assert widths[0] < widths[1] / 2


def test_it_is_the_interval_of_these_rewards_and_stays_within_0_and_1() -> None:
    for share in (0, 1):
        low, high = WANTED.interval(np.full((3, 5), share, np.int8)) or (None, None)
        assert low is not None
        assert high is not None
        assert 0 <= low <= share <= high <= 1
    assert WANTED.interval(np.zeros((0, 0), np.int8)) is None


@pytest.mark.parametrize(
    ("least", "most", "rounds"),
    [(8, 256, [8, 16, 24, 32, 40, 50, 62, 77, 96, 120, 150, 187, 233, 256]), (2, 2, [2]), (5, 7, [5, 7])],
)
def test_rounds(least: int, most: int, rounds: list[int]) -> None:
    assert rounds_of(least, most) == rounds


def test_problems_without_a_verdict_are_left_out() -> None:
    rewards = {"a": {1: 0, 0: 1}, "b": {0: None, 1: None}, "c": {0: 1, 1: 1}}
    assert as_matrix(rewards).tolist() == [[1, 0], [1, 1]]
    assert as_matrix({"b": {0: None}}).size == 0
