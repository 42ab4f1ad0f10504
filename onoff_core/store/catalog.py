"""`catalog.duckdb`: a snapshot of the current generations for SQL, published whole, at the cost of what changed.

While one process writes a DuckDB file no other can read it, so no process ever writes the catalog in place. Under a
lock a process copies the last snapshot, replaces in the copy the partitions that were noted as changed, and puts the
copy in the old one's place. A process that waited for the lock mostly finds its change published. Without a snapshot,
or with one of another version, everything is read anew. On S3 there is no lock: a process that comes second begins
again from the newer snapshot.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import pyarrow as pa

from onoff_core.errors import StoreError
from onoff_core.machine import what_it_lacked
from onoff_core.store import attaching, judging, schema
from onoff_core.store.files import Files, scratch_folder
from onoff_core.store.generation import Generation
from onoff_core.store.judging import Judge
from onoff_core.store.manifest import Manifest
from onoff_core.store.parquet import conform
from onoff_core.store.store import Change, Store
from onoff_core.tables import SCHEMAS

logger = logging.getLogger(__name__)

CATALOG_NAME = "catalog.duckdb"
CATALOG_LOCK = ".catalog.lock"
_ATTEMPTS = 50  # S3 only: how often in a row another process may be faster
_BATCH = 100  # generations; their rows are in memory at once
_SLACK_BYTES = 8 << 20  # a file is compacted beyond twice its size when it was new, and this much
_MEMORY = "200MB"
_PLACES = ("model_name", "model_source", "imported_from")  # values of settings and facts that may be a path
_NOT_WHOLE = (
    "not published, the file was not whole when it was opened again; is the disk full? The results are safe, and the "
    "catalog is the former one; free some space, and the next publication has everything"
)

Work = tuple[str, tuple[str, ...]]  # asset, partition
Template = Callable[[str], str]  # asset -> path of its empty file, absolute or below the store's root


def publish_catalog(store: Store, rebuild: bool = False) -> None:
    """Bring the catalog up to the current generations; `rebuild` reads all of them instead of those that changed."""
    began = time.monotonic()
    with store.files.lock(CATALOG_LOCK):
        for _ in range(_ATTEMPTS):
            known = not rebuild and store.files.version(CATALOG_NAME) is not None and schema.has_templates(store.files)
            changes = store.changes()
            if known and not changes and _is_up_to_date(store):
                _remove_log(store)
                return
            if _published(store, changes, from_nothing=not known):
                store.forget_changes([change for change in changes if _is_settled(store, change)])
                logger.debug("published the catalog in %.2f s", time.monotonic() - began)
                return
    raise StoreError(
        f"{store.files.location(CATALOG_NAME)}: others published all the time; the results are safe, and the next "
        "publication has them"
    )


def fill_private(connection: duckdb.DuckDBPyConnection, store: Store, folder: Path) -> None:
    """Make the catalog in a connection, for a store that is only read; `folder` has to stay as long as that."""

    def template(asset: str) -> str:
        path = folder / f"{asset}.parquet"
        path.write_bytes(schema.template_content(asset))
        return str(path)

    _fill(connection, store, template)


def _published(store: Store, changes: list[Change], from_nothing: bool) -> bool:
    def template(asset: str) -> str:
        return schema.template_name(store.files, asset)

    with _explained(store.files), store.files.replacing(CATALOG_NAME) as replacement:
        if from_nothing or not _is_ours(replacement.path):
            _rebuild(replacement.path, store, template)
        else:
            try:
                _go_on(replacement.path, store, changes, template)
            except duckdb.Error as error:  # damaged inside; any other fault shows again in the rebuilding
                logger.warning("cannot go on from the former catalog (%s); making it anew", str(error).splitlines()[0])
                _rebuild(replacement.path, store, template)
    if replacement.kept:
        _remove_log(store)
    return replacement.kept


def _remove_log(store: Store) -> None:
    """A program that opened a former file for writing left it; it is not this file's."""
    name = attaching.log_of(Path(CATALOG_NAME)).name
    if store.files.locks and store.files.exists(name):
        store.files.remove(name)


def _go_on(path: Path, store: Store, changes: list[Change], template: Template) -> None:
    """Bring a copy of the last snapshot up to these changes."""
    work = sorted({(change.asset, change.partition) for change in changes if change.asset in SCHEMAS})
    with _opened(path, store.files) as connection:
        _replace(connection, store, work, template)
        fresh = connection.execute("SELECT coalesce(max(fresh_bytes), 0) FROM onoff_catalog").fetchall()[0][0]
    if path.stat().st_size > 2 * fresh + _SLACK_BYTES:
        _compact(path, store.files, template)


def _is_up_to_date(store: Store) -> bool:
    """Whether what is published can stay as it is."""
    fetched = store.files.fetch(CATALOG_NAME)
    if fetched is None:
        return False
    with scratch_folder() as folder:  # under another name, since this process may have connections open
        link = folder / CATALOG_NAME
        link.symlink_to(fetched[0].absolute())
        return _is_ours(link, store.judge)


