"""The tables of what is told of thinking and answer apart, and which tokens statistics count."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from onoff_core.columns import PROBLEM, SAMPLE, column

_PART = column("part", pa.string(), "thinking or answer, by task.thinking")

THINKING_BUDGETS = pa.schema(
    [
        column("budget", pa.int32(), "tokens of thinking, its tags included"),
        column("num_responses", pa.int32(), "responses with a verdict"),
        column("num_whole", pa.int32(), "of these, those whose thinking ended within the budget"),
        column("cut_share", pa.float64(), "of these, those whose thinking is longer"),
        column("accuracy", pa.float64(), "mean over problems; every response that is cut counts as wrong"),
        column("interval_low", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        column("interval_high", pa.float64(), "95 % interval of it, other problems like these", nullable=True),
        column("accuracy_highest", pa.float64(), "mean over problems, were every response that is cut right"),
        column("accuracy_of_whole", pa.float64(), "mean reward of those that are whole; null: none is", nullable=True),
        column("mean_thinking_tokens", pa.float64(), "tokens, of a response that is cut those of the budget"),
    ]
)
_MEANS = (
    column("mean_entropy", pa.float64(), "nats a token, without forced ones; null: no token", nullable=True),
    column("mean_logprob", pa.float64(), "nats a token, without forced ones; null: no token", nullable=True),
)
RESPONSE_PARTS = pa.schema(
    [
        PROBLEM,
        SAMPLE,
        _PART,
        column("begin", pa.int32(), "position of its first token; null: it has none", nullable=True),
        column("num_tokens", pa.int32(), "tokens of the response in this part"),
        column("num_forced", pa.int32(), "of these, those that were put in, not drawn"),
        *_MEANS,
    ]
)
PART_STATISTICS = pa.schema(
    [
        _PART,
        column("num_responses", pa.int32(), "responses with at least one token in this part"),
        column("num_tokens", pa.int64(), "tokens of all responses in this part"),
        column("num_forced", pa.int64(), "of these, those that were put in, not drawn"),
        *_MEANS,
    ]
)


def forced_column(positions: Sequence[int] | None, count: int) -> pa.Array:
    """The column `forced` of a response of so many tokens: whether each was put in; null where none of them was."""
    if not positions:
        return pa.nulls(count, pa.bool_())
    mask = np.zeros(count, bool)
    mask[list(positions)] = True
    return pa.array(mask)


def drawn_tokens(table: pa.Table) -> pa.Table:
    """The rows of tokens that were drawn, of a table with a row a token; others say nothing of the model.

    Without a column `forced`, which older tables lack, all were drawn.
    """
    import pyarrow.compute as pc  # a third of the time that importing this would take

    if "forced" not in table.column_names or table["forced"].null_count == table.num_rows:
        return table
    return table.filter(pc.invert(pc.fill_null(table["forced"], False)))
