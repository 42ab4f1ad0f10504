"""Rows of `cross_scores`, a token each -> rows of `cross_responses`, a text each. Sums are in float64."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onoff_core.cross.texts import Text
from onoff_core.errors import ModelError
from onoff_core.tables import SCHEMAS

_SCHEMA = SCHEMAS["cross_responses"]
_MEANS = {  # of a text: the column of its tokens
    "mean_log_ratio": "log_ratio",
    "mean_entropy": "entropy",
    "mean_reference_entropy": "reference_entropy",
    "mean_kl": "kl",
    "mean_kl_lower": "kl_lower",
    "mean_kl_upper": "kl_upper",
    "mean_reverse_kl": "reverse_kl",
    "mean_js": "js",
    "mean_topk_overlap": "topk_overlap",
}
_NUMBERS = ("logprob", "reference_logprob", *dict.fromkeys(_MEANS.values()))


def effective_sample_size(log_ratios: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2 of the weights w = e^log_ratio: how many equal weights would tell as much (Kish 1965,
    "Survey Sampling"; Kong 1992, "A Note on Importance Sampling using Standardized Weights").
    """
    weights = np.exp(log_ratios - log_ratios.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


SCORE_COLUMNS = ("token_id", "divergence", *_NUMBERS)


def responses_of_scores(texts: Sequence[Text], scores: Iterable[pa.RecordBatch]) -> pa.Table:
    """The rows of these texts. `scores` are the rows of all their tokens in the same order, with SCORE_COLUMNS, in
    batches none of which is of two texts; memory holds one text's.
    """
    rows, batches = [], iter(scores)
    for text in texts:
        own: list[pa.RecordBatch] = []
        while sum(one.num_rows for one in own) < len(text.token_ids) and (batch := next(batches, None)) is not None:
            own.append(batch)
        part = pa.Table.from_batches(own).combine_chunks() if own else None
        if part is None or part["token_id"].to_pylist() != list(text.token_ids):
            raise ModelError(f"{text.name}: the rows of cross_scores are of other tokens; materialize it with force")
        columns = {name: part[name].chunk(0) for name in _NUMBERS}
        rows.append(_row(text, columns, part["divergence"][0].as_py()))
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def _row(text: Text, columns: Mapping[str, pa.Array], divergence: str) -> dict[str, Any]:
    drawn = np.ones(len(text.token_ids), bool)
    drawn[list(text.forced or ())] = False
    values = {
        name: None if column.null_count else column.to_numpy().astype(np.float64)[drawn]
        for name, column in columns.items()
    }
    own, other = values["logprob"], values["reference_logprob"]
    assert own is not None
    assert other is not None
    means = {name: None if (v := values[column]) is None else float(v.mean()) for name, column in _MEANS.items()}
    return {
        **_sums(text, float(own.sum()), float(other.sum()), len(text.token_ids), int((~drawn).sum())),
        "level": "token",
        "divergence": divergence,
        **means,
        "sum_kl": None if (kl := values["kl"]) is None else float(kl.sum()),
        "effective_sample_size": effective_sample_size(other - own),
    }


def _sums(text: Text, own: float, other: float, reference_tokens: int, left_out: int = 0) -> dict[str, Any]:
    """What is known of a text at both levels; so many of its tokens were put in, and are in no sum."""
    count, size = len(text.token_ids), len(text.text.encode())
    return {
        "problem_id": text.problem_id,
        "sample_index": text.sample_index,
        "text": text.kind,
        "num_tokens": count,
        "reference_num_tokens": reference_tokens,
        "num_bytes": size,
        "sum_logprob": own,
        "sum_reference_logprob": other,
        "logprob_per_byte": own / size if size else None,
        "reference_logprob_per_byte": other / size if size else None,
        "perplexity": math.exp(min(-own / (count - left_out), 700.0)),
        "reference_perplexity": math.exp(min(-other / (reference_tokens - left_out), 700.0)),
        "sum_log_ratio": other - own,
        "num_forced": None if text.forced is None else len(text.forced),
    }


@dataclass(frozen=True)
class ReadText:
    """A text as one model reads it: its own token ids, and the sum of their log-probabilities."""

    num_tokens: int
    sum_logprob: float  # nats


def responses_of_texts(
    texts: Sequence[Text], own: Sequence[ReadText], reference: Sequence[ReadText]
) -> Iterator[dict[str, Any]]:
    """Rows of texts that each model has tokenized itself: the probability of the same bytes, and nothing by token.

    A stop token at the end is no part of the text, so neither counts one.
    """
    for text, first, second in zip(texts, own, reference, strict=True):
        row = dict.fromkeys(_SCHEMA.names)
        sums = _sums(text, first.sum_logprob, second.sum_logprob, second.num_tokens)
        perplexity = math.exp(min(-first.sum_logprob / first.num_tokens, 700.0))
        yield {**row, **sums, "num_tokens": first.num_tokens, "perplexity": perplexity, "level": "text"}
