"""pass@k and maj@k with what has no verdict: bounds that hold whatever it is, and intervals beside every estimate."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onoff_core.statistics import responses_by_problem, summarise
from onoff_core.statistics.at_k import Kind, asked_ks, at_k, bounds_at_k
from onoff_core.statistics.intervals import accuracy_interval
from onoff_core.statistics.majority import Ballot, majority_share
from onoff_core.statistics.responses import ProblemResponses
from onoff_core.tables import SCHEMAS


def problem(name: str, correct: int, others: tuple[int, ...] = (), none: int = 0, **unknown: int) -> ProblemResponses:
    return ProblemResponses(name, Ballot(correct, others, none), **unknown)


@given(
    st.integers(0, 4), st.lists(st.integers(1, 3), max_size=3), st.integers(0, 1), st.integers(1, 3), st.integers(1, 6)
)
@settings(deadline=None, max_examples=150)
def test_nothing_that_the_unknown_responses_may_be_leaves_the_bounds(
    correct: int, others: list[int], none: int, unknown: int, k: int
) -> None:
    """Every way in which they may be right, wrong in an old or a new way, or without an answer."""
    found = problem("p", correct, tuple(sorted(others)), none, num_timeouts=unknown)
    if k > found.num_samples:
        return
    low, high = bounds_at_k("maj_at_k", [found], k) or (1.0, 0.0)
    places = ["right", "none", *range(len(others) + unknown)]
    for way in itertools.combinations_with_replacement(places, unknown):
        sizes = [(others[i] if i < len(others) else 0) + way.count(i) for i in range(len(others) + unknown)]
        wrong = tuple(sorted(size for size in sizes if size))
        share = majority_share(Ballot(correct + way.count("right"), wrong, none + way.count("none")), k)
        assert low - 1e-12 <= share <= high + 1e-12


def test_what_is_not_graded_is_in_the_bounds_and_not_out_of_the_denominator() -> None:
    problems = [
        problem("solved", 2),
        problem("half", 1, (1,)),
        problem("slow", 0, (1,), num_timeouts=1),
        problem("unread", 0, num_ungraded=2),
        problem("short", 1, num_missing=1),
        problem("gone", 0, num_missing=2),
    ]
    for kind in ("pass_at_k", "maj_at_k"):
        found = at_k(kind, problems, 1)
        assert found.estimate == pytest.approx((1 + 0.5 + 0 + 1) / 4)  # of those that have rewards
        assert found.bounds == pytest.approx(((2 + 1 + 0 + 0 + 1 + 0) / 12, (2 + 1 + 1 + 2 + 2 + 2) / 12))
    two = at_k("pass_at_k", problems, 2)
    assert (two.estimate, two.reason) == (None, "a problem has fewer than 2 responses")
    assert two.bounds == pytest.approx((3 / 6, 6 / 6))
    assert bounds_at_k("pass_at_k", problems, 3) is None


def test_rewards_are_counted_by_problem() -> None:
    rows = [
        ("a", 1, "correct", 0),
        ("a", 0, "wrong", 1),
        ("a", 0, "wrong", 1),
        ("a", 0, "wrong", 2),
        ("b", 0, "timeout", None),
        ("b", 0, "no_answer", None),
        ("c", None, "gold_unparsed", None),
    ]
    columns = ("problem_id", "reward", "status", "answer_class")
    rewards = pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})
    assert responses_by_problem(rewards, 4, ["d", "a"]) == {
        "d": problem("d", 0, num_missing=4),
        "a": problem("a", 1, (1, 2)),
        "b": problem("b", 0, none=1, num_timeouts=1, num_missing=2),
        "c": problem("c", 0, num_ungraded=1, num_missing=3),
    }
    assert responses_by_problem(rewards)["c"] == problem("c", 0, num_ungraded=1)


def test_a_row_has_both_intervals_of_every_k() -> None:
    draw = np.random.default_rng(4)
    found = {
        f"p{i}": problem(f"p{i}", int(correct), tuple(sorted(size for size in (1, int(7 - correct)) if size)))
        for i, correct in enumerate(draw.binomial(7, draw.beta(0.5, 0.5, 30)))
    }
    row = summarise(None, SCHEMAS["rewards"].empty_table(), found, [1, 3, 8])
    for name in ("pass_at_k", "maj_at_k"):
        kind: Kind = name  # type: ignore[assignment]
        for estimate, interval in zip(row[kind], row[f"{kind}_intervals"], strict=True):
            assert estimate["k"] == interval["k"]
            for question in ("other_problems", "same_problems"):
                assert interval[f"{question}_low"] < estimate["estimate"] < interval[f"{question}_high"]
            assert interval["lowest"] == interval["highest"] == pytest.approx(estimate["estimate"])
        first = row[f"{kind}_intervals"][0]
        assert (first["other_problems_low"], first["other_problems_high"]) == (
            row["interval_low"],
            row["interval_high"],
        )
        assert (first["same_problems_low"], first["same_problems_high"]) == pytest.approx(
            (row["same_problems_low"], row["same_problems_high"])
        )
    assert row["same_problems_high"] - row["same_problems_low"] < 0.6 * (row["interval_high"] - row["interval_low"])
    pa.Table.from_pylist([row], schema=SCHEMAS["statistics"])


def test_the_k_that_are_asked() -> None:
    problems = [problem("a", 3, (2,)), problem("b", 6)]
    assert asked_ks(None, problems) == [1, 2, 4]
    assert asked_ks("all", problems) == [1, 2, 3, 4, 5, 6]
    assert asked_ks((2, 5), problems) == [2, 5]
    assert asked_ks(None, []) == []


def test_a_curve_of_all_k_is_made_and_ends_with_reasons() -> None:
    found = {"a": problem("a", 1, (2,)), "b": problem("b", 4)}
    row = summarise(None, SCHEMAS["rewards"].empty_table(), found, asked_ks("all", list(found.values())))
    assert [entry["k"] for entry in row["pass_at_k"]] == [1, 2, 3, 4]
    assert [entry["reason"] for entry in row["maj_at_k"]] == [None, None, None, "a problem has fewer than 4 responses"]
    assert accuracy_interval(np.array([1 / 3, 1.0])) == (row["interval_low"], row["interval_high"])
