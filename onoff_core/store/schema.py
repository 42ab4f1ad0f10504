"""The catalog's tables, views and comments, in SQL.

Small tables (problems, rewards, statistics, generations, fragments) are copied into the catalog. samples,
token_distributions and vocabulary are views over exactly the fragments that were current when it was published. No path
in it is absolute: `store_root()` is the variable `onoff_store` where a session sets it, else the folder of the opened
file, which DuckDB gives away in its default for spilled data (`<file>.tmp`).
"""

import hashlib
import io

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from onoff_core.store.files import Files
from onoff_core.tables import SCHEMAS, TABLES

CATALOG_VERSION = 1
COPIED = ("problems", "rewards", "statistics")
VIEWS = ("samples", "token_distributions", "vocabulary")
PARTITION_COLUMNS = {"problems": ("dataset",), "vocabulary": ("model",)}
TABLES_IN_CATALOG = ("generations", "fragments", *COPIED)

_NAME_COMMENTS = {"dataset": "short name, from onoff.yaml", "model": "short name, from onoff.yaml"}
_GENERATIONS = {
    "asset": ("VARCHAR", "what it is a generation of"),
    "dataset": ("VARCHAR", "null for a vocabulary"),
    "model": ("VARCHAR", "null for problems"),
    "fingerprint": ("VARCHAR", "hash of all that decides the content"),
    "num_rows": ("BIGINT", "rows of all fragments"),
    "completed_at": ("TIMESTAMP", "UTC, by the clock of the machine that made it"),
    "inputs": ("JSON", "asset -> fingerprint it was made from"),
    "settings": ("JSON", "what the fingerprint is of"),
    "facts": ("JSON", "measured while it was made: seconds, tokens_per_second, seed, ..."),
    "folder": ("VARCHAR", "below the store's root"),
    "schema_version": ("INTEGER", "of the manifest"),
    "columns": ("VARCHAR[]", "of its Parquet files"),
}
_FRAGMENTS = {
    "asset": ("VARCHAR", "of its generation"),
    "dataset": ("VARCHAR", "of its generation"),
    "model": ("VARCHAR", "of its generation"),
    "path": ("VARCHAR", "below the store's root"),
    "num_rows": ("BIGINT", "rows"),
    "num_bytes": ("BIGINT", "bytes"),
    "sha256": ("VARCHAR", "of the file"),
}
_STORE_ROOT = """CREATE OR REPLACE MACRO store_root() AS coalesce(
    getvariable('onoff_store'),
    CASE WHEN current_setting('temp_directory') IN ('', '.tmp')
    THEN error('say where the store is: SET VARIABLE onoff_store = ''/path/to/store/''')
    ELSE regexp_replace(current_setting('temp_directory'), '[^/]*$', '') END)"""


def partition_columns(asset: str) -> tuple[str, ...]:
    """The columns that name a partition, before those of the asset's own schema."""
    return PARTITION_COLUMNS.get(asset, ("dataset", "model"))


def names_of(asset: str, partition: tuple[str, ...]) -> tuple[str | None, str | None]:
    """(dataset, model) of a partition; None for the one that the asset does not have."""
    named: dict[str, str | None] = dict(zip(partition_columns(asset), partition, strict=True))
    return named.get("dataset"), named.get("model")


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Everything but the views, empty."""
    connection.execute("CREATE TABLE onoff_catalog (version INTEGER, fresh_bytes BIGINT)")
    connection.execute("COMMENT ON TABLE onoff_catalog IS 'of this file itself: its version, its size when made anew'")
    connection.execute("INSERT INTO onoff_catalog VALUES (?, 0)", [CATALOG_VERSION])
    connection.execute(_STORE_ROOT)
    _create_own(connection, "generations", _GENERATIONS, "one row per current generation: what made each result")
    _create_own(connection, "fragments", _FRAGMENTS, "one row per Parquet file of the current generations")
    for asset in COPIED:
        columns = ", ".join(f"{_name(column)} VARCHAR" for column in partition_columns(asset))
        own = ", ".join(f"{_name(column)} {kind}" for column, kind in _types(connection, asset))
        connection.execute(f"CREATE TABLE {asset} ({columns}, {own})")
        _comment(connection, "TABLE", asset)


def _create_own(
    connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, tuple[str, str]], comment: str
) -> None:
    connection.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, (kind, _) in columns.items())})")
    connection.execute(f"COMMENT ON TABLE {table} IS {quoted(comment)}")
    for name, (_, text) in columns.items():
        connection.execute(f"COMMENT ON COLUMN {table}.{name} IS {quoted(text)}")


def create_view(connection: duckdb.DuckDBPyConnection, asset: str, template: str) -> None:
    """A view over the asset's fragments as the table `fragments` has them now.

    `template` is an SQL expression for the location of an empty file with today's columns. It comes first: so the view
    has its types where there are no results, and can be made where a fragment is damaged.
    """
    paths = connection.execute("SELECT path FROM fragments WHERE asset = ? ORDER BY path", [asset]).fetchall()
    listed = chr(10).join(path for (path,) in paths)
    located = f"list_transform(string_split({quoted(listed)}, chr(10)), lambda path: store_root() || path)"
    files = f"list_concat([{template}], {located})" if paths else f"[{template}]"
    union = ", union_by_name = true" if _has_older_columns(connection, asset) else ""
    names = partition_columns(asset)
    parts = [f"split_part(filename, '/', {i - len(names) - 2}) AS {name}" for i, name in enumerate(names)]
    own = [_name(column) for column in SCHEMAS[asset].names]
    connection.execute(
        f"CREATE OR REPLACE VIEW {asset} AS SELECT {', '.join(parts + own)} "
        f"FROM read_parquet({files}, filename = true{union})"
    )
    _comment(connection, "VIEW", asset)


def _has_older_columns(connection: duckdb.DuckDBPyConnection, asset: str) -> bool:
    """Whether a file lacks a column that today's have."""
    found = connection.execute(
        "SELECT count(*) FROM generations WHERE asset = ? AND NOT list_has_all(columns, ?)",
        [asset, SCHEMAS[asset].names],
    ).fetchone()
    return bool(found and found[0])


def template_name(files: Files, asset: str) -> str:
    """The name of the empty file with today's columns, written now where it is not there."""
    content = template_content(asset)
    name = f".schema/{asset}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    if not files.exists(name):
        files.create_bytes(name, content)
    return name


def template_content(asset: str) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(SCHEMAS[asset].empty_table(), buffer)
    return buffer.getvalue()


def _types(connection: duckdb.DuckDBPyConnection, asset: str) -> list[tuple[str, str]]:
    """(column, DuckDB type) of an asset's schema."""
    connection.register("empty", SCHEMAS[asset].empty_table())
    described = connection.execute("DESCRIBE SELECT * FROM empty").fetchall()
    connection.unregister("empty")
    return [(row[0], row[1]) for row in described]


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, asset: str) -> None:
    connection.execute(f"COMMENT ON {kind} {asset} IS {quoted(TABLES[asset])}")
    for name in partition_columns(asset):
        connection.execute(f"COMMENT ON COLUMN {asset}.{name} IS {quoted(_NAME_COMMENTS[name])}")
    for field in SCHEMAS[asset]:
        connection.execute(f"COMMENT ON COLUMN {asset}.{_name(field.name)} IS {quoted(comment_of(field))}")


def comment_of(field: pa.Field) -> str:
    text: str = field.metadata[b"comment"].decode()
    return text


def root_of(files: Files) -> str:
    """The root as `store_root()` has it: it ends in a slash."""
    return files.location("").rstrip("/") + "/"


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
