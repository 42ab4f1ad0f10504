"""Golden numbers where they are published, and properties that must hold for all data."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onoff_core.statistics import accuracy_interval, paired_difference, summarise
from onoff_core.statistics.distributions import student_t_quantile
from onoff_core.statistics.estimators import clustered_standard_error, pass_at_k
from onoff_core.statistics.intervals import clopper_pearson
from onoff_core.statistics.majority import maj_at_k
from onoff_core.tables import SCHEMAS

# A study: problems, each with the answer classes of its responses; 0 is right, None gave no answer.
ballots = st.lists(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=9), min_size=1, max_size=6)


def rewards_of(problems: list[list[int | None]], statuses: dict[int, str] | None = None) -> pa.Table:
    rows = [
        {
            "problem_id": f"p{number}",
            "sample_index": index,
            "extracted_answer": None,
            "reward": int(vote == 0),
            "status": "correct" if vote == 0 else "no_answer" if vote is None else "wrong",
            "answer_class": vote,
        }
        for number, votes in enumerate(problems)
        for index, vote in enumerate(votes)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["rewards"])


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, table I,
# method 5.
@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_intervals_of_right_and_wrong_as_published(right: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(right / n, n) == pytest.approx((low, high), abs=5e-5)
    assert accuracy_interval(np.repeat([1.0, 0.0], [right, n - right])) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (29, 2.0452), (100, 1.9840)],
)
def test_student_t_as_tabulated(degrees: int, quantile: float) -> None:
    assert student_t_quantile(degrees) == pytest.approx(quantile, rel=2e-3 if degrees < 5 else 3e-4)


@pytest.mark.parametrize("n", [5, 30, 500])
@pytest.mark.parametrize("mean", [0.0, 1.0, 0.5])
def test_the_interval_has_a_width_where_all_problems_agree(n: int, mean: float) -> None:
    low, high = accuracy_interval(np.full(n, mean)) or (0.0, 0.0)
    assert 0 <= low <= mean <= high <= 1
    assert high - low > 0.2 / n


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.3), (0.2, 1.8), (2, 2), (20, 20)])
@pytest.mark.parametrize("samples", [1, 8])
def test_the_interval_is_honest_for_thirty_problems(a: float, b: float, samples: int) -> None:
    """Problems whose chance of a right response is Beta(a, b): at least 93 % of 1,000 intervals hold the true mean."""
    draw = np.random.default_rng(5)
    held = 0
    for _ in range(1000):
        interval = accuracy_interval(draw.binomial(samples, draw.beta(a, b, 30)) / samples)
        held += interval is not None and interval[0] <= a / (a + b) <= interval[1]
    assert held >= 930


@pytest.mark.parametrize("gain", [0.0, 0.2])
def test_the_paired_interval_is_honest_for_thirty_problems(gain: float) -> None:
    draw = np.random.default_rng(6)
    held = 0
    for _ in range(1000):
        chance = draw.uniform(0, 0.8, 30)
        first, second = draw.binomial(4, chance + gain) / 4, draw.binomial(4, chance) / 4
        found = paired_difference(dict(enumerate(map(float, first))), dict(enumerate(map(float, second))))  # type: ignore[arg-type]
        held += found is not None and found.interval is not None and found.interval[0] <= gain <= found.interval[1]
    assert held >= 930


def test_paired_difference_by_hand() -> None:
    found = paired_difference({"a": 1.0, "b": 0.5, "c": 0.0, "x": 1.0}, {"a": 0.5, "b": 0.5, "c": 0.25, "y": 0.0})
    assert found is not None
    assert (found.num_problems, found.difference) == (3, pytest.approx(1 / 12))
    assert found.standard_error == pytest.approx(np.std([0.5, 0.0, -0.25], ddof=1) / math.sqrt(3))


def test_paired_difference_of_equal_models_has_a_width() -> None:
    same = {str(number): 1.0 for number in range(30)}
    found = paired_difference(same, same)
    assert found is not None
    assert found.interval is not None
    assert found.interval[0] < 0 == found.difference < found.interval[1]


def test_paired_difference_without_data() -> None:
    assert paired_difference({"a": 1.0}, {"b": 1.0}) is None
    one = paired_difference({"a": 1.0}, {"a": 0.0})
    assert one is not None
    assert (one.difference, one.standard_error, one.interval, one.p_value) == (1.0, None, None, None)


def test_the_standard_error_is_clustered() -> None:
    """Eight equal samples of a problem tell no more than one."""
    assert clustered_standard_error(np.array([1.0, 0.0, 1.0, 0.0])) == pytest.approx(math.sqrt(1 / 3) / 2)


@given(st.lists(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1))
def test_pass_at_k_is_the_product_of_the_paper(pairs: list[tuple[int, int]]) -> None:
    """Chen et al.'s own numerically stable form: 1 - prod_{i = n-c+1}^{n} (1 - k / i)."""
    correct, samples = [c for c, _ in pairs], [n for _, n in pairs]
    for k in range(1, min(samples) + 1):
        expected = [1.0 if n - c < k else 1 - np.prod([1 - k / i for i in range(n - c + 1, n + 1)]) for c, n in pairs]
        assert pass_at_k(correct, samples, k) == pytest.approx(np.mean(expected), abs=1e-12)
    assert pass_at_k(correct, samples, min(samples) + 1) is None


def majority_by_hand(votes: list[int | None], k: int) -> float:
    """Every subset, counted."""
    shares = []
    for subset in combinations(votes, k):
        counts = {vote: subset.count(vote) for vote in subset if vote is not None}
        best = max(counts.values(), default=0)
        winners = [vote for vote, count in counts.items() if count == best]
        shares.append((0 in winners) / len(winners) if winners else 0.0)
    return float(np.mean(shares))


