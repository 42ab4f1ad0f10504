"""Rows of `cross_scores` and `cross_responses` -> rows of `cross_statistics`, one for each kind of text."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_core.cross.responses import effective_sample_size
from onoff_core.statistics.distributions import student_t_quantile
from onoff_core.tables import SCHEMAS
from onoff_core.thinking_tables import drawn_tokens

_SCHEMA = SCHEMAS["cross_statistics"]
TOP_SHARE = 0.2  # of the positions, by entropy
_NUMBERS = ("entropy", "reference_entropy", "log_ratio")
TOKEN_COLUMNS = ("text", *_NUMBERS, "forced")
_INTERVALS = {"kl": "mean_kl", "reverse_kl": "mean_reverse_kl", "js": "mean_js"}
Floats = NDArray[np.float64]


def cross_statistics(scores: Iterable[pa.Table], responses: pa.Table, drawn_from_model: bool | None) -> pa.Table:
    """The rows; `scores`: tables with TOKEN_COLUMNS, one after the other, since they may be larger than memory.

    `drawn_from_model`: whether responses were drawn at temperature 1 without truncation; None: not known.
    """
    tokens = {kind: _Tokens() for kind in ("response", "solution")}
    for table in map(drawn_tokens, scores):
        for kind, found in tokens.items():
            found.add(table.filter(pc.equal(table["text"], kind)))
    rows = []
    for kind, found in tokens.items():
        texts = responses.filter(pc.equal(responses["text"], kind))
        if texts.num_rows:
            rows.append(_row(kind, found, texts, drawn_from_model if kind == "response" else False))
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


class _Tokens:
    """The numbers of every token of one kind of text."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _NUMBERS}

    def add(self, table: pa.Table) -> None:
        for name, parts in self._parts.items():
            parts.append(table[name].to_numpy())

    def __getitem__(self, name: str) -> Floats:
        parts = self._parts[name]
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def _row(kind: str, tokens: _Tokens, texts: pa.Table, drawn: bool | None) -> dict[str, Any]:
    level = texts["level"][0].as_py()
    num_tokens = int(pc.sum(texts["num_tokens"]).as_py())
    row: dict[str, Any] = dict.fromkeys(_SCHEMA.names)
    row |= {
        "text": kind,
        "level": level,
        "num_problems": len(set(texts["problem_id"].to_pylist())),
        "num_responses": texts.num_rows,
        "num_tokens": num_tokens,
        "drawn_from_model": drawn,
        **_by_text(texts),
    }
    if level == "token":
        row |= {**_by_token(tokens), **_clustered(texts)}
    row["missing"] = [{"statistic": name, "reason": why} for name, why in _missing(row, texts).items()]
    return row


def _by_text(texts: pa.Table) -> dict[str, float | None]:
    own, other = (_column(texts, name).sum() for name in ("sum_logprob", "sum_reference_logprob"))
    size = _column(texts, "num_bytes").sum()
    return {
        "effective_sample_size": effective_sample_size(_column(texts, "sum_log_ratio")),
        "logprob_per_byte": float(own / size) if size else None,
        "reference_logprob_per_byte": float(other / size) if size else None,
        "perplexity": math.exp(min(-own / _drawn(texts, "num_tokens").sum(), 700.0)),
        "reference_perplexity": math.exp(min(-other / _drawn(texts, "reference_num_tokens").sum(), 700.0)),
    }


def _by_token(tokens: _Tokens) -> dict[str, float]:
    """K1 and K3 are Schulman's estimators of KL(model || reference) from tokens drawn from the model: -ln r and
    r - 1 - ln r with r = reference / model (http://joschu.net/blog/kl-approx.html).
    """
    log_ratio, entropy, other = tokens["log_ratio"], tokens["entropy"], tokens["reference_entropy"]
    with np.errstate(over="ignore"):  # a ratio beyond all numbers makes K3 infinite, which is what it is
        k3 = np.exp(log_ratio) - 1 - log_ratio
    return {
        "k1": float(-log_ratio.mean()),
        "k3": float(k3.mean()),
        "mean_entropy": float(entropy.mean()),
        "mean_reference_entropy": float(other.mean()),
        "top_entropy_overlap": top_overlap(entropy, other),
        "token_effective_sample_size": effective_sample_size(log_ratio),
    }


