"""The catalog's tables, views and comments, in SQL.

Small tables (problems, rewards, statistics, generations, fragments) are copied into the catalog. samples,
token_distributions and vocabulary are views over exactly the fragments that were current when it was published. No path
in it is absolute: `store_root()` is the variable `onoff_store` if a session sets it, else the folder of the opened
file, which DuckDB reveals in its default folder for spilled data (`<file>.tmp`).

DuckDB looks up each file of a `read_parquet`, and evaluates a query's conditions on its name, before it reads any: with
thousands of files that takes longer than the reading. So a view has a branch for each data set, and a condition on
`dataset` drops the other branches before that; and `samples_of(dataset, model)` and `token_distributions_of(dataset,
model)` pick one partition's files before DuckDB sees the others.
"""

import hashlib
import io
import uuid
import zlib
from collections.abc import Mapping

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from onoff_core.store.files import Files
from onoff_core.store.series_view import SERIES_COMMENTS, series_query
from onoff_core.tables import SCHEMAS, TABLES

COPIED = tuple(table.name for table in TABLES.values() if table.in_catalog == "copy")
VIEWS = tuple(table.name for table in TABLES.values() if table.in_catalog == "view")
_LAYOUT = 4  # raised when the catalog's own tables, views or macros come to be made in another way


def version_of(schemas: Mapping[str, pa.Schema]) -> int:
    """The version of a catalog whose views have these schemas.

    A view keeps the columns that it was made with, so a hash of them is part of the version, and a new column makes the
    catalog anew. The columns of copied tables are compared one by one.
    """
    viewed = repr([(name, [(field.name, str(field.type)) for field in schemas[name]]) for name in VIEWS])
    return _LAYOUT * 1_000_000 + zlib.crc32(viewed.encode()) % 1_000_000


CATALOG_VERSION = version_of(SCHEMAS)
TABLES_IN_CATALOG = ("generations", "fragments", *COPIED, "leaderboard", "checkpoints")
TEMPLATES = "schema"
_MOST_BRANCHES = 50  # of a view; each costs a query about a millisecond, even if it is dropped

