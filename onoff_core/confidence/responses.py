"""The table `confidence`: batches of token distributions in, one row per response out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.confidence.measures import (
    MEASURES,
    TokenSeries,
    falling_windows,
    response_measures,
    token_confidence,
)

Key = tuple[str, int]  # problem_id, sample_index

COLUMNS = ("problem_id", "sample_index", "position", "logprob", "entropy", "topk_logprobs", "mean_log_prob_vocabulary")
NO_VOCABULARY = (
    "self_certainty: scored before the vocabulary's mean log-probability was kept; to have it, materialize "
    "token_distributions again with force: true, then confidence likewise"
)
_ALL_FORCED = "the model drew none of its tokens: all were put in"


@dataclass(frozen=True)
class Windows:
    """Over how many tokens numbers are taken, and of which distributions."""

    window: int
    tail: int
    top_k: int
    vocab_size: int
    ordered: bool  # what is kept of a distribution falls from left to right; else it is whole, in the order of ids


@dataclass
class _Tokens:
    """The tokens of one response read so far."""

    key: Key
    parts: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, part: pa.RecordBatch, windows: Windows) -> None:
        kept = part["topk_logprobs"].flatten().to_numpy(zero_copy_only=False).reshape(part.num_rows, -1)
        columns = {
            "positions": part["position"].to_numpy().astype(np.int64),
            "logprob": part["logprob"].to_numpy().astype(np.float64),
            "entropy": part["entropy"].to_numpy().astype(np.float64),
            "confidence": token_confidence(kept, windows.top_k, ordered=windows.ordered),
            "mean_log_prob_vocabulary": np.full(part.num_rows, np.nan),
        }
        if "mean_log_prob_vocabulary" in part.schema.names:
            found = part["mean_log_prob_vocabulary"].to_numpy(zero_copy_only=False)
            columns["mean_log_prob_vocabulary"] = found.astype(np.float64)  # null becomes NaN
        for name, values in columns.items():
            self.parts.setdefault(name, []).append(values)

    def series(self, forced: Iterable[int]) -> TokenSeries:
        """Those that were drawn."""
        columns = {name: np.concatenate(values) for name, values in self.parts.items()}
        drawn = ~np.isin(columns["positions"], np.fromiter(forced, np.int64))
        return TokenSeries(**{name: values[drawn] for name, values in columns.items()})


def response_rows(
    batches: Iterable[pa.RecordBatch], windows: Windows, forced: Mapping[Key, Iterable[int]]
) -> Iterator[dict[str, Any]]:
    """One row a response, in the order of the distributions. The rows of a response stand together, by position.

    `forced`: of each response that has some, the positions of the tokens that were not drawn.
    """
    begun: _Tokens | None = None
    for batch in batches:
        for key, part in _by_response(batch):
            if begun is None or begun.key != key:
                if begun is not None:
                    yield _row(begun, windows, forced)
                begun = _Tokens(key)
            begun.add(part, windows)
    if begun is not None:
        yield _row(begun, windows, forced)


def _row(tokens: _Tokens, windows: Windows, forced: Mapping[Key, Iterable[int]]) -> dict[str, Any]:
    series = tokens.series(forced.get(tokens.key, ()))
    row: dict[str, Any] = {
        "problem_id": tokens.key[0],
        "sample_index": tokens.key[1],
        "num_tokens": len(series.positions),
    }
    if not len(series.positions):
        nothing: dict[str, Any] = dict.fromkeys(measure.name for measure in MEASURES)
        return {**row, **nothing, "falling_positions": [], "falling_confidences": [], "reason": _ALL_FORCED}
    measures = response_measures(series, windows.window, windows.tail, windows.vocab_size)
    positions, confidences = falling_windows(series, windows.window)
    return {
        **row,
        **measures,
        "falling_positions": positions.tolist(),
        "falling_confidences": confidences.tolist(),
        "reason": _reason(measures),
    }


def _reason(measures: Mapping[str, float | None]) -> str | None:
    missing = [name for name, value in measures.items() if value is None]
    if missing == ["self_certainty"]:
        return NO_VOCABULARY
    return (
        f"{', '.join(missing)}: not finite, the model gives a token that is there no probability" if missing else None
    )


def _by_response(batch: pa.RecordBatch) -> Iterator[tuple[Key, pa.RecordBatch]]:
    """The batch cut into runs of consecutive rows of one response."""
    if not batch.num_rows:
        return
    problems, samples = batch["problem_id"].dictionary_encode(), batch["sample_index"].to_numpy()
    others = (np.diff(problems.indices.to_numpy()) != 0) | (np.diff(samples) != 0)
    ends = [*(np.flatnonzero(others) + 1).tolist(), batch.num_rows]
    for begin, end in zip([0, *ends], ends, strict=False):
        yield (problems[begin].as_py(), int(samples[begin])), batch.slice(begin, end - begin)
