"""AUROC, selective accuracy and calibration against their definitions, pair by pair; and how often intervals hold."""

import itertools
import math

import numpy as np
import pytest

from onoff_core.confidence.calibration import bins_of, calibrate, fit_logistic, logistic, probabilities_from_others
from onoff_core.confidence.clustered import share_interval
from onoff_core.confidence.discrimination import Scored, area_under_risk_coverage, auroc, selective_accuracy


def made_up(m: int = 9, n: int = 6, seed: int = 0, ties: bool = False, skill: float = 1.0) -> Scored:
    """m problems of about n responses each, whose values say something of the reward."""
    draw = np.random.default_rng(seed)
    problems = np.repeat(np.arange(m), draw.integers(max(1, n - 3), n + 1, m))
    chance = draw.random(m)[problems]
    right = (draw.random(len(problems)) < chance).astype(float)
    values = skill * right + draw.normal(0, 1, len(problems)) + chance
    return Scored(np.round(values) if ties else values, right, problems, m)


def pairs(scored: Scored, same_problem: bool = False) -> list[float]:
    every = range(len(scored.values))
    return [
        float((scored.values[i] > scored.values[j]) + 0.5 * (scored.values[i] == scored.values[j]))
        for i, j in itertools.product(every, every)
        if scored.right[i] == 1 and scored.right[j] == 0
        if not same_problem or scored.problems[i] == scored.problems[j]
    ]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_auroc_is_the_share_of_pairs(seed: int, ties: bool) -> None:
    scored = made_up(seed=seed, ties=ties)
    found = auroc(scored)
    assert found.estimate == pytest.approx(np.mean(pairs(scored)))
    within = []
    for problem in range(scored.num_problems):
        own = scored.problems == problem
        of_one = pairs(Scored(scored.values[own], scored.right[own], scored.problems[own], 1), same_problem=True)
        within += [np.mean(of_one)] if of_one else []
    assert found.within == pytest.approx(np.mean(within))
    assert found.num_mixed == len(within)
    assert found.interval is not None
    assert found.interval[0] < found.estimate < found.interval[1]


def test_auroc_that_there_is_not() -> None:
    scored = made_up()
    all_right = Scored(scored.values, np.ones_like(scored.right), scored.problems, scored.num_problems)
    assert (auroc(all_right).estimate, auroc(all_right).reason) == (None, "auroc: all responses are right")
    unmixed = Scored(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([0, 1]), 2)
    assert (auroc(unmixed).estimate, auroc(unmixed).within) == (1.0, None)
    assert "no problem has both" in str(auroc(unmixed).reason)
    low, high = auroc(unmixed).interval or (math.nan, math.nan)
    assert low < 0.5  # perfect on two problems says little
    assert high == 1
    one = Scored(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([0, 0]), 1)
    assert auroc(one).interval is None


def share_of_intervals_that_hold(truth: float, of: list[tuple[float, float]]) -> float:
    return float(np.mean([low <= truth <= high for low, high in of]))


def test_intervals_hold_the_truth_with_few_problems() -> None:
    """AUROC and accuracy over problems that are drawn anew; the truth by very many."""
    great = made_up(m=1500, n=8, seed=99)
    drawn = [made_up(m=15, n=8, seed=1000 + seed) for seed in range(150)]
    found = [interval for scored in drawn if (interval := auroc(scored).interval)]
    assert share_of_intervals_that_hold(float(auroc(great).estimate or 0), found) >= 0.92
    ones = [scored.by_problem(np.ones_like(scored.right)) for scored in drawn]
    shares = [share_interval(s.by_problem(s.right), counts) for s, counts in zip(drawn, ones, strict=True)]
    assert share_of_intervals_that_hold(float(great.right.mean()), [one for one in shares if one]) >= 0.92


def test_a_share_has_a_width_where_all_agree() -> None:
    assert share_interval(np.array([3.0]), np.array([3.0])) is None
    low, high = share_interval(np.full(5, 4.0), np.full(5, 4.0)) or (math.nan, math.nan)
    assert (low < 0.6, high) == (True, 1)


@pytest.mark.parametrize("ties", [False, True])
def test_the_surest_are_kept(ties: bool) -> None:
    scored = made_up(ties=ties)
    n = len(scored.values)
    for kept in selective_accuracy(scored):
        assert kept.num_responses == math.ceil(round(kept.coverage * n, 9))
        drawn = []
        for seed in range(1 if not ties else 400):  # ties broken at random
            order = np.lexsort([np.random.default_rng(seed).random(n), -scored.values])
            drawn.append(scored.right[order[: kept.num_responses]].mean())
        assert kept.accuracy == pytest.approx(np.mean(drawn), abs=1e-12 if not ties else 0.02)
        assert kept.threshold == np.sort(scored.values)[::-1][kept.num_responses - 1]
    assert selective_accuracy(scored)[-1].accuracy == pytest.approx(scored.right.mean())


def test_area_under_the_curve_of_risk() -> None:
    scored = made_up()
    order = np.argsort(-scored.values)
    risks = [1 - scored.right[order[:count]].mean() for count in range(1, len(order) + 1)]
    assert area_under_risk_coverage(scored) == pytest.approx(np.mean(risks))
    tied = Scored(np.zeros(4), np.array([1.0, 1, 1, 0]), np.arange(4), 4)
    assert area_under_risk_coverage(tied) == pytest.approx(0.25)  # in whatever order they stand


