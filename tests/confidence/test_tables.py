"""The tables of made-up responses: what does not exist is null and says why, in every table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from onoff_core.confidence import MEASURES, Verdicts, Windows, confidence_tables
from onoff_core.tables import SCHEMAS

WINDOWS = Windows(4, 3, 5, 40, True)


def row(problem: str, index: int, value: float, **changed: Any) -> dict[str, Any]:
    """A response of which every measure is `value` but the perplexity, which falls as the others rise."""
    return {
        "problem_id": problem,
        "sample_index": index,
        "num_tokens": 10 + index,
        **{measure.name: value for measure in MEASURES},
        "mean_log_prob": -value,
        "falling_positions": [3, 5],
        "falling_confidences": [value + 1, value],
        "reason": None,
        **changed,
    }


def made_up(problems: int, samples: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    return [row(f"p{i}", j, float(draw.random()) + 0.1) for i in range(problems) for j in range(samples)]


def verdicts_of(rows: list[dict[str, Any]], rewards: list[int | None]) -> Verdicts:
    """The rewards again and again; a wrong answer is the only one there is."""
    keys = [(one["problem_id"], one["sample_index"]) for one in rows]
    given = [rewards[number % len(rewards)] for number in range(len(keys))]
    classes = [None if reward is None else 1 - reward for reward in given]
    return Verdicts(dict(zip(keys, given, strict=True)), dict(zip(keys, classes, strict=True)))


def tables(
    rows: list[dict[str, Any]], rewards: list[int | None], ks: tuple[int, ...] = (1, 4), warm_up: int | None = None
) -> Mapping[str, list[dict[str, Any]]]:
    found = confidence_tables(rows, verdicts_of(rows, rewards), WINDOWS, ks, warm_up, 1000)
    assert {name: table.schema for name, table in found.items()} == {name: SCHEMAS[name] for name in found}
    return {name: table.to_pylist() for name, table in found.items()}


def test_where_no_response_has_a_reward_every_row_says_so() -> None:
    found = tables(made_up(3, 4), [None])
    for statistic in found["confidence_statistics"]:
        assert statistic["reason"].startswith("no response has a reward")
        assert statistic["auroc"] is statistic["aurc"] is statistic["calibration_error"] is None
    assert found["confidence_bins"] == found["confidence_coverage"] == []
    for table in ("confidence_voting", "confidence_stopping"):
        assert {(one["accuracy"], one["reason"]) for one in found[table]} == {(None, "no response has a reward")}
    assert [one["semantic_entropy"] for one in found["confidence_problems"]] == [None] * 3  # nothing was compared


def test_one_problem_has_estimates_and_no_intervals() -> None:
    found = tables(made_up(1, 8), [1, 0])
    statistic = found["confidence_statistics"][0]
    assert statistic["auroc"] == statistic["within_auroc"]
    assert statistic["auroc_low"] is statistic["brier_score"] is None
    assert "one problem says nothing of others" in statistic["reason"]
    for one in (*found["confidence_voting"], *found["confidence_stopping"]):
        assert one["accuracy"] is not None
        assert one["accuracy_low"] is one["difference_high"] is None
        assert one["reason"] == "intervals: one problem says nothing of others"
    assert all(one["accuracy_low"] is None for one in found["confidence_coverage"])


def test_all_right_or_all_wrong() -> None:
    for reward, said in ((1, "right"), (0, "wrong")):
        found = tables(made_up(5, 4), [reward])
        statistic = found["confidence_statistics"][0]
        assert statistic["auroc"] is None
        assert statistic["reason"] == f"auroc: all responses are {said}"
        assert statistic["calibration_error"] == pytest.approx(0, abs=0.06)  # Platt's targets are not 0 and 1
        assert {one["accuracy"] for one in found["confidence_voting"]} == {float(reward)}
        assert {one["difference_low"] < 0 < one["difference_high"] for one in found["confidence_voting"]} == {True}


def test_k_above_the_responses_and_a_warm_up_that_leaves_none() -> None:
    found = tables(made_up(3, 4), [1, 0], ks=(2, 100), warm_up=4)
    by_k = {k: [one for one in found["confidence_voting"] if one["k"] == k] for k in (2, 100)}
    assert all(one["accuracy"] is not None for one in by_k[2])
    assert {one["reason"] for one in by_k[100]} == {"a problem has fewer than 100 responses"}
    said = {one["reason"] for one in found["confidence_stopping"]}
    assert said == {"a problem has fewer than 5 responses: 4 for the warm-up, and one to stop"}


def test_a_measure_that_some_lack() -> None:
    rows = made_up(3, 4)
    rows[5] = {**rows[5], "self_certainty": None}
    found = tables(rows, [1, 0])
    by_name = {one["measure"]: one for one in found["confidence_statistics"]}
    assert (by_name["self_certainty"]["num_without"], by_name["self_certainty"]["num_responses"]) == (1, 11)
    assert by_name["self_certainty"]["auroc"] is not None
    votes = [one for one in found["confidence_voting"] if one["measure"] == "self_certainty"]
    assert {one["reason"] for one in votes} == {"self_certainty is null of 1 responses: see reason in confidence"}
    rows[5] = {**rows[5], "lowest_window_confidence": None}
    stopping = tables(rows, [1, 0])["confidence_stopping"]
    assert {one["reason"] for one in stopping} == {
        "a response has no lowest_window_confidence: see reason in confidence"
    }


def test_a_response_that_timed_out_is_wrong_and_has_no_vote() -> None:
    rows = [row("p", 0, 1.0), row("p", 1, 2.0), row("p", 2, 3.0)]
    table = pa.table(
        {
            "problem_id": ["p"] * 3,
            "sample_index": [0, 1, 2],
            "reward": [1, 0, 0],
            "answer_class": [0, 1, None],
            "status": ["correct", "wrong", "timeout"],
        }
    )
    found = confidence_tables(rows, Verdicts.of(table), WINDOWS, (3,), None, 1000)
    voting = {(one["rule"], one["measure"]): one for one in found["confidence_voting"].to_pylist()}
    assert voting["majority", None]["accuracy"] == 0.5
    assert voting["best_of", "mean_confidence"]["accuracy"] == 0  # the surest of those with an answer
    assert voting["best_of", "mean_entropy"]["accuracy"] == 1  # for which lower is surer
    assert voting["majority", None]["mean_num_tokens"] == 10 + 11 + 12
    assert found["confidence_statistics"].to_pylist()[0]["num_responses"] == 3
