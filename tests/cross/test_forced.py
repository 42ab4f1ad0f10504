"""Two models on a text of which a thinking budget put tokens in: no sum and no mean counts them."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from onoff_core.cross.responses import SCORE_COLUMNS, responses_of_scores
from onoff_core.cross.statistics import cross_statistics
from onoff_core.cross.texts import Text, texts_of
from onoff_core.tables import SCHEMAS
from onoff_core.thinking_tables import forced_column

FORCED = (2, 3)
COUNT = 6


def text(problem: str, forced: tuple[int, ...] | None) -> Text:
    return Text(problem, 0, "response", "?", (1,), "abcdef", tuple(range(COUNT)), (), forced)


def scores(of: Text) -> pa.Table:
    """Of every drawn token the same; of those that were put in, something wild."""
    wild = np.isin(np.arange(COUNT), of.forced or ())
    columns: dict[str, Any] = {
        "token_id": pa.array(of.token_ids, pa.int32()),
        "divergence": ["exact"] * COUNT,
        "text": ["response"] * COUNT,
        "forced": forced_column(of.forced, COUNT),
    }
    usual = {"logprob": -1.0, "reference_logprob": -2.0, "log_ratio": -1.0}
    for name in SCHEMAS["cross_scores"].names:
        if name in SCORE_COLUMNS or name in ("entropy", "reference_entropy", "log_ratio"):
            columns.setdefault(name, np.where(wild, -90.0, usual.get(name, 0.5)).astype(np.float32))
    return pa.table(columns)


@pytest.mark.parametrize("forced", [FORCED, (), None])
def test_what_was_put_in_is_left_out(forced: tuple[int, ...] | None) -> None:
    texts = [text("a", forced), text("b", forced)]
    tables = [scores(one) for one in texts]
    batches = [batch for table in tables for batch in table.select(list(SCORE_COLUMNS)).to_batches()]
    responses = responses_of_scores(texts, batches)
    drawn = COUNT - len(forced or ())
    for row in responses.to_pylist():
        assert row["num_forced"] == (None if forced is None else len(forced))
        assert (row["num_tokens"], row["sum_logprob"], row["sum_log_ratio"]) == (COUNT, -drawn, -drawn)
        assert row["perplexity"] == pytest.approx(math.e)
        assert row["reference_perplexity"] == pytest.approx(math.e**2)
        assert (row["mean_entropy"], row["mean_kl"], row["mean_log_ratio"]) == (0.5, 0.5, -1.0)
        assert row["effective_sample_size"] == pytest.approx(drawn)
    (row,) = cross_statistics(tables, responses, None).to_pylist()
    assert row["perplexity"] == pytest.approx(math.e)
    assert row["reference_perplexity"] == pytest.approx(math.e**2)
    assert (row["mean_entropy"], row["mean_kl"], row["k1"]) == (0.5, 0.5, 1.0)


def test_texts_know_what_was_put_in_and_older_samples_do_not() -> None:
    row = dict.fromkeys(SCHEMAS["samples"].names)
    row |= {
        "problem_id": "a", "sample_index": 0, "prompt": "?", "prompt_token_ids": [1], "response": "ab",
        "token_ids": [5, 6], "token_logprobs": [-1.0, -1.0], "finish_reason": "stop", "num_tokens": 2,
        "forced_positions": [1],
    }  # fmt: skip
    table = pa.Table.from_pylist([row], schema=SCHEMAS["samples"])
    assert texts_of(table, None, None)[0].forced == (1,)
    assert texts_of(table.drop_columns(["forced_positions"]), None, None)[0].forced is None