@given(ballots)
@settings(deadline=None)
def test_maj_at_k_is_the_mean_over_all_subsets(problems: list[list[int | None]]) -> None:
    for k in range(1, min(map(len, problems)) + 1):
        expected = np.mean([majority_by_hand(votes, k) for votes in problems])
        assert maj_at_k(problems, k) == pytest.approx(expected, abs=1e-9)
    assert maj_at_k(problems, min(map(len, problems)) + 1) is None


def test_maj_at_k_of_many_responses() -> None:
    assert maj_at_k([[0] * 600 + [1] * 400], 101) == pytest.approx(0.985, abs=0.01)
    assert maj_at_k([[0] * 1500 + [None] * 1500], 1024) == pytest.approx(1.0)


@given(ballots)
@settings(deadline=None)
def test_properties_of_a_row(problems: list[list[int | None]]) -> None:
    row = summarise(None, rewards_of(problems))
    estimates = [entry["estimate"] for entry in row["pass_at_k"] if entry["estimate"] is not None]
    assert estimates[0] == pytest.approx(row["accuracy"])
    assert estimates == sorted(estimates)
    assert row["maj_at_k"][0]["estimate"] == pytest.approx(row["accuracy"])
    for entry in (*row["pass_at_k"], *row["maj_at_k"]):
        assert (entry["estimate"] is None) == (entry["reason"] is not None) == (entry["k"] > min(map(len, problems)))
    if len(problems) > 1:
        assert 0 <= row["interval_low"] <= row["accuracy"] <= row["interval_high"] <= 1
        assert row["interval_high"] - row["interval_low"] > 0


@given(ballots, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_relabelling_changes_nothing(problems: list[list[int | None]], draw: Any) -> None:
    """Neither the order of a problem's responses, nor the numbers of the wrong classes, nor the order of problems."""
    names = {0: 0, **dict(zip((1, 2, 3), draw.sample((1, 2, 3), 3), strict=True))}
    other = [draw.sample([None if v is None else names[v] for v in votes], len(votes)) for votes in problems]
    draw.shuffle(other)
    assert_same(summarise(None, rewards_of(problems)), summarise(None, rewards_of(other)))


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name, value in one.items():
        if isinstance(value, list):
            assert len(value) == len(other[name])
            for left, right in zip(value, other[name], strict=True):
                assert left == pytest.approx(right)
        else:
            assert value == pytest.approx(other[name]), name


def samples_of(num_tokens: list[int], finish_reasons: list[str]) -> pa.Table:
    return pa.table({"num_tokens": num_tokens, "finish_reason": finish_reasons})


def test_a_row_by_hand() -> None:
    rewards = rewards_of([[0, 0, 1, None], [1, 1, 0, None]])
    row = summarise(samples_of([10, 20, 30, 40, 50, 60, 70, 80], ["stop"] * 6 + ["length"] * 2), rewards)
    assert (row["num_problems"], row["num_samples"], row["accuracy"]) == (2, 8, pytest.approx(3 / 8))
    assert row["standard_error"] == pytest.approx(0.125)
    assert [entry["k"] for entry in row["pass_at_k"]] == [1, 2, 4]
    assert row["pass_at_k"][1]["estimate"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert row["maj_at_k"][2]["estimate"] == 0.5
    assert (row["mean_num_tokens"], row["median_num_tokens"], row["num_tokens_q25"]) == (45, 45, 27.5)
    assert (row["truncated_share"], row["unanswered_share"], row["timeout_share"]) == (0.25, 0.25, 0.0)
    assert row["missing"] == []
    pa.Table.from_pylist([row], schema=SCHEMAS["statistics"])


def test_no_number_where_there_is_no_data() -> None:
    row = summarise(samples_of([], []), SCHEMAS["rewards"].empty_table())
    numbers = {name: value for name, value in row.items() if not isinstance(value, list)}
    assert {name for name, value in numbers.items() if value == 0} == {
        "num_problems", "num_samples", "num_gold_unparsed", "num_timeouts", "num_missing", "num_problems_unknown",
    }  # fmt: skip
    nulls = {name for name, value in numbers.items() if value is None}
    assert {entry["statistic"] for entry in row["missing"]} == nulls
    assert {"accuracy", "standard_error", "interval_low", "truncated_share", "mean_num_tokens"} <= nulls
    assert all(entry["reason"] for entry in row["missing"])
    pa.Table.from_pylist([row], schema=SCHEMAS["statistics"])


def test_one_problem_has_no_interval_and_says_why() -> None:
    row = summarise(None, rewards_of([[0, 1]]))
    reasons = {entry["statistic"]: entry["reason"] for entry in row["missing"]}
    assert (row["accuracy"], row["standard_error"], row["interval_low"]) == (0.5, None, None)
    assert "one problem" in reasons["interval_high"]
    assert "elsewhere" in reasons["mean_num_tokens"]


def test_unparsed_gold_answers_are_left_out() -> None:
    rows = rewards_of([[0, 1], [0, 0]]).to_pylist()
    for row in rows[2:]:
        row.update(reward=None, status="gold_unparsed", answer_class=None)
    row = summarise(None, pa.Table.from_pylist(rows, schema=SCHEMAS["rewards"]))
    assert (row["num_problems"], row["num_samples"], row["accuracy"], row["num_gold_unparsed"]) == (1, 2, 0.5, 2)