_NAME_COMMENTS = {
    "dataset": "short name, from onoff.yaml",
    "model": "short name, from onoff.yaml",
    "reference": "short name of the other model, which scored the model's text",
}
NAMES = tuple(_NAME_COMMENTS)  # the columns that may name a partition, in the order of its parts
_GENERATIONS = {
    "asset": ("VARCHAR", "what it is a generation of"),
    "dataset": ("VARCHAR", "null for a vocabulary"),
    "model": ("VARCHAR", "null for problems"),
    "reference": ("VARCHAR", "of cross-scores; null for all else"),
    "fingerprint": ("VARCHAR", "hash of all that decides the content"),
    "num_rows": ("BIGINT", "rows of all fragments"),
    "completed_at": ("TIMESTAMP", "UTC, by the clock of the machine that made it"),
    "inputs": ("JSON", "asset -> fingerprint it was made from"),
    "settings": ("JSON", "what the fingerprint is of"),
    "facts": ("JSON", "measured while it was made: seconds, tokens_per_second, seed, dagster_run_id, ..."),
    "folder": ("VARCHAR", "below the store's root"),
    "schema_version": ("INTEGER", "of the manifest"),
    "columns": ("VARCHAR[]", "of its Parquet files"),
    "in_study": ("BOOLEAN", "whether the study that published last names its data set and model; null: nobody said"),
    "is_stale": ("BOOLEAN", "whether that study's settings would make it anew; null: not of it, or it cannot be told"),
    "stale_because": ("VARCHAR", "why it is stale, or why that cannot be told"),
}
_MARKS = ("in_study", "is_stale")
MARKED = ("statistics", "comparisons")  # comparisons: whether both models are, and whether one of them is
LEADERBOARD = {
    "dataset": ("VARCHAR", "short name, from onoff.yaml"),
    "model": ("VARCHAR", "short name, from onoff.yaml"),
    "accuracy": ("DOUBLE", "mean over problems of the problem's mean reward"),
    "interval_low": ("DOUBLE", "95 % interval of the accuracy"),
    "interval_high": ("DOUBLE", "95 % interval of the accuracy"),
    "same_problems_low": ("DOUBLE", "95 % interval of the accuracy on these problems, drawn again"),
    "same_problems_high": ("DOUBLE", "95 % interval of the accuracy on these problems, drawn again"),
    "accuracy_lowest": ("DOUBLE", "every response without a verdict wrong"),
    "accuracy_highest": ("DOUBLE", "every response without a verdict right"),
    "num_problems": ("INTEGER", "problems with at least one verdict"),
    "num_samples": ("INTEGER", "responses with a verdict"),
    "mean_num_tokens": ("DOUBLE", "tokens"),
    "disagreement_share": (
        "DOUBLE",
        "responses on which a second opinion differs; null: none of these rewards is there",
    ),
    "disagreement_low": ("DOUBLE", "95 % interval of it, other problems like these"),
    "disagreement_high": ("DOUBLE", "95 % interval of it, other problems like these"),
    **{name: _GENERATIONS[name] for name in (*_MARKS, "stale_because")},
}
_FRAGMENTS = {
    "asset": ("VARCHAR", "of its generation"),
    "dataset": ("VARCHAR", "of its generation"),
    "model": ("VARCHAR", "of its generation"),
    "reference": ("VARCHAR", "of its generation"),
    "path": ("VARCHAR", "below the store's root"),
    "num_rows": ("BIGINT", "rows"),
    "num_bytes": ("BIGINT", "bytes"),
    "sha256": ("VARCHAR", "of the file"),
}
_CHECKPOINTS = {
    "model": ("VARCHAR", "short name, from onoff.yaml"),
    "series": ("VARCHAR", "the training run that it is a checkpoint of"),
    "step": ("INTEGER", "of the training run"),
}
_CATALOG = {
    "version": ("INTEGER", "of these tables"),
    "fresh_bytes": ("BIGINT", "the file's size when it was made anew"),
    "judged_by": ("VARCHAR", "the study that in_study and is_stale are of, hashed"),
}
# The catalog's own tables: what one row is, and the columns with their types and meanings.
_OWN = {
    "onoff_catalog": ("of this file itself", _CATALOG),
    "generations": ("one row per current generation: what made each result", _GENERATIONS),
    "fragments": ("one row per Parquet file of the current generations", _FRAGMENTS),
    "leaderboard": ("the statistics side by side, the best of each data set first", LEADERBOARD),
    "checkpoints": ("one row per model that the study that published last calls a step of a series", _CHECKPOINTS),
}
# If the opened file is not the catalog, its folder does not tell where the store is. DuckDB takes * ? [ in a path for
# patterns, and would read other folders' files too.
_STORE_ROOT = """coalesce(
    getvariable('onoff_store'),
    CASE WHEN regexp_matches(current_setting('temp_directory'), '^([^*?[]*/)?catalog[.]duckdb[.]tmp$')
    THEN left(current_setting('temp_directory'), -length('catalog.duckdb.tmp'))
    ELSE error('say where the store is (no * ? [ in its path): SET VARIABLE onoff_store = ''/path/to/store/''') END)"""


def partition_columns(asset: str) -> tuple[str, ...]:
    """The columns that name a partition, before those of the asset's own schema."""
    return TABLES[asset].partitioned_by


def names_of(asset: str, partition: tuple[str, ...]) -> tuple[str | None, ...]:
    """NAMES of a partition; None for those that the asset does not have."""
    named: dict[str, str | None] = dict(zip(partition_columns(asset), partition, strict=True))
    return tuple(named.get(name) for name in NAMES)


