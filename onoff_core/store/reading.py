"""Read the published catalog: one snapshot at a time, whatever is published meanwhile.

A connection sees the snapshot that it was made on. `Catalog` is for programs that read for a long time or from many
threads: each cursor is on the newest snapshot at its time, and belongs to one thread.
"""

import atexit
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import duckdb

from onoff_core.errors import StoreError
from onoff_core.machine import what_it_lacked
from onoff_core.store import attaching, schema
from onoff_core.store.catalog import CATALOG_NAME, fill_private, publish_catalog
from onoff_core.store.files import make_scratch_folder
from onoff_core.store.manifest import Manifest, plain_json, plain_object
from onoff_core.store.provenance import is_imported
from onoff_core.store.store import Store

logger = logging.getLogger(__name__)

_LONGEST_SECONDS = 120.0  # for one of our queries; the tables they read are small


def connect_catalog(store: Store, publish: bool = True) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with the published catalog attached read-only and in use.

    A catalog that is missing is published first. The connection gets a catalog of its own if the store cannot be
    written, if `publish` is False, or if the published one is of no use; the next writer replaces that one.

    The connection sees the store's folder alone: no other file, no network, no extension.
    """
    connection = _connect(store)
    if connection is not None:
        return connection
    there = store.files.version(CATALOG_NAME) is not None
    return _connect_anew(store) if publish and not there else _connect_private(store)


@contextmanager
def reading_catalog(store: Store, publish: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """Like `connect_catalog`, for our own queries: if one fails the catalog is damaged, and the error says so."""
    with _connected(store, publish) as connection:
        limit = threading.Timer(_LONGEST_SECONDS, connection.interrupt)
        limit.daemon = True
        limit.start()
        try:
            yield connection
        except duckdb.InterruptException as error:
            raise StoreError(
                f"{store.files.location(CATALOG_NAME)}: no answer within {_LONGEST_SECONDS:.0f} s; if the store is a "
                "stranger's, do not trust this file: remove it, and it is made again from the results"
            ) from error
        except duckdb.Error as error:
            _raise_if_lacking(store, error)
            raise StoreError(
                f"{store.files.location(CATALOG_NAME)}: damaged ({str(error).splitlines()[0]}); remove this file: it "
                "is made again from the results"
            ) from error
        finally:
            limit.cancel()


def _connected(store: Store, publish: bool) -> duckdb.DuckDBPyConnection:
    try:
        return connect_catalog(store, publish)
    except duckdb.Error as error:
        _raise_if_lacking(store, error)
        raise


def _raise_if_lacking(store: Store, error: duckdb.Error) -> None:
    """A catalog that the machine has no means to read is not damaged."""
    lacked = what_it_lacked(error)
    if lacked is not None:
        raise StoreError(f"{store.files.location(CATALOG_NAME)}: cannot be read now: {lacked}") from error


def _connect(store: Store) -> duckdb.DuckDBPyConnection | None:
    """A connection to the published catalog; None if there is none, or if it is of no use."""
    fetched = store.files.fetch(CATALOG_NAME)
    if fetched is None:
        return None
    connection = attaching.connect()
    try:
        log = attaching.log_of(fetched[0])
        # DuckDB would make its changes in whatever file lies there now, though they were made in a former one.
        wrong = f"{log.name} beside it is another program's" if log.exists() else None
        wrong = wrong or attaching.attach(connection, fetched[0])
    except (duckdb.Error, FileNotFoundError) as error:
        wrong = str(error).splitlines()[0]
    if wrong is None:
        _use(connection, store)
        attaching.close_in(connection, store.files)
        return connection
    connection.close()
    if store.files.version(CATALOG_NAME) not in (fetched[1], None):  # replaced meanwhile: two files were mixed
        return _connect(store)
    logger.warning(
        "%s cannot be used (%s); reading goes on with a catalog of its own. The next run, or onoff prune --yes, "
        "publishes it anew",
        store.files.location(CATALOG_NAME),
        wrong,
    )
    return None


def _connect_anew(store: Store) -> duckdb.DuckDBPyConnection:
    if not store.files.exists(""):  # reading a store that does not exist does not make one
        return _connect_private(store)
    try:
        publish_catalog(store, rebuild=True)
    except StoreError as error:
        logger.warning("%s; reading goes on with a catalog of its own", error)
    else:
        connection = _connect(store)
        if connection is None:
            raise StoreError(f"{store.files.location(CATALOG_NAME)}: gone again while it was opened; try again")
        return connection
    return _connect_private(store)


def _connect_private(store: Store) -> duckdb.DuckDBPyConnection:
    folder = make_scratch_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    connection = attaching.connect()
    connection.execute("ATTACH ':memory:' AS catalog")
    _use(connection, store)
    fill_private(connection, store, folder)
    attaching.close_in(connection, store.files, folder)
    return connection


def _use(connection: duckdb.DuckDBPyConnection, store: Store, register: bool = True) -> None:
    """Prepare a connection, or a cursor of it: its catalog, its variable, its file systems."""
    connection.execute("USE catalog")
    connection.execute(f"SET VARIABLE onoff_store = {schema.quoted(schema.root_of(store.files))}")
    if register:  # file systems belong to the database, not to a cursor
        store.files.register(connection)


class Catalog:
    """The newest published snapshot, for many threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._guard = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._version: str | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new cursor for one thread; it stays on one snapshot, however long it is used. Close it, or use `with`."""
        with self._guard:
            version = self.store.files.version(CATALOG_NAME)
            if self._connection is None or version is None or version != self._version:
                # The former connection is closed when its last cursor is gone.
                self._connection, self._version = connect_catalog(self.store), version
            cursor = self._connection.cursor()
            _use(cursor, self.store, register=False)
            return cursor


@dataclass(frozen=True)
class Current:
    """A current generation, as far as it is known without reading its manifest."""

    fingerprint: str
    inputs: dict[str, str]
    imported: bool  # brought in from elsewhere, so that no setting of the study can make it stale

    @staticmethod
    def of(manifest: Manifest) -> "Current":
        return Current(manifest.fingerprint, manifest.inputs, is_imported(manifest))


def current_generations(
    store: Store, connection: duckdb.DuckDBPyConnection | None = None
) -> dict[tuple[str, tuple[str, ...]], Current]:
    """(asset, partition) -> its current generation, for all at once.

    They come from the catalog and from the notes of changes that are not published yet, so that a thousand partitions
    cost one query. `connection`: one of `reading_catalog`, to read from the same snapshot as other queries.
    """
    with nullcontext(connection) if connection is not None else reading_catalog(store) as catalog:
        rows = catalog.execute(
            f"SELECT asset, {', '.join(schema.NAMES)}, fingerprint, inputs, facts->'imported' FROM generations"
        ).fetchall()
    try:
        found = {
            (asset, tuple(name for name in names if name is not None)): Current(
                fingerprint, plain_object(inputs), imported is not None and bool(plain_json(imported))
            )
            for asset, *names, fingerprint, inputs, imported in rows
        }
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{store.files.location(CATALOG_NAME)}: damaged ({error}); remove this file: it is made again from the "
            "results"
        ) from error
    for change in store.changes():
        try:
            generation = store.current(change.asset, change.partition)
            if generation is not None:
                found[change.asset, change.partition] = Current.of(generation.manifest())
        except StoreError as error:  # as in the catalog, one damaged partition must not hide the others
            logger.warning("left out: %s", error)
            found.pop((change.asset, change.partition), None)
    # Somebody may have removed a folder by hand. On S3 it would take too long to look for each.
    if store.files.locks:
        found = {key: now for key, now in found.items() if _is_there(store, *key, now.fingerprint)}
    return found


def _is_there(store: Store, asset: str, partition: tuple[str, ...], fingerprint: str) -> bool:
    try:
        return store.generation(asset, partition, fingerprint).is_complete
    except StoreError as error:  # a foreign catalog may hold names that are not allowed
        logger.warning("left out: %s", error)
        return False
