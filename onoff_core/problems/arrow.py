"""Rows of an Arrow table as plain Python values."""

from typing import Any

import numpy as np
import pyarrow as pa

_NARROW = {pa.float16(): np.float16, pa.float32(): np.float32}


def rows_of_table(table: pa.Table) -> list[dict[str, Any]]:
    """A row a dict. A number of 16 or 32 bits becomes the one with its own shortest decimal text: 0.1 in 32 bits is
    0.1, and not 0.10000000149011612, which as a gold answer is another number.
    """
    rows: list[dict[str, Any]] = table.to_pylist()
    narrow = [field for field in table.schema if _holds_narrow(field.type)]
    for row in rows:
        for field in narrow:
            row[field.name] = _shortest(row[field.name], field.type)
    return rows


def _holds_narrow(kind: pa.DataType) -> bool:
    return kind in _NARROW or any(_holds_narrow(kind.field(i).type) for i in range(kind.num_fields))


def _shortest(value: Any, kind: pa.DataType) -> Any:
    if value is None or not _holds_narrow(kind):
        return value
    if kind in _NARROW:
        return float(str(_NARROW[kind](value)))
    if pa.types.is_struct(kind):
        return {
            kind.field(i).name: _shortest(value[kind.field(i).name], kind.field(i).type) for i in range(kind.num_fields)
        }
    if isinstance(value, list) and kind.num_fields == 1:
        return [_shortest(one, kind.field(0).type) for one in value]
    return value