def same_partition(left: str, right: str) -> str:
    """The SQL condition that two rows have the same NAMES; `left` and `right` are the aliases of their tables."""
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in NAMES)


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Everything but the views, empty, with comments.

    In one transaction: by themselves its hundreds of statements would each be written to the disk.
    """
    connection.execute("BEGIN")
    define_tables(connection)
    connection.execute("INSERT INTO onoff_catalog VALUES (?, 0, NULL)", [CATALOG_VERSION])
    connection.execute(f"CREATE OR REPLACE MACRO store_root() AS {_STORE_ROOT}")
    for asset in COPIED:
        _comment(connection, "TABLE", asset)
    for asset in MARKED:
        for name in _MARKS:
            connection.execute(f"COMMENT ON COLUMN {asset}.{name} IS {quoted(_GENERATIONS[name][1])}")
    for table, (meaning, columns) in _OWN.items():
        connection.execute(f"COMMENT ON TABLE {table} IS {quoted(meaning)}")
        for name, (_, text) in columns.items():
            connection.execute(f"COMMENT ON COLUMN {table}.{name} IS {quoted(text)}")
    connection.execute("COMMIT")


def define_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """The tables alone."""
    for table, (_, columns) in _OWN.items():
        named = ", ".join(f"{name} {kind}" for name, (kind, _) in columns.items())
        connection.execute(f"CREATE TABLE {table} ({named})")
    for asset in COPIED:
        names = ", ".join(f"{_name(column)} VARCHAR" for column in partition_columns(asset))
        own = ", ".join(f"{_name(column)} {kind}" for column, kind in _types(asset))
        marks = "".join(f", {name} BOOLEAN" for name in _MARKS) if asset in MARKED else ""
        connection.execute(f"CREATE TABLE {asset} ({names}, {own}{marks})")


def create_view(connection: duckdb.DuckDBPyConnection, asset: str, template: str, by_dataset: bool) -> None:
    """A view over the asset's fragments as the table `fragments` has them now, and its macro for one partition.

    `template` is the path of an empty file with today's columns, absolute or below the store's root. It comes first,
    so that the view has its types without results, and can be made although a fragment is damaged. `by_dataset`: the
    view has a branch for each data set, unless there are very many.
    """
    found: list[tuple[str | None, list[str]]] = connection.execute(
        "SELECT dataset, list(path ORDER BY path) FROM fragments WHERE asset = ? GROUP BY dataset ORDER BY dataset",
        [asset],
    ).fetchall()
    everything = [path for _, paths in found for path in paths]
    groups = found if by_dataset and 0 < len(found) <= _MOST_BRANCHES else [(None, everything)]
    older = ", union_by_name = true" if _has_older_columns(connection, asset) else ""
    own = ", ".join(_name(column) for column in SCHEMAS[asset].names)
    selects = []
    for dataset, paths in groups:
        files = _files(template, _listed(paths))
        selects.append(f"SELECT {_names(asset, dataset)}, {own} FROM read_parquet({files}, filename = true{older})")
    connection.execute(f"CREATE OR REPLACE VIEW {asset} AS {' UNION ALL '.join(selects)}")
    _comment(connection, "VIEW", asset)
    if partition_columns(asset)[:2] == ("dataset", "model"):
        of = f"lambda path: starts_with(path, '{asset}/' || dataset || '/' || model || '/')"
        # A macro of an attached catalog, unlike a view, does not find another macro of it: so the root is written out.
        files = _files(template, f"list_filter({_listed(everything)}, {of})", _STORE_ROOT)
        connection.execute(
            f"CREATE OR REPLACE MACRO {asset}_of(dataset, model) AS TABLE "
            f"SELECT dataset AS dataset, model AS model, {_more_names(asset)}{own} "
            f"FROM read_parquet({files}, filename = true{older})"
        )
        connection.execute(f"COMMENT ON MACRO TABLE {asset}_of IS {quoted(f'{asset} of one dataset and model')}")


def create_series_view(connection: duckdb.DuckDBPyConnection) -> None:
    """The view over the other tables that puts the steps of each training run side by side."""
    connection.execute(f"CREATE OR REPLACE VIEW series AS {series_query()}")
    connection.execute("COMMENT ON VIEW series IS 'one row per step of a training run and data set'")
    for name, text in SERIES_COMMENTS.items():
        connection.execute(f"COMMENT ON COLUMN series.{name} IS {quoted(text)}")


def _names(asset: str, dataset: str | None) -> str:
    """The partition's columns, read from the files' names; a data set that is known is a constant."""
    names = partition_columns(asset)
    found = {name: f"split_part(filename, '/', {i - len(names) - 2})" for i, name in enumerate(names)}
    if dataset is not None:
        found["dataset"] = quoted(dataset)
    return ", ".join(f"{value} AS {name}" for name, value in found.items())


def _more_names(asset: str) -> str:
    """The partition's columns after dataset and model, read from the files' names."""
    names = partition_columns(asset)
    more = enumerate(names[2:], 2)
    return "".join(f"split_part(filename, '/', {i - len(names) - 2}) AS {name}, " for i, name in more)


def _listed(paths: list[str]) -> str:
    """An SQL list of the paths, from one string, which DuckDB parses much faster than thousands."""
    return f"string_split({quoted(chr(10).join(paths))}, chr(10))" if paths else "[]::VARCHAR[]"


def _files(template: str, paths: str, root: str = "store_root()") -> str:
    """The files for a `read_parquet`: the template, and these paths below the store's root."""
    first = f"[{quoted(template)}]"
    if template.startswith("/"):
        return f"list_concat({first}, list_transform({paths}, lambda path: {root} || path))"
    return f"list_transform(list_concat({first}, {paths}), lambda path: {root} || path)"


