"""Second opinions on graded responses, a row each: by rules, and by a judge where a rule or the reward says wrong.

Only `reward` counts anywhere; what is here says how far to trust it.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from onoff_core.rewards.rules import is_same_number, is_same_text
from onoff_core.tables import SCHEMAS

Row = dict[str, Any]  # the columns of `second_opinions`, and extracted_answer


def rule_opinions(rewards: pa.Table, gold: Mapping[str, str]) -> list[Row]:
    """A row for each row of `rewards`, with the rules' opinion; `gold`: each problem's gold answer.

    A response without an answer gets no opinion: there is nothing to compare.
    """
    columns = ["problem_id", "sample_index", "reward", "extracted_answer"]
    rows: list[Row] = rewards.select(columns).to_pylist()
    for row in rows:
        answer, right = row["extracted_answer"], gold[row["problem_id"]]
        row["same_text"] = None if answer is None else is_same_text(right, answer)
        row["same_number"] = None if answer is None else is_same_number(right, answer)
        row |= dict.fromkeys(("judge_response", "judge_finish_reason", "judge_verdict"))
        _conclude(row, _by_rules(row))
    return rows


def is_for_the_judge(row: Row) -> bool:
    """Whether there is an answer, and the rules or the reward call it wrong, or it has no reward.

    Where both call it right nobody asks: the rules say yes less often than a mathematician does.
    """
    return row["extracted_answer"] is not None and not (_by_rules(row) and row["reward"] == 1)


def without_the_rules_word(rows: list[Row]) -> None:
    """Leave to the judge what it is to be asked about: where it says nothing, there is no second opinion."""
    for row in rows:
        if is_for_the_judge(row):
            _conclude(row, None)


def judged(row: Row, response: str, finish_reason: str, verdict: bool | None) -> None:
    """Put what the judge wrote, and what was read of it, into a row."""
    row |= {"judge_response": response, "judge_finish_reason": finish_reason, "judge_verdict": verdict}
    _conclude(row, verdict)


def opinions_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMAS["second_opinions"])


def _by_rules(row: Row) -> bool | None:
    return None if row["same_text"] is None else row["same_text"] or row["same_number"]


def _conclude(row: Row, second: bool | None) -> None:
    row["second_verdict"] = second
    row["agrees"] = None if second is None or row["reward"] is None else second == bool(row["reward"])
