"""Estimates, intervals, AUROC and where losses are marked, against numbers worked out otherwise."""

import itertools
import math
import random

import numpy as np
import pytest

from onoff_core.branches.agreement import auroc, problem_rows
from onoff_core.branches.values import Estimate, Outcome, combined, effect, estimate_of


def brute_force(scores: list[float], labels: list[bool]) -> float:
    """The share of pairs in which the labelled one has the higher score; ties half."""
    pairs = [
        (a, b) for (a, la), (b, lb) in itertools.product(zip(scores, labels, strict=True), repeat=2) if la and not lb
    ]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("seed", range(20))
def test_auroc_is_the_share_of_pairs_in_order(seed: int) -> None:
    draw = random.Random(seed)
    scores = [float(draw.randrange(8)) for _ in range(30)]  # with many ties
    labels = [draw.random() < 0.3 for _ in scores]
    labels[0], labels[1] = True, False
    assert auroc(scores, labels) == pytest.approx(brute_force(scores, labels), abs=1e-12)


def test_auroc_of_items_that_are_all_alike_is_none_with_a_reason() -> None:
    assert auroc([1.0, 2.0], [True, True]) is None
    position = {"problem_id": "p", "sample_index": 0, "entropy": 1.0}
    drops = {"no value drops": 0.0, "every value drops": 0.5, "no position's drop is known": None}
    for reason, drop in drops.items():
        (row,) = problem_rows([{**position, "drop": drop}] * 2, 0.1)
        assert (row["auroc"], row["reason"]) == (None, reason)


def test_a_problem_counts_its_drops() -> None:
    rows = [
        {"problem_id": "p", "sample_index": at % 2, "entropy": entropy, "drop": drop}
        for at, (entropy, drop) in enumerate(
            [(2.0, 0.3), (1.0, 0.0), (1.5, 0.1), (0.2, -0.4), (3.0, None), (1.8, 0.05)]
        )
    ]
    (row,) = problem_rows(rows, 0.1)
    assert (row["num_responses"], row["num_positions"], row["num_drops"]) == (2, 5, 2)
    assert row["auroc"] == pytest.approx(5 / 6)  # of 2 x 3 pairs, (1.5, 1.8) is the wrong way round


def test_an_exact_branch_has_no_width_and_one_without_rewards_no_value() -> None:
    assert estimate_of(Outcome(1, 1, 3.0, True)) == Estimate(1.0, (1.0, 1.0))
    assert estimate_of(Outcome(0, 0, 3.0, False)) is None
    found = estimate_of(Outcome(8, 0, 3.0, False))
    assert found is not None
    assert found.interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 8), abs=1e-6))  # Clopper and Pearson's


@pytest.mark.parametrize(("weights", "values"), [((0.7, 0.3), (0.2, 0.9)), ((0.5, 0.3, 0.2), (0.0, 0.5, 1.0))])
def test_intervals_of_weighted_values_cover(weights: tuple[float, ...], values: tuple[float, ...]) -> None:
    """At least 93 % where 95 % is promised, of 2,000 simulated positions with 8 continuations a branch."""
    draw, truth = np.random.default_rng(0), sum(w * v for w, v in zip(weights, values, strict=True))
    hits = 0
    for counts in draw.binomial(8, values, size=(2000, len(values))):
        parts = [(w, estimate_of(Outcome(8, int(c), 0.0, False))) for w, c in zip(weights, counts, strict=True)]
        low, high = combined([(w, found) for w, found in parts if found is not None]).interval
        hits += low <= truth <= high
    assert hits >= 0.93 * 2000


def test_sums_of_one_estimate_are_that_estimate_and_signs_turn_it_round() -> None:
    one = Estimate(0.25, (0.1, 0.6))
    assert combined([(1.0, one)]) == one
    turned = combined([(-1.0, one)])
    assert turned.value == -0.25
    assert turned.interval == pytest.approx((-0.6, -0.1))
    both = combined([(1.0, one), (1.0, one)])
    assert both.interval == pytest.approx((0.5 - math.sqrt(2) * 0.15, 0.5 + math.sqrt(2) * 0.35))


def test_an_effect_is_one_beyond_chance() -> None:
    low, high = (estimate_of(Outcome(20, count, 0.0, False)) for count in (1, 19))
    assert effect(high, low) == "gained"
    assert effect(low, high) == "lost"
    assert effect(low, low) is None
    assert effect(None, low) is None