def _has_older_columns(connection: duckdb.DuckDBPyConnection, asset: str) -> bool:
    """Whether some file lacks a column of today's schema."""
    found = connection.execute(
        "SELECT count(*) FROM generations WHERE asset = ? AND NOT list_has_all(columns, ?)",
        [asset, SCHEMAS[asset].names],
    ).fetchone()
    return bool(found and found[0])


def template_name(files: Files, asset: str) -> str:
    """The name of the empty file with today's columns; writes the file if it is missing or damaged.

    No two stores have a template of the same name. So a catalog with another store's root finds no template there, and
    fails instead of reading that store's results as its own.
    """
    content = template_content(asset)
    prefix = f"{asset}-{hashlib.sha256(content).hexdigest()[:16]}-"
    there = [name for name in files.children(TEMPLATES) if name.startswith(prefix) and name.endswith(".parquet")]
    name = f"{TEMPLATES}/{there[0] if there else f'{prefix}{uuid.uuid4().hex[:16]}.parquet'}"
    if files.find_bytes(name) != content:
        files.write_bytes(name, content)
    return name


def has_templates(files: Files) -> bool:
    """Whether each view can have its empty file; a copy of the store may lack them all."""
    there = files.children(TEMPLATES)
    return all(any(name.startswith(f"{asset}-") for name in there) for asset in VIEWS)


def template_content(asset: str) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(SCHEMAS[asset].empty_table(), buffer)
    return buffer.getvalue()


_TYPES = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
}


def duckdb_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type. DuckDB could be asked, but would import pandas to answer, in every reader."""
    if pa.types.is_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {duckdb_type(field.type)}' for field in kind)})"
    return _TYPES[kind]


def _types(asset: str) -> list[tuple[str, str]]:
    """(column, DuckDB type) of an asset's schema."""
    return [(field.name, duckdb_type(field.type)) for field in SCHEMAS[asset]]


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, asset: str) -> None:
    connection.execute(f"COMMENT ON {kind} {asset} IS {quoted(TABLES[asset].meaning)}")
    for name in partition_columns(asset):
        connection.execute(f"COMMENT ON COLUMN {asset}.{name} IS {quoted(_NAME_COMMENTS[name])}")
    for field in SCHEMAS[asset]:
        connection.execute(f"COMMENT ON COLUMN {asset}.{_name(field.name)} IS {quoted(comment_of(field))}")


def comment_of(field: pa.Field) -> str:
    text: str = field.metadata[b"comment"].decode()
    return text


def root_of(files: Files) -> str:
    """The store's root with a slash at its end, as `store_root()` gives it."""
    return files.location("").rstrip("/") + "/"


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
