"""The catalog in every place: what is in it, that it follows the store, and that it can always be made again."""

from pathlib import Path

import duckdb
import pytest

from onoff_core.store import CATALOG_NAME, Catalog, Store, connect_catalog, current_generations, publish_catalog, schema
from onoff_core.store import catalog as catalog_module
from onoff_core.store.upkeep import prune, removable, remove_leftovers, verify
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


@pytest.mark.parametrize("asset", ["samples", "token_distributions"])
def test_one_partition_by_its_macro_is_the_view_where_it_is_that_one(store: Store, asset: str) -> None:
    for partition in (("d1", "m1"), ("d1", "m10"), ("d2", "m1")):
        make_generation(store, asset, partition, "f1")
    publish_catalog(store)
    with connect_catalog(store) as connection:
        view = connection.execute(f"SELECT * FROM {asset} WHERE dataset = 'd1' AND model = 'm1' ORDER BY ALL")
        columns, rows = view.description, view.fetchall()
        macro = connection.execute(f"SELECT * FROM {asset}_of($1, $2) ORDER BY ALL", ["d1", "m1"])
        assert macro.description == columns
        assert macro.fetchall() == rows != []
        for nothing in ("'d1', 'm9'", "'d1', NULL", "NULL, 'm1'", "'d', '1/m1'"):
            assert connection.execute(f"SELECT * FROM {asset}_of({nothing})").fetchall() == []
        comment = "SELECT comment FROM duckdb_functions() WHERE function_name = ?"
        assert connection.execute(comment, [f"{asset}_of"]).fetchall() == [(f"{asset} of one dataset and model",)]


def test_other_partitions_files_are_not_looked_up(local: Store) -> None:
    """That is what a query would otherwise spend its time with: files are gone, and it does not notice.

    DuckDB looks up the first file of each branch of a view, and by the macro none of others.
    """
    for dataset, model in (("d1", "m1"), ("d1", "m2"), ("d2", "m1")):
        make_partition(local, dataset, model)
    publish_catalog(local)
    local.files.remove("samples/d2/m1/bbbb1/00001.parquet")
    with connect_catalog(local) as connection:
        by_model = "SELECT model, count(*) FROM samples WHERE dataset = 'd1' GROUP BY model ORDER BY model"
        assert connection.execute(by_model).fetchall() == [("m1", RESPONSES), ("m2", RESPONSES)]
        joined = "SELECT count(*) FROM rewards JOIN samples USING (dataset, model, problem_id, sample_index) WHERE "
        assert connection.execute(f"{joined} dataset = 'd1'").fetchall() == [(2 * RESPONSES,)]
        with pytest.raises(duckdb.Error, match="No files found"):
            count(connection, "samples")
        local.files.remove("samples/d1/m2")
        local.files.remove("samples/d2")
        assert count(connection, "samples_of('d1', 'm1')") == RESPONSES


def test_a_view_of_very_many_data_sets_is_the_same(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_MOST_BRANCHES", 2)
    found = []
    for dataset in ("d1", "d2", "d3"):
        make_partition(local, dataset)
        publish_catalog(local)
        with connect_catalog(local) as connection:
            by_dataset = "SELECT dataset, model, count(*) FROM samples GROUP BY ALL ORDER BY ALL"
            found.append(connection.execute(by_dataset).fetchall())
            branches = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'samples'").fetchall()[0][0]
            assert branches.count("read_parquet") == (len(found) if len(found) <= 2 else 1)
    assert found[2] == [(dataset, "m1", RESPONSES) for dataset in ("d1", "d2", "d3")]
    assert found == [found[2][:1], found[2][:2], found[2]]


def test_what_the_views_start_from_is_mended_by_a_publication(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    (template,) = local.files.path("schema").glob("samples-*.parquet")
    template.write_bytes(b"not Parquet")
    make_partition(local, "d1", "m2")
    publish_catalog(local)
    assert list(local.files.path("schema").glob("samples-*")) == [template]
    with connect_catalog(local) as connection:
        assert count(connection, "samples") == 2 * RESPONSES


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
    local.files.write_bytes("changed/x.json", b'{"asset":"samples","partition":["d1","m1"],"fingerprint":"coming"}')
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


def test_current_generations_leave_a_damaged_partition_out_aloud(
    local: Store, caplog: pytest.LogCaptureFixture
) -> None:
    make_partition(local)
    publish_catalog(local)
    make_generation(local, "rewards", KEY, "cccc2")
    local.files.write_bytes("rewards/d1/m1/current.json", b'{"fingerprint": 5}')
    found = current_generations(local)
    assert ("rewards", KEY) not in found
    assert found["samples", KEY].fingerprint == "bbbb1"
    assert "rewards/d1/m1/current.json: damaged (5 is no name); remove it and materialize rewards" in caplog.text


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
    assert list(verify(store)) == prune(store, removable(store)) == []
    assert remove_leftovers(store) == 0
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
