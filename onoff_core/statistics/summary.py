"""One partition's row of statistics."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.statistics.estimators import accuracy, clustered_standard_error, pass_at_k, powers_up_to
from onoff_core.statistics.intervals import accuracy_interval
from onoff_core.statistics.majority import Votes, maj_at_k
from onoff_core.tables import UNKNOWN

_QUANTILES = {"q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}
_NO_VERDICTS = "no response has a verdict"
_ONE_PROBLEM = "one problem says nothing of the spread between problems"


def problem_means(rewards: pa.Table) -> dict[str, float]:
    """Each problem's mean reward, over the responses that have one."""
    return {problem: float(np.mean(values)) for problem, values in _rewards_by_problem(rewards).items()}


def summarise(samples: pa.Table | None, rewards: pa.Table) -> dict[str, Any]:
    """The row of the `statistics` table.

    `samples` None: the responses were made elsewhere, and their lengths and how they ended are not known. What does
    not exist is None, and `missing` says why.
    """
    by_problem = _rewards_by_problem(rewards)
    means = np.array([np.mean(values) for values in by_problem.values()])
    interval = accuracy_interval(means)
    row: dict[str, Any] = {
        "num_problems": len(by_problem),
        "num_samples": sum(len(values) for values in by_problem.values()),
        "accuracy": accuracy(means),
        "standard_error": clustered_standard_error(means),
        "interval_low": interval[0] if interval else None,
        "interval_high": interval[1] if interval else None,
        **_at_k(by_problem, _votes_by_problem(rewards)),
        **_lengths(samples),
        **_shares(samples, rewards),
    }
    return {**row, "missing": _missing(row, samples is not None)}


def _rewards_by_problem(rewards: pa.Table) -> dict[str, list[int]]:
    return _grouped(rewards, rewards["reward"].to_pylist())


def _votes_by_problem(rewards: pa.Table) -> dict[str, list[int | None]]:
    return _grouped(rewards, rewards["answer_class"].to_pylist())


def _grouped(rewards: pa.Table, values: Sequence[Any]) -> dict[str, list[Any]]:
    """Values by problem, without the responses that have no reward because the gold answer cannot be parsed."""
    grouped: dict[str, list[Any]] = {}
    for problem, reward, value in zip(
        rewards["problem_id"].to_pylist(), rewards["reward"].to_pylist(), values, strict=True
    ):
        if reward is not None:
            grouped.setdefault(problem, []).append(value)
    return grouped


def _at_k(by_problem: dict[str, list[int]], votes: dict[str, list[int | None]]) -> dict[str, Any]:
    counts = [len(values) for values in by_problem.values()]
    correct = [sum(values) for values in by_problem.values()]
    ballots: list[Votes] = list(votes.values())
    ks = powers_up_to(max(counts, default=0))
    return {
        "pass_at_k": _estimates(ks, lambda k: pass_at_k(correct, counts, k)),
        "maj_at_k": _estimates(ks, lambda k: maj_at_k(ballots, k)),
    }


def _estimates(ks: Sequence[int], estimate: Callable[[int], float | None]) -> list[dict[str, Any]]:
    values = [(k, estimate(k)) for k in ks]
    return [
        {"k": k, "estimate": value, "reason": f"a problem has fewer than {k} responses" if value is None else None}
        for k, value in values
    ]


def _lengths(samples: pa.Table | None) -> dict[str, float | None]:
    names = ["mean_num_tokens", "median_num_tokens", *(f"num_tokens_{name}" for name in _QUANTILES)]
    if samples is None or not samples.num_rows:
        return dict.fromkeys(names)
    lengths = np.array(samples["num_tokens"].to_pylist(), dtype=float)
    quantiles = np.quantile(lengths, [0.5, *_QUANTILES.values()])
    return dict(zip(names, [float(lengths.mean()), *map(float, quantiles)], strict=True))


def _shares(samples: pa.Table | None, rewards: pa.Table) -> dict[str, Any]:
    statuses = rewards["status"].to_pylist()
    # A response to a problem whose gold answer cannot be parsed may well have an answer: the status cannot tell.
    judged = [status for status in statuses if status != "gold_unparsed"]
    finish_reasons = samples["finish_reason"].to_pylist() if samples is not None else [UNKNOWN]
    return {
        "truncated_share": None if UNKNOWN in finish_reasons else _share(finish_reasons, "length"),
        "unanswered_share": _share(judged, "no_answer"),
        "timeout_share": _share(judged, "timeout"),
        "num_gold_unparsed": statuses.count("gold_unparsed"),
    }


def _share(values: list[str], of: str) -> float | None:
    return values.count(of) / len(values) if values else None


def _missing(row: dict[str, Any], has_samples: bool) -> list[dict[str, str]]:
    """Why each number that is None is so."""
    elsewhere = "not known of responses made elsewhere"
    unsampled = "there are no responses" if has_samples and not row["num_samples"] else elsewhere
    reasons = []
    for name, value in row.items():
        if value is not None:
            continue
        if name.endswith("_tokens") or name.startswith("num_tokens_") or name == "truncated_share":
            reason = unsampled
        elif name in ("standard_error", "interval_low", "interval_high") and row["num_problems"] == 1:
            reason = _ONE_PROBLEM
        else:
            reason = _NO_VERDICTS
        reasons.append({"statistic": name, "reason": reason})
    return reasons
