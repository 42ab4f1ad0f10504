"""One row per problem, by hand."""

import math

import pyarrow as pa
import pytest

from onoff_core.statistics import problem_statistics, responses_by_problem, responses_of_table
from onoff_core.statistics.majority import Ballot
from onoff_core.statistics.problem_table import answer_entropy
from onoff_core.tables import SCHEMAS

ROWS = [
    ("a", 1, "correct", 0, "1/2"),
    ("a", 1, "correct", 0, "0.5"),
    ("a", 1, "correct", 0, "0.5"),
    ("a", 0, "wrong", 1, "2"),
    ("a", 0, "no_answer", None, None),
    ("b", 0, "wrong", 2, "x"),
    ("b", 1, "correct", 0, "y"),
    ("b", 0, "timeout", None, "9^9"),
    ("c", None, "gold_unparsed", None, "7"),
]


def table(samples: bool = True) -> list[dict[str, object]]:
    names = ("problem_id", "reward", "status", "answer_class", "extracted_answer")
    rewards = pa.table({name: [row[i] for row in ROWS] for i, name in enumerate(names)})
    lengths = pa.table({"problem_id": [row[0] for row in ROWS], "num_tokens": list(range(10, 19))})
    made = problem_statistics(responses_by_problem(rewards, 5, "abcd"), rewards, lengths if samples else None)
    assert made.schema == SCHEMAS["problem_statistics"]
    assert responses_of_table(made) == responses_by_problem(rewards, 5, "abcd")
    rows: list[dict[str, object]] = made.to_pylist()
    return rows


def test_rows_by_hand() -> None:
    a, b, c, d = table()
    assert (a["num_samples"], a["num_graded"], a["num_correct"], a["num_no_answer"], a["num_missing"]) == (
        5,
        5,
        3,
        1,
        0,
    )
    assert (a["pass_rate"], a["pass_rate_lowest"], a["pass_rate_highest"]) == (0.6, 0.6, 0.6)
    # Clopper and Pearson's interval of 3 in 5
    assert (a["same_problems_low"], a["same_problems_high"]) == pytest.approx((0.1466, 0.9473), abs=1e-4)
    assert (a["majority_answer"], a["majority_share"], a["majority_is_correct"]) == ("0.5", 0.6, True)
    assert a["answer_entropy"] == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert (a["mean_num_tokens"], a["other_answer_counts"]) == (12, [1])
    assert (b["num_timeouts"], b["num_missing"], b["pass_rate"]) == (1, 2, pytest.approx(1 / 3))
    assert (b["pass_rate_lowest"], b["pass_rate_highest"]) == (0.2, 0.8)
    assert (b["majority_answer"], b["majority_is_correct"]) == ("x", None)  # a tie
    assert (c["num_gold_unparsed"], c["pass_rate"], c["answer_entropy"], c["majority_answer"]) == (1, None, None, None)
    assert (c["pass_rate_lowest"], c["pass_rate_highest"]) == (0, 1)
    assert (d["num_missing"], d["mean_num_tokens"], d["pass_rate_highest"]) == (5, None, 1)


def test_lengths_of_responses_made_elsewhere_are_not_known() -> None:
    assert all(row["mean_num_tokens"] is None for row in table(samples=False))


def test_entropy_of_answers() -> None:
    assert answer_entropy(Ballot(4, (), 3)) == 0
    assert answer_entropy(Ballot(2, (2, 2), 0)) == pytest.approx(math.log(3))
    assert answer_entropy(Ballot(0, (), 3)) is None
