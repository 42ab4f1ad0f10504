"""Refuse files that are small on the disk and take all memory when they are read.

Text and numbers as people have them shrink to a tenth when they are compressed, hardly to a thirtieth. So a file that
grows beyond fifty times its size, and beyond a gigabyte, was made to do harm or is damaged.
"""

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

MOST_TIMES = 50
LEAST_BYTES = 1 << 30  # what every file may grow to
_ROWS = 4096  # of a Parquet file, read at once
_PIECE = 16 << 20


class GrowthError(ValueError):
    """A file that grows beyond measure."""


class Growth:
    """The bytes that a file has grown to so far."""

    def __init__(self, file_bytes: int) -> None:
        self._most = max(LEAST_BYTES, MOST_TIMES * file_bytes)
        self._file_bytes, self._bytes = file_bytes, 0

    def add(self, num_bytes: int) -> None:
        """Count more; raises `GrowthError`."""
        self._bytes += num_bytes
        if self._bytes > self._most:
            raise GrowthError(
                f"its {self._file_bytes:,} bytes grow to more than {self._most:,} when they are read; damaged, or "
                "made to do harm"
            )


def read_all(stream: "pa.NativeFile", file_bytes: int) -> bytes:
    """What a stream that decompresses a file of so many bytes has to say. Raises `GrowthError`."""
    growth, pieces = Growth(file_bytes), []
    while piece := stream.read(_PIECE):
        growth.add(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def read_table(file: BinaryIO, columns: list[str] | None = None) -> pa.Table:
    """All rows of a Parquet file; of the named columns those that it has. Raises `GrowthError`."""
    file_bytes = file.seek(0, 2)
    file.seek(0)
    source, declared, growth = pq.ParquetFile(file), Growth(file_bytes), Growth(file_bytes)
    there = source.schema_arrow
    wanted = there.names if columns is None else [name for name in columns if name in there.names]
    for group in range(source.num_row_groups):
        declared.add(_declared_bytes(source.metadata.row_group(group), set(wanted)))
    schema = pa.schema([_without_dictionary(there.field(name)) for name in wanted])
    batches = []
    for batch in source.iter_batches(batch_size=_ROWS, columns=wanted):
        arrays = [_written_out(batch.column(batch.schema.get_field_index(name))) for name in wanted]
        growth.add(sum(array.nbytes for array in arrays))
        batches.append(pa.record_batch(arrays, schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


def _without_dictionary(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _written_out(array: pa.Array) -> pa.Array:
    """Every value by itself, as it will be in rows: many rows may share one long text."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _declared_bytes(group: pq.RowGroupMetaData, wanted: set[str]) -> int:
    columns = (group.column(i) for i in range(group.num_columns))
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema.split(".")[0] in wanted)
