"""What a table shows, as a file to take away."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from onoff_assets.browser.queries import Column, Rows, plain_column

_NAMES = {"of_dataset": "dataset", "of_model": "model"}  # as the store's tables call them


def taken(table: pa.Table, rows: Rows, columns: Sequence[Column]) -> pa.Table:
    """The columns that are there, of these rows in this order, under the store's names; of lists, their texts."""
    there = [column.name for column in columns if column.name in table.column_names]
    sources = [f"{name}_text" if pa.types.is_list(table.schema.field(name).type) else name for name in there]
    chosen = table.select(sources).take(pa.array(rows))
    columns_taken = [plain_column(chosen, name) for name in sources]
    return pa.table(columns_taken, names=[_NAMES.get(name, name) for name in there])


def as_csv(table: pa.Table) -> bytes:
    """With a header; a value that is not there is empty."""
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer)
    return buffer.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
