"""A generation that another version wrote with other columns is left out of the catalog, and nothing else is."""

import logging
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.synthetic import MadeUp, MadeUpProblem, encode, write_partition
from onoff_core.store import Store, publish_catalog, schema
from onoff_core.store.reading import connect_catalog
from onoff_core.tables import SCHEMAS


def test_the_only_table_of_its_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(str(tmp_path))
    row = {f.name: None if f.nullable else [] if pa.types.is_list(f.type) else 0 for f in SCHEMAS["statistics"]}
    generation = store.generation("statistics", ("d", "m"), "0123456789abcdef")
    generation.write_fragment(0, [pa.Table.from_pylist([row], schema=SCHEMAS["statistics"])])
    path = next(tmp_path.rglob("*.parquet"))
    pq.write_table(pq.read_table(path).drop_columns(["num_problems"]), path)
    generation = store.generation(
        "statistics", ("d", "m"), "0123456789abcdef"
    )  # another process's: the file is as it was
    generation.complete({}, {}, {})
    store.make_current(generation)
    with caplog.at_level(logging.WARNING):
        publish_catalog(store, rebuild=True)
    assert "has no column num_problems" in caplog.text
    with connect_catalog(store) as connection:
        assert connection.execute("SELECT count(*) FROM statistics").fetchone() == (0,)


def test_a_new_column_of_a_view_makes_the_catalog_anew() -> None:
    more = SCHEMAS["token_distributions"].append(pa.field("new", pa.float32()))
    version = schema.version_of({**SCHEMAS, "token_distributions": more})
    assert schema.version_of(SCHEMAS) == schema.CATALOG_VERSION != version


@pytest.mark.parametrize("asset", sorted(SCHEMAS))
def test_types_are_named_as_duckdb_names_them(asset: str) -> None:
    with duckdb.connect() as connection:
        connection.register("empty", SCHEMAS[asset].empty_table())
        described = connection.execute("DESCRIBE SELECT * FROM empty").fetchall()
    assert [(row[0], row[1]) for row in described] == [(f.name, schema.duckdb_type(f.type)) for f in SCHEMAS[asset]]


@pytest.mark.parametrize("former", [0, 1, 2])
def test_fragments_of_one_generation_by_two_versions(tmp_path: Path, former: int) -> None:
    """A damaged fragment of before is made again with today's columns, and stands beside those that lack one."""
    store, column = Store(str(tmp_path / "store")), "mean_log_prob_vocabulary"
    write_partition(store, "d", "m", [MadeUpProblem("p", [MadeUp(encode(" so"), 1, "2")])])
    made = store.require("token_distributions", ("d", "m"))
    mixed = store.generation("token_distributions", ("d", "m"), "b" * 16)
    for index in range(3):
        mixed.write_fragment(index, [made.read()])
    path = store.files.location(f"{mixed.folder}/{former:05d}.parquet")
    pq.write_table(made.read().drop_columns([column]), path)
    mixed = store.generation("token_distributions", ("d", "m"), "b" * 16)
    mixed.complete(made.manifest().inputs, made.manifest().settings, made.manifest().facts)
    store.make_current(mixed)
    publish_catalog(store, rebuild=True)
    with connect_catalog(store) as connection:
        for table in ("token_distributions", "token_distributions_of('d', 'm')"):
            assert connection.execute(f"SELECT count(*), count({column}) FROM {table}").fetchall() == [(3, 2)]
