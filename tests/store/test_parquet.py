"""What our Parquet files look like: small, as DuckDB reads them, and no slower to find one response in.

data/token_distributions.parquet: 8 responses of 100 tokens that SmolLM2-135M drew at temperature 1, k = 20.
"""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onoff_core.store.parquet import read_matching, write_parquet
from onoff_core.tables import SCHEMAS

SCHEMA = SCHEMAS["token_distributions"]
REAL = Path(__file__).parent / "data" / "token_distributions.parquet"


def responses() -> list[pa.Table]:
    """The file's row groups; columns that came after it was made are null."""
    source = pq.ParquetFile(REAL)
    return [_in_full(source.read_row_group(number)) for number in range(source.num_row_groups)]


def _in_full(table: pa.Table) -> pa.Table:
    for field in SCHEMA:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(SCHEMA.names).cast(SCHEMA)


def as_release_0_1_0_wrote(tables: list[pa.Table], path: Path) -> None:
    floats = ["logprob", "entropy", "varentropy", "logsumexp", "tail_mass", "topk_logprobs.list.element"]
    with pq.ParquetWriter(
        path, SCHEMA, compression="zstd", use_dictionary=["problem_id"], use_byte_stream_split=floats
    ) as writer:
        for table in tables:
            writer.write_table(table)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_parquet(responses(), SCHEMA, tmp_path / "new.parquet")
    return tmp_path / "new.parquet"


def test_a_token_of_a_real_distribution_takes_some_hundred_bytes(written: Path, tmp_path: Path) -> None:
    """Without the footer: its description of the columns, some kilobytes, is shared by few tokens here."""
    as_release_0_1_0_wrote(responses(), tmp_path / "old.parquet")
    tokens = sum(table.num_rows for table in responses())
    assert tokens == 800
    assert (written.stat().st_size - pq.read_metadata(written).serialized_size) / tokens < 90.7
    assert written.stat().st_size < 0.87 * (tmp_path / "old.parquet").stat().st_size


def test_duckdb_reads_the_same_values_and_types_as_before(written: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.parquet"
    as_release_0_1_0_wrote(responses(), old)
    with duckdb.connect() as connection:
        types = [connection.execute(f"describe select * from '{path}'").fetchall() for path in (old, written)]
        assert types[0] == types[1]
        rows = [connection.execute(f"select * from '{path}'").fetchall() for path in (old, written)]
        assert rows[0] == rows[1]
        both = connection.execute(f"select count(*) from read_parquet(['{old}', '{written}'])").fetchone()
        assert both == (1600,)
    assert pq.read_table(written).equals(pa.concat_tables(responses()))


def test_one_token_is_found_among_the_row_groups(written: Path) -> None:
    wanted = responses()[5].slice(42, 1)
    where = {name: wanted[name][0].as_py() for name in ("problem_id", "sample_index", "position")}
    with written.open("rb") as file:
        assert read_matching(file, where, None).equals(wanted)
    metadata = pq.ParquetFile(written).metadata
    known = {
        metadata.row_group(0).column(i).path_in_schema
        for i in range(metadata.num_columns)
        if metadata.row_group(0).column(i).is_stats_set
    }
    assert known == set(where)
    assert metadata.num_row_groups == 8


@pytest.mark.parametrize(("k", "codec"), [(20, "BROTLI"), (100, "BROTLI"), (1000, "ZSTD")])
def test_large_rows_are_compressed_by_what_keeps_up_with_a_gpu(tmp_path: Path, k: int, codec: str) -> None:
    count = 3
    columns = {
        field.name: ["p"] * count
        if pa.types.is_string(field.type)
        else [list(range(k))] * count
        if pa.types.is_list(field.type)
        else np.arange(count)
        for field in SCHEMA
    }
    table = pa.table(columns).cast(SCHEMA)
    write_parquet([table], SCHEMA, tmp_path / "table.parquet")
    source = pq.ParquetFile(tmp_path / "table.parquet")
    assert {source.metadata.row_group(0).column(i).compression for i in range(source.metadata.num_columns)} == {codec}
    assert source.read().equals(table)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_without_rows_and_one_without_row_groups(tmp_path: Path, name: str) -> None:
    schema = SCHEMAS[name]
    for number, tables in enumerate(([], [schema.empty_table()])):
        write_parquet(tables, schema, tmp_path / f"{number}.parquet")
        assert pq.read_table(tmp_path / f"{number}.parquet").equals(schema.empty_table())
