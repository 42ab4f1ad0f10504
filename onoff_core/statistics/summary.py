"""One partition's row of statistics."""

from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.statistics.estimators import accuracy, clustered_standard_error, pass_at_k
from onoff_core.tables import UNKNOWN

Z95 = 1.959963984540054


def summarise(samples: pa.Table, rewards: pa.Table) -> dict[str, Any]:
    """The row of the `statistics` table. Both tables are in the same order, one row a response."""
    reward = rewards["reward"].to_pylist()
    problems: dict[str, list[int]] = {}
    for problem_id, value in zip(rewards["problem_id"].to_pylist(), reward, strict=True):
        if value is not None:
            problems.setdefault(problem_id, []).append(value)
    means = np.array([np.mean(values) for values in problems.values()])
    mean, error = accuracy(means), clustered_standard_error(means)
    low, high = _interval(mean, error, len(means))
    correct, counts = [sum(v) for v in problems.values()], [len(v) for v in problems.values()]
    lengths = np.array(samples["num_tokens"].to_pylist(), dtype=float)
    status = rewards["status"].to_pylist()
    finish = samples["finish_reason"].to_pylist()
    quantiles = np.quantile(lengths, [0.05, 0.25, 0.5, 0.75, 0.95]) if len(lengths) else [None] * 5
    return {
        "num_problems": len(problems),
        "num_samples": sum(counts),
        "accuracy": mean,
        "standard_error": error,
        "interval_low": low,
        "interval_high": high,
        "pass_at_k": [_estimate(k, pass_at_k(correct, counts, k)) for k in _powers(max(counts, default=0))],
        "maj_at_k": [],
        "mean_num_tokens": float(lengths.mean()) if len(lengths) else None,
        "median_num_tokens": quantiles[2],
        "num_tokens_q05": quantiles[0],
        "num_tokens_q25": quantiles[1],
        "num_tokens_q75": quantiles[3],
        "num_tokens_q95": quantiles[4],
        "truncated_share": None if UNKNOWN in finish else _share(finish, "length"),
        "unanswered_share": _share(status, "no_answer"),
        "timeout_share": _share(status, "timeout"),
        "num_gold_unparsed": status.count("gold_unparsed"),
    }


def _interval(mean: float | None, error: float | None, m: int) -> tuple[float | None, float | None]:
    """Wilson's interval over the effective number of independent responses."""
    if mean is None or m == 0:
        return None, None
    n = mean * (1 - mean) / error**2 if error and 0 < mean < 1 else float(m)
    center = (mean + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(mean * (1 - mean) / n + Z95**2 / (4 * n * n))
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def _powers(n: int) -> list[int]:
    return [2**i for i in range(n.bit_length())]


def _estimate(k: int, value: float | None) -> dict[str, Any]:
    return {"k": k, "estimate": value, "reason": None if value is not None else "a problem has fewer samples"}


def _share(values: list[str], of: str) -> float | None:
    return values.count(of) / len(values) if values else None
