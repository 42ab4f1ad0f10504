"""Two models at every k, several at once, and the table of them."""

import numpy as np
import pytest

from onoff_core.statistics import comparison_table
from onoff_core.statistics.at_k import pass_share
from onoff_core.statistics.comparing import Problems, compare_curves, holm, pairs_of, simultaneous_level
from onoff_core.statistics.intervals import mid_tail, paired_difference
from onoff_core.statistics.majority import Ballot
from onoff_core.statistics.responses import ProblemResponses
from onoff_core.tables import SCHEMAS

KS = [1, 2, 4, 8, 16]


def model(correct: np.ndarray | list[int], n: int = 16, wrong: int = 1, **unknown: int) -> Problems:
    """So many right of n for each problem; the others give `wrong` different answers."""
    found = {}
    for i, c in enumerate(correct):
        others = tuple(sorted(len(part) for part in np.array_split(np.arange(n - c), wrong) if len(part)))
        found[f"p{i}"] = ProblemResponses(f"p{i}", Ballot(int(c), others, 0), **unknown)
    return found


def test_curves_that_cross_are_said_to() -> None:
    """One model solves half of the problems always, the other each one now and then."""
    sure, broad = model([16] * 50 + [0] * 50), model([4] * 100)
    for first, second in ((sure, broad), (broad, sure)):
        curve = compare_curves("pass_at_k", first, second, KS)
        assert curve is not None
        assert curve.curves == "cross"
    majority = compare_curves("maj_at_k", broad, sure, KS)
    assert majority is not None
    assert majority.curves == "second_above"


def test_curves_that_do_not_cross_are_said_to_be_above_or_undecided() -> None:
    better, worse = model([12] * 60), model([4] * 60)
    above = compare_curves("pass_at_k", better, worse, KS[:3])
    assert above is not None
    assert above.curves == "first_above"
    level = compare_curves("pass_at_k", better, model([12] * 59 + [11]), KS)
    assert level is not None
    assert level.curves == "undecided"


def test_every_k_at_once_is_wider_than_each_and_narrower_than_bonferroni() -> None:
    draw = np.random.default_rng(1)
    differences = np.cumsum(draw.normal(0, 0.05, (40, 6)), axis=1)
    level = simultaneous_level(differences)
    assert 0.95 < level < 1 - 0.05 / 6
    assert simultaneous_level(differences[:, :1]) == 0.95
    assert simultaneous_level(np.repeat(differences[:, :1], 6, axis=1)) == pytest.approx(0.95, abs=0.005)
    assert simultaneous_level(draw.normal(0, 0.1, (2000, 6))) == pytest.approx(0.95 ** (1 / 6), abs=0.002)


def test_all_k_hold_at_once() -> None:
    """Each k by itself at 95 % holds them all in some 88 % of studies."""
    draw = np.random.default_rng(8)
    tables = np.array([[pass_share(c, 16, k) for k in KS] for c in range(17)])
    many = draw.beta(0.4, 1.2, 300_000), draw.beta(0.4, 1.2, 300_000)
    truth = np.mean(tables[draw.binomial(16, many[0])] - tables[draw.binomial(16, many[1])], axis=0)
    held = alone = 0
    for _ in range(200):
        first, second = (tables[draw.binomial(16, draw.beta(0.4, 1.2, 60))] for _ in range(2))
        differences = first - second
        alpha = (1 - simultaneous_level(differences)) / 2
        tails = []
        for of_k, mean in zip(differences.T, truth, strict=True):
            x, counts = np.unique(of_k, return_counts=True)
            tails += [mid_tail(x, counts.astype(float), mean), mid_tail(-x, counts.astype(float), -mean)]
        held += min(tails) > alpha
        alone += min(tails) > 0.025
    assert alone < held
    assert held >= 0.93 * 200


# Holm 1979, and R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
def test_holm_as_r_has_it() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005], 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01], 3) == pytest.approx([0.03])
    assert holm([0.9, 0.8], 2) == [1.0, 1.0]
    assert holm([], 0) == []


