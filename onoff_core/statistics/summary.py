"""One partition's row of statistics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.statistics.at_k import AtK, Kind, at_k
from onoff_core.statistics.estimators import accuracy, clustered_standard_error, powers_up_to
from onoff_core.statistics.intervals import accuracy_interval
from onoff_core.statistics.power import variances
from onoff_core.statistics.responses import ProblemResponses, graded, responses_by_problem
from onoff_core.statistics.thinking import Key, Thought, thinking_columns
from onoff_core.tables import TRUNCATED, UNKNOWN

_QUANTILES = {"q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}
_NO_VERDICTS = "no response has a verdict"
_ONE_PROBLEM = "one problem says nothing of the spread between problems"
_ONE_RESPONSE = "one response a problem says nothing of the spread within a problem"
_OF_SAMPLES = ("truncated_share", "thinking_share", "truncated_in_thinking_share", "cut_share")
_KINDS: tuple[Kind, ...] = ("pass_at_k", "maj_at_k")


def problem_means(rewards: pa.Table) -> dict[str, float]:
    """Each problem's mean reward, over the responses that have one."""
    return {problem: found.pass_rate for problem, found in graded(responses_by_problem(rewards)).items()}


def summarise(
    samples: pa.Table | None,
    rewards: pa.Table,
    problems: Mapping[str, ProblemResponses] | None = None,
    ks: Sequence[int] | None = None,
    thoughts: Mapping[Key, Thought] | None = None,
) -> dict[str, Any]:
    """The row of the `statistics` table.

    `samples` None: the responses were made elsewhere, and their lengths and how they ended are not known. `problems`:
    what `responses_by_problem` gives of these rewards where it is known what they should have been; None: what is there
    is all. `ks`: for which k pass@k and maj@k are wanted; None: 1, 2, 4, ... . `thoughts`: of each response; None:
    nothing is said of thinking, and there are no columns of it. What does not exist is None, and `missing` says why.
    """
    problems = responses_by_problem(rewards) if problems is None else problems
    there = graded(problems)
    means = np.array([found.pass_rate for found in there.values()])
    interval = accuracy_interval(means)
    largest = max((found.num_graded for found in there.values()), default=0)
    found = {kind: [at_k(kind, list(problems.values()), k) for k in ks or powers_up_to(largest)] for kind in _KINDS}
    row: dict[str, Any] = {
        "num_problems": len(there),
        "num_samples": sum(one.num_graded for one in there.values()),
        "accuracy": accuracy(means),
        "standard_error": clustered_standard_error(means),
        "interval_low": interval[0] if interval else None,
        "interval_high": interval[1] if interval else None,
        **_accuracy(problems),
        **_variances(problems),
        **{kind: _estimates(of_kind) for kind, of_kind in found.items()},
        **{f"{kind}_intervals": _intervals(of_kind) for kind, of_kind in found.items()},
        **_lengths(samples),
        **_shares(samples, rewards),
        "num_timeouts": sum(one.num_timeouts for one in problems.values()),
        "num_missing": sum(one.num_missing for one in problems.values()),
        "num_problems_unknown": len(problems) - len(there),
        **({} if thoughts is None else thinking_columns(thoughts)),
    }
    return {**row, "missing": _missing(row, samples is not None)}


def _accuracy(problems: Mapping[str, ProblemResponses]) -> dict[str, float | None]:
    """What stands beside the accuracy: it is pass@1."""
    found = at_k("pass_at_k", list(problems.values()), 1)
    same, bounds = found.same_problems or (None, None), found.bounds or (None, None)
    return {
        "same_problems_low": same[0],
        "same_problems_high": same[1],
        "accuracy_lowest": bounds[0],
        "accuracy_highest": bounds[1],
    }


def _variances(problems: Mapping[str, ProblemResponses]) -> dict[str, float | None]:
    parts = variances(problems)
    return {"within_variance": parts.within, "between_variance": parts.between}


def _estimates(found: Iterable[AtK]) -> list[dict[str, Any]]:
    return [{"k": one.k, "estimate": one.estimate, "reason": one.reason} for one in found]


def _intervals(found: Iterable[AtK]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        other, same = one.other_problems or (None, None), one.same_problems or (None, None)
        lowest, highest = one.bounds or (None, None)
        rows.append(
            {
                "k": one.k,
                "other_problems_low": other[0],
                "other_problems_high": other[1],
                "same_problems_low": same[0],
                "same_problems_high": same[1],
                "lowest": lowest,
                "highest": highest,
            }
        )
    return rows


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
    truncated = [reason in TRUNCATED for reason in finish_reasons]
    return {
        "truncated_share": None if UNKNOWN in finish_reasons else _share(truncated, True),
        "unanswered_share": _share(judged, "no_answer"),
        "timeout_share": _share(judged, "timeout"),
        "num_gold_unparsed": statuses.count("gold_unparsed"),
    }


def _share(values: list[Any], of: Any) -> float | None:
    return values.count(of) / len(values) if values else None


def _missing(row: dict[str, Any], has_samples: bool) -> list[dict[str, str]]:
    """Why each number that is None is so."""
    elsewhere = "not known of responses made elsewhere"
    unsampled = "there are no responses" if has_samples and not row["num_samples"] else elsewhere
    reasons = []
    for name, value in row.items():
        if value is not None:
            continue
        if name.endswith("_tokens") or name.startswith("num_tokens_") or name in _OF_SAMPLES:
            reason = unsampled
        elif name in ("standard_error", "interval_low", "interval_high") and row["num_problems"] == 1:
            reason = _ONE_PROBLEM
        elif name in ("within_variance", "between_variance") and row["num_problems"]:
            reason = _ONE_RESPONSE if row["within_variance"] is None else _ONE_PROBLEM
        else:
            reason = _NO_VERDICTS
        reasons.append({"statistic": name, "reason": reason})
    return reasons
