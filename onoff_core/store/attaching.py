"""Open a catalog that others may have made or damaged: check the file, and limit what it can do.

The definitions of its tables have to equal ours before any is queried, since a table of that name may be a view with
any query in it. The file has to be as long as its own tables say. And a session that reads it can see nothing but the
store's folder, loads no extension, and has limits of memory and disk.
"""

import os
from functools import cache
from pathlib import Path

import duckdb

from onoff_core.store import schema
from onoff_core.store.files import Files

_MEMORY_BYTES = 4 << 30
_CLOSED = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # else a name in a view may be taken for a variable of the program
    "max_temp_directory_size": "16GB",
}
_HEADERS_BYTES = 3 * 4096  # of a DuckDB file, before its blocks


def connect() -> duckdb.DuckDBPyConnection:
    """An in-memory session for `attach`."""
    half_of_memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    limit = f"{min(_MEMORY_BYTES, half_of_memory) >> 20}MiB"
    return duckdb.connect(config={**_CLOSED, "memory_limit": limit})


def attach(connection: duckdb.DuckDBPyConnection, path: Path) -> str | None:
    """Attach the file at `path` as `catalog`, read-only. Returns None, or why it is of no use: of another version, not
    ours, cut off. Raises `duckdb.Error` if it cannot be opened."""
    connection.execute(f"ATTACH {schema.quoted(str(path))} AS catalog (READ_ONLY)")
    found = dict(
        connection.execute("SELECT table_name, sql FROM duckdb_tables() WHERE database_name = 'catalog'").fetchall()
    )
    expected = _expected_tables()
    if found.get("onoff_catalog") != expected["onoff_catalog"]:
        return "it is none of ours"
    ((version,),) = connection.execute("SELECT max(version) FROM catalog.onoff_catalog").fetchall()
    if version != schema.CATALOG_VERSION:
        return f"it is of version {version}, and this onoff's is {schema.CATALOG_VERSION}"
    for table, definition in expected.items():
        if found.get(table) != definition:
            return f"its {table} is not the table it should be"
    shadowing = connection.execute(
        "SELECT function_name FROM duckdb_functions() WHERE database_name = 'catalog' AND NOT internal "
        "AND function_name IN (SELECT function_name FROM duckdb_functions() WHERE internal) LIMIT 1"
    ).fetchone()
    if shadowing is not None:  # each of our queries would take it for the function
        return f"its macro {shadowing[0]} stands in a function's place"
    return None if _is_whole(connection, path, list(expected)) else "it is cut off"


def log_of(path: Path) -> Path:
    """DuckDB's log of changes that are not in the file yet."""
    return path.with_name(f"{path.name}.wal")


@cache
def _expected_tables() -> dict[str, str]:
    """The definition of each table of a catalog, as this DuckDB writes it."""
    with duckdb.connect() as connection:
        schema.define_tables(connection)
        return dict(connection.execute("SELECT table_name, sql FROM duckdb_tables()").fetchall())


def _is_whole(connection: duckdb.DuckDBPyConnection, path: Path, tables: list[str]) -> bool:
    """Whether every block of the tables and their metadata is there: DuckDB opens a file that is cut off, and fails at
    the first missing block.

    The file's own number of blocks does not tell: it counts free ones that were never written.
    """
    used = "SELECT max(block_id) FROM pragma_metadata_info('catalog')"
    for table in tables:
        segments = f"pragma_storage_info({schema.quoted(f'catalog.{table}')})"
        used += f" UNION ALL SELECT max(greatest(block_id, list_max(additional_block_ids))) FROM {segments}"
    ((last, block_bytes),) = connection.execute(
        f"SELECT (SELECT max(block_id) FROM ({used}) AS used(block_id)), "
        "(SELECT block_size FROM pragma_database_size() WHERE database_name = 'catalog')"
    ).fetchall()
    return path.stat().st_size >= _HEADERS_BYTES + (last + 1) * block_bytes


def close_in(connection: duckdb.DuckDBPyConnection, files: Files, *folders: Path) -> None:
    """From now on the session sees the store's folder (and these) alone. DuckDB follows no link out of it."""
    allowed = [schema.root_of(files), *(f"{os.path.realpath(folder)}/" for folder in folders)]
    if files.locks:
        allowed.append(f"{os.path.realpath(schema.root_of(files))}/")
    connection.execute(f"SET allowed_directories = [{', '.join(map(schema.quoted, allowed))}]")
    connection.execute("SET enable_external_access = false")