def _is_ours(path: Path, judge: Judge | None = None) -> bool:
    """Whether there is a catalog that this code may go on from; and, where a judge is given, whether it is by it."""
    if not path.exists():
        return False
    try:
        with attaching.connect() as connection:
            wrong = attaching.attach(connection, path)
            if wrong is None and judge is not None:
                ((judged_by,),) = connection.execute("SELECT judged_by FROM catalog.onoff_catalog").fetchall()
                return bool(judged_by == judge.version)
    except duckdb.Error as raised:
        wrong = str(raised).splitlines()[0]
    if wrong is not None:
        logger.warning("the catalog is made anew: %s", wrong)
    return wrong is None


def _is_settled(store: Store, change: Change) -> bool:
    """Whether the note's change is in a catalog made after the note was read.

    A fingerprint that the pointer never had belongs to a process that is between its note and its pointer, or died
    there. Such a note stays, and costs the reading of one pointer at each publication.
    """
    return change.fingerprint in _order(store, change.asset, change.partition)


def _order(store: Store, asset: str, partition: tuple[str, ...]) -> list[str]:
    try:
        return store.order(asset, partition)
    except StoreError as error:
        logger.warning("not published: %s", error)
        return []


def _rebuild(path: Path, store: Store, template: Template) -> None:
    for former in (path, attaching.log_of(path)):
        former.unlink(missing_ok=True)
    with _opened(path, store.files, ask=False) as connection:
        _fill(connection, store, template)
    _note_fresh_size(path, store.files)


def _fill(connection: duckdb.DuckDBPyConnection, store: Store, template: Template) -> None:
    schema.create_tables(connection)
    work = [(asset, partition) for asset in SCHEMAS for partition in store.partitions(asset)]
    _replace(connection, store, work, template, anew=True)


def _replace(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    work: Sequence[Work],
    template: Template,
    anew: bool = False,
) -> None:
    """Let each partition's rows be those of its current generation, in one transaction; `anew`: there are none yet."""
    connection.execute("BEGIN")
    for start in range(0, len(work), _BATCH):
        batch = work[start : start + _BATCH]
        for asset, partition in () if anew else batch:
            _delete(connection, asset, partition)
        _insert(connection, list(_current(store, batch)))
    judged = store.judge is not None and judging.apply(connection, store.judge, set(work), anew)
    changed = {asset for asset, _ in work}
    if anew or judged or changed & {"statistics", "comparisons", "second_opinion_statistics"}:
        judging.derive(connection)
    for asset in schema.VIEWS:
        if anew or asset in changed:
            schema.create_view(connection, asset, template(asset), by_dataset=store.files.locks)
    if anew:
        schema.create_series_view(connection)
    connection.execute("COMMIT")


def _current(store: Store, work: Sequence[Work]) -> Iterator[tuple[Generation, Manifest]]:
    """Current generations to publish; without damaged ones, which are warned of: they must not hold up the others."""
    for asset, partition in work:
        try:
            generation = store.current(asset, partition)
            if generation is not None:
                yield generation, generation.manifest()
        except StoreError as error:
            logger.warning("not published: %s", error)


def _delete(connection: duckdb.DuckDBPyConnection, asset: str, partition: tuple[str, ...]) -> None:
    names = schema.names_of(asset, partition)
    same = " AND ".join(f"{name} IS NOT DISTINCT FROM ?" for name in schema.NAMES)
    for table in ("generations", "fragments"):
        connection.execute(f"DELETE FROM {table} WHERE asset = ? AND {same}", [asset, *names])
    if asset in schema.COPIED:
        same = " AND ".join(f"{name} = ?" for name in schema.partition_columns(asset))
        connection.execute(f"DELETE FROM {asset} WHERE {same}", list(partition))


def _insert(connection: duckdb.DuckDBPyConnection, made: Sequence[tuple[Generation, Manifest]]) -> None:
    rows: dict[str, list[pa.Table]] = {}
    generations, fragments = [], []
    for generation, manifest in made:
        asset = generation.asset
        try:
            if asset in schema.COPIED:
                table = _with_names(generation, manifest)
                rows.setdefault(asset, []).append(table)
            columns = _columns(generation, manifest)
        except StoreError as error:
            logger.warning("not published: %s", error)
            continue
        generations.append(_generation_row(generation, manifest, columns))
        names = dict(zip(schema.NAMES, schema.names_of(asset, manifest.partition), strict=True))
        fragments += [
            {
                "asset": asset,
                **names,
                "path": f"{generation.folder}/{fragment.name}",
                "num_rows": fragment.num_rows,
                "num_bytes": fragment.num_bytes,
                "sha256": fragment.sha256,
            }
            for fragment in manifest.fragments
        ]
    if generations:
        _append(connection, "generations", pa.Table.from_pylist(generations))
    if fragments:
        _append(connection, "fragments", pa.Table.from_pylist(fragments))
    for asset, tables in rows.items():
        _append(connection, asset, pa.concat_tables(tables))


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    connection.register("incoming", rows)
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
    connection.unregister("incoming")


def _with_names(generation: Generation, manifest: Manifest) -> pa.Table:
    table = conform(generation.read(), SCHEMAS[generation.asset], generation.folder)
    for name, value in zip(schema.partition_columns(generation.asset), manifest.partition, strict=True):
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    return table.replace_schema_metadata(None)


