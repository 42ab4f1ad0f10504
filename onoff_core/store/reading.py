"""Read the published catalog: one snapshot at a time, whatever is published meanwhile.

A connection sees the snapshot it was made on. `Catalog` is for who reads for a long time or from many threads: each
cursor is on the newest snapshot, and belongs to one thread.
"""

import atexit
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import duckdb

from onoff_core.errors import StoreError
from onoff_core.store import attaching, schema
from onoff_core.store.catalog import CATALOG_NAME, fill_private, publish_catalog
from onoff_core.store.files import make_scratch_folder
from onoff_core.store.manifest import Manifest
from onoff_core.store.provenance import is_imported
from onoff_core.store.store import Store

logger = logging.getLogger(__name__)

_LONGEST_SECONDS = 120.0  # of a question of ours; the tables it asks are small


def connect_catalog(store: Store, publish: bool = True) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with the published catalog attached read-only and in use.

    Published now where it is not there; made for this connection alone of a store that cannot be written, or where
    `publish` is False, or where the one that is there is of no use: that is the next writer's to replace.

    The connection sees the store's folder alone: no other file, no network, no extension.
    """
    connection = _connect(store)
    if connection is not None:
        return connection
    there = store.files.version(CATALOG_NAME) is not None
    return _connect_anew(store) if publish and not there else _connect_private(store)


@contextmanager
def reading_catalog(store: Store, publish: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """As `connect_catalog`, for queries of ours: where they fail the catalog is damaged, and the error says so."""
    with connect_catalog(store, publish) as connection:
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
            raise StoreError(
                f"{store.files.location(CATALOG_NAME)}: damaged ({str(error).splitlines()[0]}); remove this file: it "
                "is made again from the results"
            ) from error
        finally:
            limit.cancel()


def _connect(store: Store) -> duckdb.DuckDBPyConnection | None:
    """None where there is no catalog, or one that is of no use."""
    fetched = store.files.fetch(CATALOG_NAME)
    if fetched is None:
        return None
    connection = attaching.connect()
    try:
        wrong = attaching.attach(connection, fetched[0])
    except (duckdb.Error, FileNotFoundError) as error:
        wrong = str(error).splitlines()[0]
    if wrong is None:
        _use(connection, store)
        attaching.close_in(connection, store.files)
        return connection
    connection.close()
    if store.files.version(CATALOG_NAME) not in (fetched[1], None):  # replaced: then two files were compared
        return _connect(store)
    logger.warning(
        "%s cannot be used (%s); reading goes on with a catalog of its own. The next run, or onoff prune --yes, "
        "publishes it anew",
        store.files.location(CATALOG_NAME),
        wrong,
    )
    return None


def _connect_anew(store: Store) -> duckdb.DuckDBPyConnection:
    if not store.files.exists(""):  # looking at a store that does not exist yet does not make one
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
    """What a connection and each of its cursors has to be told."""
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
        """A cursor of one's own: for one thread, on one snapshot, however long it is used. Close it, or use `with`."""
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
    """A current generation, without having read its manifest."""

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

    From the catalog and the notes of what is not published yet, so that a thousand partitions cost one query.
    `connection`: of `reading_catalog`, for who reads more from the same snapshot.
    """
    with nullcontext(connection) if connection is not None else reading_catalog(store) as catalog:
        rows = catalog.execute(
            "SELECT asset, dataset, model, fingerprint, inputs, facts->'imported' FROM generations"
        ).fetchall()
    found = {
        (asset, tuple(name for name in names if name is not None)): Current(
            fingerprint, json.loads(inputs), imported is not None and bool(json.loads(imported))
        )
        for asset, *names, fingerprint, inputs, imported in rows
    }
    for change in store.changes():
        try:
            generation = store.current(change.asset, change.partition)
            if generation is not None:
                found[change.asset, change.partition] = Current.of(generation.manifest())
        except StoreError as error:  # as in the catalog, one damaged partition must not keep all the others from view
            logger.warning("left out: %s", error)
            found.pop((change.asset, change.partition), None)
    if (
        store.files.locks
    ):  # a folder that somebody removed by hand; on S3 looking for each would cost more than it tells
        found = {key: now for key, now in found.items() if _is_there(store, *key, now.fingerprint)}
    return found


def _is_there(store: Store, asset: str, partition: tuple[str, ...], fingerprint: str) -> bool:
    try:
        return store.generation(asset, partition, fingerprint).is_complete
    except StoreError as error:  # a catalog that somebody else made may name what can be no name
        logger.warning("left out: %s", error)
        return False
