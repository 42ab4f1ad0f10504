"""`catalog.duckdb`: a snapshot of the current generations for SQL, published whole.

DuckDB lets one process write a file and then nobody read it, so no process ever writes the catalog in place. Under a lock the fragments
are listed, a new file is built beside the old one, closed, and put in its place; readers open it read-only.
"""

import logging
import time
from pathlib import Path

import duckdb

from onoff_core.store.generation import Manifest
from onoff_core.tables import SCHEMAS, TABLES
from onoff_core.store.store import Store

logger = logging.getLogger(__name__)

CATALOG_NAME = "catalog.duckdb"
_COPIED = ("problems", "samples", "rewards", "statistics")
_PARTITION_COLUMNS = {"problems": ("dataset",)}


def publish_catalog(store: Store) -> Path:
    """Build the catalog from the current generations and put it in place of the old one."""
    began = time.monotonic()
    with store.files.lock(".catalog.lock"):
        with store.files.writing(CATALOG_NAME) as scratch:
            scratch.unlink()  # DuckDB wants to make the file itself
            with duckdb.connect(scratch) as connection:
                _fill(connection, store)
    logger.debug("published the catalog in %.2f s", time.monotonic() - began)
    return store.files.path(CATALOG_NAME)


def connect_catalog(store: Store) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with the published catalog attached read-only and in use; published now if it is not there."""
    path = store.files.path(CATALOG_NAME)
    if not path.exists():
        publish_catalog(store)
    connection = duckdb.connect()
    connection.execute(f"ATTACH {_quoted(str(path))} AS catalog (READ_ONLY)")
    connection.execute("USE catalog")
    return connection


def _fill(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    manifests = {asset: store.current_manifests(asset) for asset in SCHEMAS}
    for asset in _COPIED:
        _copy(connection, store, asset, manifests[asset])
    connection.execute(
        "CREATE TABLE generations (asset VARCHAR, dataset VARCHAR, model VARCHAR, fingerprint VARCHAR, num_rows BIGINT, "
        "completed_at TIMESTAMP, inputs JSON, settings JSON, facts JSON, folder VARCHAR)"
    )
    for asset, made in manifests.items():
        for manifest in made:
            connection.execute(
                "INSERT INTO generations VALUES (?, ?, ?, ?, ?, make_timestamp(?), ?, ?, ?, ?)", _row(asset, manifest)
            )
    connection.execute("COMMENT ON TABLE generations IS 'one row per current generation: what made each result'")


def _copy(connection: duckdb.DuckDBPyConnection, store: Store, asset: str, manifests: list[Manifest]) -> None:
    """One table of all partitions' rows, with the partition's names before them."""
    names = _PARTITION_COLUMNS.get(asset, ("dataset", "model"))
    empty = SCHEMAS[asset].empty_table()
    connection.register("empty", empty)
    constants = ", ".join(f"''::VARCHAR AS {name}" for name in names)
    connection.execute(f"CREATE TABLE {asset} AS SELECT {constants}, * FROM empty")
    connection.unregister("empty")
    for manifest in manifests:
        generation = store.generation(asset, manifest.partition, manifest.fingerprint)
        files = [str(store.files.path(f"{generation.folder}/{fragment.name}")) for fragment in manifest.fragments]
        if files:
            values = ", ".join(_quoted(value) for value in manifest.partition)
            connection.execute(f"INSERT INTO {asset} SELECT {values}, * FROM read_parquet(?)", [files])
    connection.execute(f"COMMENT ON TABLE {asset} IS {_quoted(TABLES[asset])}")
    for field in SCHEMAS[asset]:
        comment = field.metadata[b"comment"].decode()
        connection.execute(f"COMMENT ON COLUMN {asset}.{field.name} IS {_quoted(comment)}")


def _row(asset: str, manifest: Manifest) -> list[object]:
    import json

    dataset, model = {"problems": (*manifest.partition, None), "vocabulary": (None, *manifest.partition)}.get(
        asset, manifest.partition
    )
    as_json = [json.dumps(value, ensure_ascii=False) for value in (manifest.inputs, manifest.settings, manifest.facts)]
    folder = "/".join((asset, *manifest.partition, manifest.fingerprint))
    completed = int(manifest.completed_at * 1_000_000)
    return [asset, dataset, model, manifest.fingerprint, manifest.num_rows, completed, *as_json, folder]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