def test_equal_models_are_seldom_told_apart() -> None:
    """Four equal models: without a correction one of six pairs differs in some 15 to 20 % of studies."""
    draw = np.random.default_rng(9)
    any_raw = any_holm = 0
    for _ in range(150):
        chance = draw.uniform(0, 1, 40)
        models = [dict(enumerate(draw.binomial(4, chance) / 4)) for _ in range(4)]
        pairs = [paired_difference(models[i], models[j]) for i in range(4) for j in range(i)]  # type: ignore[arg-type]
        p_values = [pair.p_value for pair in pairs if pair is not None and pair.p_value is not None]
        any_raw += min(p_values) < 0.05
        any_holm += min(holm(p_values, 6)) < 0.05
    assert any_holm <= 0.06 * 150 < any_raw


def test_the_table_of_three_models() -> None:
    draw = np.random.default_rng(3)
    models = {
        name: model(draw.binomial(16, chance, 40), wrong=2) for name, chance in (("a", 0.3), ("b", 0.6), ("c", 0.32))
    }
    table = comparison_table(models, KS)
    assert table.schema == SCHEMAS["comparisons"]
    rows = table.to_pylist()
    assert {(row["first_model"], row["second_model"]) for row in rows} == {
        ("b", "a"),
        ("b", "c"),
        tuple(pairs_of(models)[1]),
    }
    assert {(row["statistic"], row["k"]) for row in rows} == {
        ("accuracy", 1), *((name, k) for name in ("pass_at_k", "maj_at_k") for k in KS)
    }  # fmt: skip
    assert len(rows) == 3 * (1 + 2 * len(KS))
    for row in rows:
        assert row["num_compared"] == 3
        assert row["p_value"] <= row["holm_p_value"] <= 3 * row["p_value"] + 1e-12
        assert row["difference"] == pytest.approx(row["first_estimate"] - row["second_estimate"])
        for wider in ("every_pair", "every_k"):
            if row[f"{wider}_low"] is not None:
                assert row[f"{wider}_low"] <= row["other_problems_low"] < row["other_problems_high"]
                assert row["other_problems_high"] <= row[f"{wider}_high"]
        assert row["same_problems_low"] <= row["difference"] <= row["same_problems_high"]
        assert row["difference_lowest"] == row["difference_highest"] == pytest.approx(row["difference"])
        assert (row["curves"] is None) == (row["statistic"] == "accuracy")
    accuracy = next(row for row in rows if (row["statistic"], row["second_model"]) == ("accuracy", "a"))
    assert accuracy["holm_p_value"] < 0.05
    means = [{i: found.pass_rate for i, found in models[name].items()} for name in ("b", "a")]
    paired = paired_difference(*means)
    assert paired is not None
    assert paired.interval == pytest.approx((accuracy["other_problems_low"], accuracy["other_problems_high"]), abs=1e-9)


def test_what_only_one_model_has_widens_the_bounds_of_the_difference() -> None:
    both, fewer = model([4, 8, 12]), model([4, 8])
    (row, *_) = comparison_table({"a": both, "b": fewer}, [1]).to_pylist()
    assert (row["first_model"], row["num_problems"], row["difference"]) == ("a", 2, 0.0)
    assert row["difference_lowest"] == pytest.approx((12 - 16) / 48)
    assert row["difference_highest"] == pytest.approx(12 / 48)


def test_models_without_a_problem_in_common_are_not_compared() -> None:
    other = {"q": ProblemResponses("q", Ballot(1, (), 0))}
    assert comparison_table({"a": model([1, 2]), "b": other}, KS).num_rows == 0
    assert comparison_table({"a": model([1, 2])}, KS).num_rows == 0
    assert compare_curves("pass_at_k", model([1]), other, KS) is None
    one = compare_curves("pass_at_k", model([4]), model([2]), [1])
    assert one is not None
    assert (one.points[0].every_k, one.points[0].paired.interval, one.curves) == (None, None, "undecided")
