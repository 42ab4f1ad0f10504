"""What the asset checks of `rewards` show: each function finds the exceptions to one invariant."""

from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

MAX_TIMEOUT_SHARE = 0.01

Key = tuple[str, int]  # problem_id, sample_index


def responses_without_one_verdict(samples: pa.Table, rewards: pa.Table) -> dict[Key, int]:
    """Every response has exactly one verdict, and every verdict a response: (response, how many verdicts), else.

    A verdict without a response stands there with -1.
    """
    verdicts, responses = Counter(_keys(rewards)), Counter(_keys(samples))
    wrong = {key: verdicts[key] for key in responses if verdicts[key] != 1}
    return {**wrong, **{key: -1 for key in verdicts if key not in responses}}


def unparsed_golds(rewards: pa.Table, answers: Mapping[str, str]) -> dict[str, str]:
    """No gold answer is unparsed: the answers, by problem, of those that are."""
    problems = zip(rewards["problem_id"].to_pylist(), rewards["status"].to_pylist(), strict=True)
    return {problem: answers.get(problem, "") for problem, status in problems if status == "gold_unparsed"}


def timeout_share(rewards: pa.Table) -> float | None:
    """Fewer than `MAX_TIMEOUT_SHARE` of the responses run out of time; None where there is no response."""
    statuses = rewards["status"].to_pylist()
    return statuses.count("timeout") / len(statuses) if statuses else None


def _keys(table: pa.Table) -> list[Key]:
    return list(zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True))
