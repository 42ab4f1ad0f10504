"""Texts -> rows of `cross_scores`, one table (and so one row group) a text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa

from onoff_core.backends.contract import PairScorer
from onoff_core.backends.requests import KeptDistributions, PairScores
from onoff_core.cross.agreement import Differences
from onoff_core.cross.texts import Text
from onoff_core.errors import ModelError
from onoff_core.tables import SCHEMAS
from onoff_core.thinking_tables import forced_column

_SCHEMA = SCHEMAS["cross_scores"]
Kept = Mapping[tuple[str, int], KeptDistributions]  # by problem_id and sample_index


def score_texts(
    scorer: PairScorer,
    texts: Sequence[Text],
    top_k: int,
    differences: Differences,
    on_text: Callable[[int], None] = lambda tokens: None,
    kept: Kept | None = None,
) -> Iterator[pa.Table]:
    """Tables (`cross_scores` schema) of each text, in order. `on_text` is told its tokens.

    `kept`: what is kept of the model's own distributions, where bounds are asked for in their stead. Raises
    `ModelError` where a text cannot be scored, or where the model does not agree with its own sampling.
    """
    for prompt_ids, group in groupby(texts, key=lambda text: text.prompt_ids):
        same = list(group)
        ids = [text.token_ids for text in same]
        if kept is None:
            scores = scorer.score(prompt_ids, ids, top_k)
        else:
            scores = scorer.score_kept(prompt_ids, ids, [_kept_of(text, kept) for text in same], top_k)
        for text in same:
            try:
                found = next(scores)
            except ModelError as error:
                raise ModelError(f"{text.name}: {error}") from error
            differences.add(text, found["logprob"])
            on_text(len(text.token_ids))
            yield _table(text, found, "exact" if kept is None else "bounds")
    differences.check(scorer.info.name if kept is None else "the model itself")


def _kept_of(text: Text, kept: Kept) -> KeptDistributions:
    found = None if text.sample_index is None else kept.get((text.problem_id, text.sample_index))
    if found is None or len(found.logprob) != len(text.token_ids):
        raise ModelError(
            f"{text.name}: its token distributions are not there, and cross.divergence: bounds is made from them; "
            "materialize token_distributions again, or set divergence: exact"
        )
    return found


def _table(text: Text, scores: PairScores, divergence: str) -> pa.Table:
    """The columns of the schema in its order: the text's own, and the scorer's; null where the scorer gives none."""
    count = len(text.token_ids)
    own = {
        "problem_id": pa.array([text.problem_id] * count, pa.string()),
        "sample_index": pa.array([text.sample_index] * count, pa.int32()),
        "text": pa.array([text.kind] * count, pa.string()),
        "position": pa.array(np.arange(count, dtype=np.int32)),
        "token_id": pa.array(text.token_ids, pa.int32()),
        "divergence": pa.array([divergence] * count, pa.string()),
        "forced": forced_column(text.forced, count),
    }
    arrays = []
    for field in _SCHEMA:
        if field.name in own:
            arrays.append(own[field.name])
        elif field.nullable and field.name not in scores.columns:
            arrays.append(pa.nulls(count, field.type))
        else:
            arrays.append(pa.array(scores[field.name], field.type))
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)