def test_the_logistic_function_is_the_most_likely_one() -> None:
    scored = made_up(m=40)
    intercept, slope = fit_logistic(scored.values, scored.right)
    positive, n = scored.right.sum(), len(scored.right)
    targets = np.where(scored.right == 1, (positive + 1) / (positive + 2), 1 / (n - positive + 2))

    def likelihood(a: float, b: float) -> float:
        p = logistic(a + b * scored.values)
        return float((targets * np.log(p) + (1 - targets) * np.log1p(-p)).sum())

    best = likelihood(intercept, slope)
    for a, b in itertools.product((-1e-3, 0, 1e-3), repeat=2):
        assert likelihood(intercept + a, slope + b) <= best + 1e-9
    assert slope > 0


def test_values_that_part_right_from_wrong_have_a_function_all_the_same() -> None:
    values, right = np.array([-3.0, -2, -1, 1, 2, 3]), np.array([0.0, 0, 0, 1, 1, 1])
    intercept, slope = fit_logistic(values, right)
    assert math.isfinite(slope)
    assert logistic(np.array([intercept + 3 * slope]))[0] > 0.8
    intercept, slope = fit_logistic(np.full(6, 7.0), right)  # nothing to go by
    assert (logistic(np.array([intercept]))[0], slope) == (pytest.approx(0.5), 0)


def test_probabilities_come_from_other_problems() -> None:
    scored = made_up(m=12)
    flipped = Scored(scored.values, np.where(scored.problems == 3, 1 - scored.right, scored.right), scored.problems, 12)
    own = scored.problems % 10 == 3
    assert np.array_equal(probabilities_from_others(scored)[own], probabilities_from_others(flipped)[own])
    assert not np.array_equal(probabilities_from_others(scored)[~own], probabilities_from_others(flipped)[~own])


def test_the_calibration_error_is_its_definition() -> None:
    scored = made_up(m=30)
    found = calibrate(scored)
    assert found is not None
    probabilities = probabilities_from_others(scored)
    bins = bins_of(scored.values)
    assert {int((bins == number).sum()) for number in range(10)} <= {len(bins) // 10, len(bins) // 10 + 1}
    gaps = [
        (bins == number).mean() * abs(scored.right[bins == number].mean() - probabilities[bins == number].mean())
        for number in range(10)
    ]
    assert found.error == pytest.approx(sum(gaps))
    assert found.brier_score == pytest.approx(((probabilities - scored.right) ** 2).mean())
    assert [one.number for one in found.bins] == list(range(10))
    assert sum(one.num_responses for one in found.bins) == len(bins)
    assert found.interval[0] < found.error < found.interval[1]
    assert calibrate(made_up(m=1)) is None


def test_what_chance_alone_shows_is_told_from_what_is_wrong() -> None:
    """Of calibrated probabilities the error is what chance makes it; where a step stands for a slope it is more."""
    fair = [calibrate(made_up(m=60, seed=seed)) for seed in range(20)]
    errors, by_chance = (np.mean([getattr(one, name) for one in fair]) for name in ("error", "error_by_chance"))
    assert abs(errors - by_chance) < 0.35 * by_chance
    assert np.mean([one.interval[0] <= 0.01 for one in fair if one]) > 0.9
    values = np.random.default_rng(0).normal(0, 1, 3000)
    bent = Scored(values, (np.abs(values) < 0.7).astype(float), np.arange(3000) % 100, 100)  # right in the middle alone
    found = calibrate(bent)
    assert found is not None
    assert found.interval[0] > 5 * found.error_by_chance


def steep(m: int, seed: int) -> Scored:
    """Right by a step of the values, which no logistic function is, and by a difficulty of each problem."""
    draw = np.random.default_rng(seed)
    problems = np.repeat(np.arange(m), 8)
    values = draw.normal(0, 1, 8 * m)
    chance = logistic(np.where(values > 1, 3.0, -1.0) + draw.normal(0, 0.7, m)[problems])
    return Scored(values, (draw.random(8 * m) < chance).astype(float), problems, m)


def test_the_interval_of_the_calibration_error_holds_that_of_the_same_probabilities() -> None:
    """The truth: what the fitted functions come to on very many responses, in the same bins."""
    great, held = steep(4000, 1), []
    for seed in range(60):
        scored = steep(20, 100 + seed)
        found = calibrate(scored)
        assert found is not None
        bins = bins_of(scored.values)
        edges = [scored.values[bins == number].min() for number in range(1, 10)]
        gaps = np.zeros(10)
        for fold in range(10):
            others = scored.problems % 10 != fold
            intercept, slope = fit_logistic(scored.values[others], scored.right[others])
            apart = great.right - logistic(intercept + slope * great.values)
            gaps += (~others).mean() * np.bincount(np.searchsorted(edges, great.values, "right"), apart, 10)
        truth = np.abs(gaps).sum() / len(great.values)
        held.append(found.interval[0] <= truth <= found.interval[1])
    assert np.mean(held) >= 0.92


def test_equal_probabilities_share_a_bin() -> None:
    assert bins_of(np.array([0.5] * 7)).tolist() == [5] * 7
    assert bins_of(np.array([0.1, 0.9, 0.1, 0.9]), 2).tolist() == [0, 1, 0, 1]
