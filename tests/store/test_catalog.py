"""The catalog in every place: what is in it, that it follows the store, and that it can always be made again."""

from pathlib import Path

import duckdb
import pytest

from onoff_core.store import CATALOG_NAME, Catalog, Store, connect_catalog, current_generations, publish_catalog
from onoff_core.store import catalog as catalog_module
from onoff_core.tables import SCHEMAS
from tests.store.making import PROBLEMS, SAMPLES, TOKENS, make_generation, make_partition

RESPONSES = PROBLEMS * SAMPLES
KEY = ("d1", "m1")
COUNTS = {
    "problems": PROBLEMS,
    "samples": RESPONSES,
    "rewards": RESPONSES,
    "statistics": 1,
    "token_distributions": RESPONSES * TOKENS,
    "vocabulary": TOKENS,
    "generations": 6,
    "fragments": 9,
}


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    return found


def no_downloads(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")


def test_every_table_is_there_with_its_rows(store: Store) -> None:
    make_partition(store)
    publish_catalog(store)
    with connect_catalog(store) as connection:
        no_downloads(connection)
        assert {table: count(connection, table) for table in COUNTS} == COUNTS
        joined = connection.execute(
            "SELECT count(*) FROM token_distributions JOIN samples USING (dataset, model, problem_id, sample_index) "
            "JOIN rewards USING (dataset, model, problem_id, sample_index) WHERE dataset = 'd1' AND model = 'm1'"
        ).fetchall()
    assert joined == [(RESPONSES * TOKENS,)]


def test_every_table_view_and_column_has_a_comment(local: Store) -> None:
    make_partition(local)
    with connect_catalog(local) as connection:
        for table in COUNTS:
            tables = "SELECT comment FROM duckdb_tables() WHERE table_name = $1 UNION ALL "
            views = "SELECT comment FROM duckdb_views() WHERE view_name = $1"
            assert all(comment for (comment,) in connection.execute(tables + views, [table]).fetchall()), table
            columns = connection.execute(
                "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ?", [table]
            ).fetchall()
            assert columns
            assert not [name for name, comment in columns if not comment], table


def test_a_publication_adds_changes_and_replaces(store: Store) -> None:
    make_partition(store, "d1", "m1")
    publish_catalog(store)
    make_partition(store, "d1", "m2")
    publish_catalog(store)
    make_generation(store, "samples", KEY, "bbbb2", {"problems": "aaaa1"}, tag="newer")
    publish_catalog(store)
    with connect_catalog(store) as connection:
        assert count(connection, "samples") == 2 * RESPONSES
        assert count(connection, "rewards") == 2 * RESPONSES
        found = connection.execute(
            "SELECT DISTINCT split_part(response, ' answer', 1) FROM samples WHERE dataset = 'd1' AND model = 'm1'"
        ).fetchall()
        assert found == [("newer",)]
        assert count(connection, "generations") == 11
    assert store.changes() == []


def test_a_publication_reads_only_what_changed(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in ("m1", "m2", "m3"):
        make_partition(local, "d1", model)
    publish_catalog(local)
    asked: list[tuple[str, ...]] = []
    current = Store.current

    def spy(self: Store, asset: str, partition: tuple[str, ...]):  # type: ignore[no-untyped-def]
        asked.append((asset, *partition))
        return current(self, asset, partition)

    make_generation(local, "rewards", ("d1", "m2"), "cccc9")
    monkeypatch.setattr(Store, "current", spy)
    publish_catalog(local)
    assert asked == [("rewards", "d1", "m2")]


def test_a_change_of_a_process_that_died_before_publishing_comes_with_the_next(store: Store) -> None:
    make_partition(store, "d1", "m1")
    publish_catalog(store)
    make_partition(store, "d1", "m2")  # dies here
    Store(store.files.location(""))
    make_generation(store, "problems", ("d9",), "aaaa9")
    publish_catalog(store)
    with connect_catalog(store) as connection:
        assert count(connection, "samples") == 2 * RESPONSES


def test_a_note_whose_pointer_is_not_there_yet_stays(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    local.files.write_bytes(".changed/x.json", b'{"asset":"samples","partition":["d1","m1"],"fingerprint":"coming"}')
    publish_catalog(local)
    assert [change.fingerprint for change in local.changes()] == ["coming"]
    make_generation(local, "samples", KEY, "coming")
    publish_catalog(local)
    assert local.changes() == []


def test_deleting_the_catalog_loses_nothing(store: Store) -> None:
    make_partition(store)
    publish_catalog(store)
    store.files.remove(CATALOG_NAME)
    with connect_catalog(store) as connection:
        assert {table: count(connection, table) for table in COUNTS} == COUNTS
    store.files.remove(CATALOG_NAME)
    make_partition(store, "d1", "m2")
    publish_catalog(store)
    with connect_catalog(store) as connection:
        assert count(connection, "samples") == 2 * RESPONSES


@pytest.mark.parametrize("content", [b"", b"not a database", None])
def test_a_damaged_or_older_catalog_is_made_again(local: Store, content: bytes | None) -> None:
    make_partition(local)
    path: Path = local.files.path(CATALOG_NAME)
    for act in (lambda: publish_catalog(local), lambda: None):  # by a write, by a read
        if content is None:
            path.unlink(missing_ok=True)
            with duckdb.connect(path) as connection:
                connection.execute("CREATE TABLE samples (x INTEGER)")
        else:
            path.write_bytes(content)
        act()
        with connect_catalog(local) as connection:
            assert count(connection, "samples") == RESPONSES


def test_one_damaged_partition_does_not_keep_the_others_from_the_catalog(
    local: Store, caplog: pytest.LogCaptureFixture
) -> None:
    make_partition(local, "d1", "m1")
    make_partition(local, "d1", "m2")
    folder = local.require("rewards", KEY).folder
    local.files.path(f"{folder}/00000.parquet").write_bytes(b"PAR1")
    publish_catalog(local)
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT DISTINCT model FROM rewards").fetchall() == [("m2",)]
    assert "rewards/d1/m1/cccc1/00000.parquet" in caplog.text


def test_an_older_file_without_a_nullable_column_reads_null(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make_partition(local, "d1", "m1")
    for asset, column in (("problems", "level"), ("rewards", "extracted_answer"), ("token_distributions", "topk_ids")):
        older = SCHEMAS[asset].remove(SCHEMAS[asset].get_field_index(column))
        with monkeypatch.context() as patch:
            patch.setitem(SCHEMAS, asset, older)
            key = ("d2",) if asset == "problems" else ("d2", "m1")
            make_generation(local, asset, key, "0lder")
    publish_catalog(local)
    with connect_catalog(local) as connection:
        assert count(connection, "rewards") == 2 * RESPONSES
        nulls = "SELECT dataset, count(topk_ids), count(*) FROM token_distributions GROUP BY 1 ORDER BY 1"
        tokens = RESPONSES * TOKENS
        assert connection.execute(nulls).fetchall() == [("d1", tokens, tokens), ("d2", 0, tokens)]
    assert local.require("problems", ("d2",)).read()["level"].null_count == PROBLEMS


def test_the_catalog_does_not_grow_with_publications(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "_SLACK_BYTES", 0)
    make_partition(local)
    publish_catalog(local)
    fresh = local.files.size(CATALOG_NAME)
    for number in range(12):
        make_generation(local, "rewards", KEY, f"f{number}")
        publish_catalog(local)
    assert local.files.size(CATALOG_NAME) <= 2.1 * fresh
    with connect_catalog(local) as connection:
        assert {table: count(connection, table) for table in COUNTS} == COUNTS
        assert connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'samples'").fetchall()[0][0]


def test_a_reader_stays_on_its_snapshot_and_a_new_cursor_is_on_the_newest(store: Store) -> None:
    make_partition(store, "d1", "m1")
    publish_catalog(store)
    catalog = Catalog(store)
    before = catalog.cursor()
    assert count(before, "samples") == RESPONSES
    make_partition(store, "d1", "m2")
    publish_catalog(store)
    after = catalog.cursor()
    assert count(before, "rewards") == count(before, "samples") == RESPONSES
    assert count(after, "rewards") == count(after, "samples") == 2 * RESPONSES


def test_looking_at_a_store_that_is_not_there_does_not_make_one(store: Store) -> None:
    with connect_catalog(store) as connection:
        assert count(connection, "samples") == count(connection, "generations") == 0
    assert not store.files.exists("")


def test_current_generations_know_what_is_not_published_yet(store: Store) -> None:
    make_partition(store)
    publish_catalog(store)
    make_generation(store, "samples", KEY, "bbbb2", {"problems": "aaaa1"})
    found = current_generations(store)
    assert found["samples", KEY].fingerprint == "bbbb2"
    assert found["rewards", KEY].fingerprint == "cccc1"
    assert found["samples", KEY].inputs == {"problems": "aaaa1"}


def test_current_generations_leave_out_a_folder_removed_by_hand(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    local.files.remove("rewards/d1/m1")
    assert ("rewards", KEY) not in current_generations(local)