def top_overlap(first: Floats, second: Floats, share: float = TOP_SHARE) -> float:
    """Of the `share` of positions where the first is largest, the share where the second is too."""
    count = max(1, math.floor(share * len(first)))
    tops = [set(np.argsort(-one, kind="stable")[:count].tolist()) for one in (first, second)]
    return len(tops[0] & tops[1]) / count


def _clustered(texts: pa.Table) -> dict[str, float | None]:
    """Means a token with their intervals, the problems being what is drawn."""
    found: dict[str, float | None] = {}
    lengths = _drawn(texts, "num_tokens")
    for name in (*_INTERVALS.values(), "mean_kl_lower", "mean_kl_upper", "mean_topk_overlap"):
        column = texts[name]
        found[name] = None
        if not column.null_count:
            found[name] = float((_column(texts, name) * lengths).sum() / lengths.sum())
    for short, name in _INTERVALS.items():
        found[f"{short}_low"] = found[f"{short}_high"] = None
        mean = found[name]
        if mean is not None and math.isfinite(mean):
            ends = ratio_interval(texts["problem_id"].to_pylist(), _column(texts, name) * lengths, lengths)
            if ends is not None:
                found[f"{short}_low"], found[f"{short}_high"] = ends
    return found


def ratio_interval(problems: list[str], sums: Floats, lengths: Floats) -> tuple[float, float] | None:
    """The 95 % interval of sum(sums) / sum(lengths), a mean a token of a number that is not negative, on other problems
    like these; None for fewer than two problems. See `ratio_interval_of`.
    """
    order = {problem: number for number, problem in enumerate(dict.fromkeys(problems))}
    of = np.array([order[problem] for problem in problems], dtype=np.int64)
    sums_m, lengths_m = (
        np.bincount(of, weights=values, minlength=len(order)).astype(np.float64) for values in (sums, lengths)
    )
    return ratio_interval_of(sums_m, lengths_m)


def ratio_interval_of(sums_m: Floats, lengths_m: Floats) -> tuple[float, float] | None:
    """The same of (m,) sums and lengths, one of each problem.

    The ratio estimator's variance by linearisation, with the problem as the cluster (Cochran 1977, "Sampling
    Techniques", 6.4), and Student's t with one degree of freedom less than there are problems.
    """
    m = len(sums_m)
    if m < 2:
        return None
    ratio = sums_m.sum() / lengths_m.sum()
    residuals = sums_m - ratio * lengths_m
    error = math.sqrt(m / (m - 1) * float((residuals**2).sum())) / float(lengths_m.sum())
    half = student_t_quantile(m - 1) * error
    return max(0.0, float(ratio - half)), float(ratio + half)


def _missing(row: dict[str, Any], texts: pa.Table) -> dict[str, str]:
    """Why each null number is null."""
    if row["level"] == "text":
        why = "the tokenizers differ, so nothing is compared token by token"
    elif texts["divergence"][0].as_py() == "bounds":
        why = "only bounds were asked for"
    else:
        why = "it takes two problems at least" if row["num_problems"] < 2 else "a token is impossible to one model"
    nulls = (name for name in _SCHEMA.names if row[name] is None and name not in ("missing", "drawn_from_model"))
    exact = ("mean_kl_lower", "mean_kl_upper")
    found = {name: "the divergence is exact" if name in exact and row["mean_kl"] is not None else why for name in nulls}
    for name in ("logprob_per_byte", "reference_logprob_per_byte"):
        if name in found:
            found[name] = "the texts have no bytes"
    return found


def _drawn(texts: pa.Table, name: str) -> Floats:
    """How many tokens of each text its sums are of: where it was compared token by token, none that was put in."""
    lengths = _column(texts, name)
    if texts["level"][0].as_py() == "text" or "num_forced" not in texts.column_names:
        return lengths
    return lengths - pc.fill_null(texts["num_forced"], 0).to_numpy()


def _column(table: pa.Table, name: str) -> Floats:
    return table[name].to_numpy().astype(np.float64)
