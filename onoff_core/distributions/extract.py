"""Score the sampled token ids, as they were sampled: text is never tokenized a second time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onoff_core.backends.contract import Scorer
from onoff_core.backends.requests import TokenScores
from onoff_core.errors import ModelError
from onoff_core.study import DistributionSettings
from onoff_core.tables import SCHEMAS
from onoff_core.thinking_tables import forced_column

_SCHEMA = SCHEMAS["token_distributions"]
_KEPT_MANTISSA_BITS = 10
# The size of a table of whole-vocabulary rows, and so of a row group: a reader of one token reads at least that much.
_MOST_BYTES = 32 * 1024 * 1024


def extract_distributions(
    scorer: Scorer,
    samples: pa.Table,
    settings: DistributionSettings,
    on_response: Callable[[int], None] = lambda tokens: None,
) -> Iterator[pa.Table]:
    """Tables (`token_distributions` schema) for each row of `samples`, in order; `on_response` is told its tokens.

    With the whole vocabulary a response of many tokens comes in several tables, of at most 32 MiB where a token's row
    is not larger. The scorer is told of all prompts now, before the first table is asked for, so that it may begin.
    """
    columns = ["problem_id", "sample_index", "prompt_token_ids", "token_ids"]
    forced = (
        ["forced_positions"] if "forced_positions" in samples.column_names else []
    )  # older samples have no such one
    rows = samples.select([*columns, *forced]).to_pylist()
    begun = [
        _begin(scorer, problem_id, prompt_ids, list(group), settings)
        for (problem_id, prompt_ids), group in groupby(
            rows, key=lambda row: (row["problem_id"], row["prompt_token_ids"])
        )
    ]
    return _tables(begun, settings, on_response)


@dataclass(frozen=True)
class _Begun:
    """The responses to one prompt, which the scorer has been told of, or why it cannot be."""

    rows: list[dict[str, Any]]
    scored: Iterator[TokenScores]
    error: ModelError | None = None


def _begin(
    scorer: Scorer, problem_id: str, prompt_ids: list[int], rows: list[dict[str, Any]], settings: DistributionSettings
) -> _Begun:
    try:
        scorer.info.check_token_ids(prompt_ids, f"problem {problem_id}: its prompt")
        for row in rows:
            scorer.info.check_token_ids(row["token_ids"], f"problem {problem_id}, sample {row['sample_index']}: it")
    except ModelError as error:  # is raised in its turn: what comes before it is written
        return _Begun(rows, iter(()), error)
    return _Begun(rows, scorer.score(prompt_ids, [row["token_ids"] for row in rows], settings))


def _tables(
    begun: Sequence[_Begun], settings: DistributionSettings, on_response: Callable[[int], None]
) -> Iterator[pa.Table]:
    for one in begun:
        if one.error is not None:
            raise one.error
        for row in one.rows:
            try:
                scores = next(one.scored)
            except ModelError as error:
                raise ModelError(f"problem {row['problem_id']}, sample {row['sample_index']}: {error}") from error
            on_response(len(row["token_ids"]))
            table = _table(row, scores)
            yield from [table] if settings.top_k is not None else _parts(table)


def _table(row: dict[str, Any], scores: TokenScores) -> pa.Table:
    """The columns of the schema in its order: the response's own, and the scorer's."""
    count = len(row["token_ids"])
    own = {
        "problem_id": pa.array([row["problem_id"]] * count, pa.string()),
        "sample_index": pa.array([row["sample_index"]] * count, pa.int32()),
        "position": pa.array(np.arange(count, dtype=np.int32)),
        "token_id": pa.array(row["token_ids"], pa.int32()),
        "forced": forced_column(row.get("forced_positions"), count),
    }
    arrays = [own[field.name] if field.name in own else _array(field, scores, count) for field in _SCHEMA]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def _array(field: pa.Field, scores: TokenScores, count: int) -> pa.Array:
    """One column of a scorer. A nullable column that the scorer does not give is null; lists of floats are rounded."""
    if field.name not in scores.columns and field.nullable:
        return pa.nulls(count, field.type)
    values = scores[field.name]
    if not pa.types.is_list(field.type):
        return pa.array(values, field.type)
    flat = round_mantissa(values) if pa.types.is_floating(field.type.value_type) else values
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * values.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(flat.reshape(-1), field.type.value_type))


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """The rows in order, in tables of at most _MOST_BYTES (or of one row); an empty table as it is."""
    count = max(1, table.num_rows)
    rows = max(1, _MOST_BYTES * count // max(1, table.nbytes))
    return (table.slice(begin, rows) for begin in range(0, count, rows))


def round_mantissa(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round float32 to 10 mantissa bits (a relative error of at most 2^-11), so that the files compress."""
    dropped = 23 - _KEPT_MANTISSA_BITS
    bits = np.ascontiguousarray(values).view(np.uint32)
    half_to_even = ((bits >> dropped) & 1) + ((1 << (dropped - 1)) - 1)
    rounded = (bits + half_to_even.astype(np.uint32)) & np.uint32(0xFFFFFFFF ^ ((1 << dropped) - 1))
    return np.where(np.isfinite(values), rounded.view(np.float32), values)
