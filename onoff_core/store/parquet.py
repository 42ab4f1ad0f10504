"""How our Parquet files are written: zstd, and for floats BYTE_STREAM_SPLIT, which measured smallest (DuckDB reads both)."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(row_groups: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Write tables of this schema, a row group each, as they come."""
    leaves = _leaves(schema)
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[name for name, kind in leaves if pa.types.is_string(kind)],
        use_byte_stream_split=[name for name, kind in leaves if pa.types.is_float32(kind)],
    ) as writer:
        for table in row_groups:
            writer.write_table(table.cast(schema), row_group_size=max(1, table.num_rows))


def _leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """(Parquet column path, type) of plain columns and lists of plain values."""
    return [
        (f"{field.name}.list.element", field.type.value_type)
        if pa.types.is_list(field.type)
        else (field.name, field.type)
        for field in schema
    ]