def _columns(generation: Generation, manifest: Manifest) -> list[str]:
    """Those that all fragments have: one that was damaged, and made again by a later version, has more than the others.

    On S3, where looking at each would take long, those of the first and of the last.
    """
    if generation.asset in schema.COPIED or not manifest.fragments:
        return list(SCHEMAS[generation.asset].names)
    fragments = manifest.fragments
    first, *others = fragments if generation.files.locks else {fragments[0]: None, fragments[-1]: None}
    common = generation.column_names(first.index)
    for fragment in others:
        there = set(generation.column_names(fragment.index))
        common = [name for name in common if name in there]
    return common


def _generation_row(generation: Generation, manifest: Manifest, columns: list[str]) -> dict[str, object]:
    names = schema.names_of(generation.asset, manifest.partition)
    as_json = {
        name: json.dumps(_without_places(getattr(manifest, name)), ensure_ascii=False)
        for name in ("inputs", "settings", "facts")
    }
    return {
        "asset": generation.asset,
        **dict(zip(schema.NAMES, names, strict=True)),
        "fingerprint": manifest.fingerprint,
        "num_rows": manifest.num_rows,
        "completed_at": pa.scalar(int(manifest.completed_at * 1_000_000), pa.timestamp("us")).as_py(),
        **as_json,
        "folder": generation.folder,
        "schema_version": manifest.schema_version,
        "columns": columns,
    }


def _without_places(values: Any) -> Any:
    """The values with each absolute path cut to its last name: a catalog holds no path of the machine that made it."""
    if not isinstance(values, dict):
        return values
    return {
        name: PurePosixPath(value).name
        if name in _PLACES and isinstance(value, str) and value.startswith("/")
        else _without_places(value)
        for name, value in values.items()
    }


def _compact(path: Path, files: Files, template: Template) -> None:
    """Write the tables to a new file, because DuckDB does not give back all the space of deleted rows."""
    compacted = path.with_name(f"{path.name}.compacted")
    compacted.unlink(missing_ok=True)
    with _opened(compacted, files, ask=False) as connection:
        connection.execute(f"ATTACH {schema.quoted(str(path))} AS bloated (READ_ONLY)")
        schema.create_tables(connection)
        for table in schema.TABLES_IN_CATALOG:
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM bloated.{table}")
        for asset in schema.VIEWS:
            schema.create_view(connection, asset, template(asset), by_dataset=files.locks)
        schema.create_series_view(connection)
        connection.execute("UPDATE onoff_catalog SET judged_by = (SELECT judged_by FROM bloated.onoff_catalog)")
        connection.execute("DETACH bloated")
    compacted.replace(path)
    _note_fresh_size(path, files)


def _note_fresh_size(path: Path, files: Files) -> None:
    with _opened(path, files) as connection:
        connection.execute("UPDATE onoff_catalog SET fresh_bytes = ?", [path.stat().st_size])


@contextmanager
def _opened(path: Path, files: Files, ask: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch catalog to write. After the block it is a single file, which was opened again and its rows counted:
    DuckDB closes a file without an error on a full disk. `ask` False: the next block will count."""
    with duckdb.connect(path) as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET threads = 1")
        connection.execute(f"SET VARIABLE onoff_store = {schema.quoted(schema.root_of(files))}")
        files.register(connection)
        # Its views and macros may be a stranger's.
        attaching.close_in(connection, files, path.parent)
        yield connection
        counts = _counts(connection, "")
        connection.execute("CHECKPOINT")
    if not ask:
        return
    if (log := attaching.log_of(path)).exists():
        raise StoreError(f"{files.location(CATALOG_NAME)}: {_NOT_WHOLE}, {log.name} was left beside it")
    with attaching.connect() as connection:
        wrong = attaching.attach(connection, path)
        if wrong is None and (found := _counts(connection, "catalog.")) != counts:
            wrong = f"it holds {found} rows where {counts} were written"
    if wrong is not None:
        raise StoreError(f"{files.location(CATALOG_NAME)}: {_NOT_WHOLE}: {wrong}")


def _counts(connection: duckdb.DuckDBPyConnection, of: str) -> dict[str, int]:
    """The number of rows of each table, and the number of views; `of` is the prefix of the attached catalog's names."""
    counts: dict[str, int] = {}
    for table in schema.TABLES_IN_CATALOG:
        ((counts[table],),) = connection.execute(f"SELECT count(*) FROM {of}{table}").fetchall()
    database = "catalog" if of else connection.execute("SELECT current_database()").fetchall()[0][0]
    ((counts["views"],),) = connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE NOT internal AND database_name = ?", [database]
    ).fetchall()
    return counts


@contextmanager
def _explained(files: Files) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        mend = what_it_lacked(error) or "mend the cause"
        raise StoreError(
            f"{files.location(CATALOG_NAME)}: not published ({error}). The results are safe, the catalog is the former "
            f"one. {mend[0].upper()}{mend[1:]}: the next publication has everything"
        ) from error
