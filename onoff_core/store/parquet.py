"""Write our Parquet files, and read them back.

Every choice is for size among what DuckDB reads (docs/speed.md has the trials): BYTE_STREAM_SPLIT for floats,
differences for a column that counts, smallest and largest values only of columns that rows are looked up by.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from onoff_core.errors import StoreError
from onoff_core.growth import read_table

_BUFFER_BYTES = 1 << 20  # read ahead for each column that is read in batches
_SMALL_ROW = 1024  # bytes, in memory
_BROTLI_QUALITY = 5  # 4 is 3 % larger; 9 takes 25 times as long
_COUNTING = ("position",)  # columns that rise by one from row to row
_OF_A_RESPONSE = ("problem_id", "sample_index")
_LOOKED_UP = (*_OF_A_RESPONSE, "position")  # of which a row group says its smallest and largest value


def write_parquet(row_groups: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Write tables of this schema as they come, each as one row group."""
    tables = iter(row_groups)
    first = next(tables, None)
    leaves = _leaves(schema)
    floats = [name for name, kind in leaves if pa.types.is_float32(kind)]
    counting = [name for name in schema.names if name in _COUNTING]
    with pq.ParquetWriter(
        path,
        schema,
        **_compression(first),
        use_dictionary=[name for name, kind in leaves if pa.types.is_string(kind)],
        column_encoding={
            **dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
            **dict.fromkeys(counting, "DELTA_BINARY_PACKED"),
        },
        write_statistics=[name for name in schema.names if name in _LOOKED_UP],
    ) as writer:
        for table in itertools.chain([] if first is None else [first], tables):
            writer.write_table(table.cast(schema), row_group_size=max(1, table.num_rows))


def _compression(first: pa.Table | None) -> dict[str, Any]:
    """brotli is smaller by a twelfth, and fast enough where a row is small: 20 alternatives of a token take 7 us, but
    1,000 of them 140 us, which is longer than a GPU takes to score the token. There it is zstd, with 22 us.
    """
    if first is None or first.num_rows == 0 or first.nbytes > _SMALL_ROW * first.num_rows:
        return {"compression": "zstd"}
    return {"compression": "brotli", "compression_level": _BROTLI_QUALITY}


def read_parquet(file: BinaryIO, columns: Sequence[str] | None) -> pa.Table:
    """All columns of a file, or those of the named ones that it has. Raises `GrowthError` where it grows beyond
    measure: a store may be a stranger's.
    """
    return read_table(file, None if columns is None else list(columns))


def read_matching(file: BinaryIO, where: Mapping[str, str | int], columns: Sequence[str] | None) -> pa.Table:
    """The rows with these values; reads only row groups that may hold such rows."""
    import pyarrow.compute as pc  # a third of the time that importing the store would take

    wanted = None if columns is None else list(dict.fromkeys([*columns, *where]))
    source = pq.ParquetFile(file)
    groups = [i for i in range(source.num_row_groups) if _may_hold(source.metadata.row_group(i), where)]
    table = source.read_row_groups(groups, columns=wanted)
    for name, value in where.items():
        table = table.filter(pc.equal(table[name], value))
    return table if columns is None else table.select(list(columns))


class RowGroups:
    """The row groups of a file by (problem_id, sample_index), from its footer; a response has some of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._source = pq.ParquetFile(file, pre_buffer=False)
        self._groups: dict[tuple[Any, ...], list[int]] = {}
        for number in range(self._source.num_row_groups):
            key = _key_of(self._source.metadata.row_group(number))
            if key is not None:
                self._groups.setdefault(key, []).append(number)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._groups

    def tables(self, key: tuple[str, int]) -> Iterator[pa.Table]:
        """Of this response, a table a row group."""
        for number in self._groups[key]:
            yield self._source.read_row_group(number)


def _key_of(group: pq.RowGroupMetaData) -> tuple[Any, ...] | None:
    """The response that all rows of a row group are of; None where it has none, or rows of several."""
    found: dict[str, Any] = {}
    for number in range(group.num_columns if group.num_rows else 0):
        column = group.column(number)
        statistics = column.statistics if column.path_in_schema in _OF_A_RESPONSE and column.is_stats_set else None
        if statistics is not None and statistics.has_min_max and statistics.min == statistics.max:
            found[column.path_in_schema] = statistics.min
    return tuple(found[name] for name in _OF_A_RESPONSE) if len(found) == len(_OF_A_RESPONSE) else None


def batches_of(file: BinaryIO, num_rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows in order, in batches of at most `num_rows`; a batch ends where its row group ends.

    The reading is buffered: else Arrow reads ahead, and holds the bytes of all row groups until the last one is done.
    """
    source = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    for group in range(source.num_row_groups):
        yield from source.iter_batches(batch_size=num_rows, row_groups=[group], columns=list(columns))


def _may_hold(group: pq.RowGroupMetaData, where: Mapping[str, str | int]) -> bool:
    """Whether the row group's smallest and largest values leave room for these."""
    if group.num_rows == 0:  # it has neither
        return False
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema in where and column.is_stats_set and column.statistics.has_min_max:
            value = where[column.path_in_schema]
            if not column.statistics.min <= value <= column.statistics.max:
                return False
    return True


def num_rows_of(file: BinaryIO) -> int:
    """The number of rows, from the footer alone: a truncated file raises, and a large one is quick."""
    rows: int = pq.ParquetFile(file).metadata.num_rows
    return rows


def column_names_of(file: BinaryIO) -> list[str]:
    """The names of the columns, from the footer alone."""
    return list(pq.ParquetFile(file).schema_arrow.names)


def conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """The table with just this schema's columns. A nullable column that an older version did not have yet is null."""
    columns = []
    for field in schema:
        if field.name in table.column_names:
            columns.append(table[field.name])
        elif field.nullable:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            raise StoreError(
                f"{where}: has no column {field.name}; another version of onoff wrote it. Remove this generation's "
                "folder and materialize the partition again"
            )
    try:
        return pa.table(dict(zip(schema.names, columns, strict=True))).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise StoreError(f"{where}: does not hold this table ({error}); is it a foreign file?") from error


def _leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """(Parquet column path, type) of plain columns and lists of plain values."""
    return [
        (f"{field.name}.list.element", field.type.value_type)
        if pa.types.is_list(field.type)
        else (field.name, field.type)
        for field in schema
    ]
