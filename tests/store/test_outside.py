"""The store from outside: SQL wherever the folder lies, the documents' queries, and the files read as they are."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from onoff_core.store import CATALOG_NAME, Store, connect_catalog, publish_catalog
from onoff_core.tables import OPTIONAL_ASSETS
from tests.conftest import ROOT
from tests.store.conftest import environment
from tests.store.making import PROBLEMS, SAMPLES, TOKENS, make_generation, make_partition

RESPONSES = PROBLEMS * SAMPLES


# Queries of these are run by the tests of the assets that are made where settings ask for them.
_OPTIONAL = {table.name for asset in OPTIONAL_ASSETS for table in asset.tables}


def documented_queries() -> list[str]:
    pages = (ROOT / "README.md", ROOT / "docs" / "sql.md")
    queries = [query for page in pages for query in re.findall(r"```sql\n(.*?)```", page.read_text(), flags=re.DOTALL)]
    return [query for query in queries if not _OPTIONAL & set(re.findall(r"\w+", query))]


@pytest.fixture
def two_models(local: Store) -> Store:
    for model in ("m1", "m2"):
        make_partition(local, "d1", model)
    make_generation(local, "rewards", ("d1", "m2"), "cccc2", {"samples": "bbbb1"})
    publish_catalog(local)
    return local


def outside(store: Store, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(store.files.location(CATALOG_NAME), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_the_documents_have_six_queries() -> None:
    assert len(documented_queries()) == 6


@pytest.mark.parametrize("number", range(6))
def test_a_query_of_the_readme_answers(two_models: Store, number: int) -> None:
    assert outside(two_models, documented_queries()[number]) != []


def test_moving_the_folder_breaks_nothing(two_models: Store, tmp_path: Path) -> None:
    moved = tmp_path / "else where" / "it's here"
    moved.parent.mkdir()
    shutil.move(str(two_models.root), moved)
    counts = "SELECT (SELECT count(*) FROM samples), (SELECT count(*) FROM token_distributions)"
    script = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).execute(sys.argv[2]).fetchall())"
    for folder, path in (
        (moved, CATALOG_NAME),
        (moved.parent, f"{moved.name}/{CATALOG_NAME}"),
        (ROOT, moved / CATALOG_NAME),
    ):
        command = [sys.executable, "-c", script, str(path), counts]
        done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"[({2 * RESPONSES}, {2 * RESPONSES * TOKENS})]"


def test_no_absolute_path_is_in_the_store(two_models: Store) -> None:
    inside = str(two_models.root).encode()
    files = [path for path in Path(two_models.root).rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if inside in path.read_bytes()]


def test_attached_to_another_database_it_asks_for_the_folder(two_models: Store) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{two_models.files.location(CATALOG_NAME)}' AS results (READ_ONLY)")
        with pytest.raises(duckdb.Error, match="SET VARIABLE onoff_store"):
            connection.execute("SELECT count(*) FROM results.samples")
        connection.execute(f"SET VARIABLE onoff_store = '{two_models.root}/'")
        assert connection.execute("SELECT count(*) FROM results.samples").fetchall() == [(2 * RESPONSES,)]
        assert connection.execute("SELECT count(*) FROM results.samples_of('d1', 'm2')").fetchall() == [(RESPONSES,)]


@pytest.mark.parametrize("temporary", ["", "/elsewhere", "/elsewhere/mine.duckdb.tmp"])
def test_where_duckdb_spills_elsewhere_it_asks_for_the_folder(two_models: Store, temporary: str) -> None:
    """As it does in a session on another database's file."""
    with duckdb.connect(two_models.files.location(CATALOG_NAME), read_only=True) as connection:
        connection.execute(f"SET temp_directory = '{temporary}'")
        with pytest.raises(duckdb.Error, match=r"say where the store is .*SET VARIABLE onoff_store"):
            connection.execute("SELECT count(*) FROM samples")
        connection.execute(f"SET VARIABLE onoff_store = '{two_models.root}/'")
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(2 * RESPONSES,)]
        assert connection.execute("SELECT count(*) FROM samples_of('d1', 'm2')").fetchall() == [(RESPONSES,)]


def test_a_second_store_in_a_session_is_not_read_from_the_first(two_models: Store, tmp_path: Path) -> None:
    """Their results may have the same names."""
    other = Store(str(tmp_path / "other"))
    make_partition(other, "d1", "m1")
    publish_catalog(other)
    with duckdb.connect(two_models.files.location(CATALOG_NAME), read_only=True) as connection:
        connection.execute(f"ATTACH '{other.files.location(CATALOG_NAME)}' AS other (READ_ONLY)")
        assert connection.execute("SELECT count(*) FROM other.rewards").fetchall() == [(RESPONSES,)]
        with pytest.raises(duckdb.Error, match=r"No files found that match the pattern .*/schema/samples-"):
            connection.execute("SELECT count(*) FROM other.samples")
        connection.execute(f"SET VARIABLE onoff_store = '{other.root}/'")
        assert connection.execute("SELECT count(*) FROM other.samples").fetchall() == [(RESPONSES,)]


def test_a_store_moved_to_a_path_that_duckdb_takes_for_a_pattern_is_not_read_wrong(
    two_models: Store, tmp_path: Path
) -> None:
    like = Store(str(tmp_path / "run1" / "store"))
    make_partition(like, "d1", "m1")
    publish_catalog(like)
    moved = tmp_path / "run[12]" / "store"
    moved.parent.mkdir()
    shutil.move(str(two_models.root), moved)
    with (
        duckdb.connect(moved / CATALOG_NAME, read_only=True) as connection,
        pytest.raises(duckdb.Error, match=r"say where the store is \(no \* \? \[ in its path\)"),
    ):
        connection.execute("SELECT count(*) FROM samples")


def test_the_catalog_of_a_store_on_s3_downloaded(bucket, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Without onoff: `catalog.duckdb` copied anywhere, DuckDB with fsspec, one variable."""
    import fsspec

    url = bucket("localbucket")
    store = Store(url)
    make_partition(store)
    publish_catalog(store)
    files = fsspec.filesystem("s3")
    files.get(f"{url}/catalog.duckdb", str(tmp_path / "copy.duckdb"))
    with duckdb.connect(tmp_path / "copy.duckdb", read_only=True) as connection:
        connection.execute("SET autoinstall_known_extensions = false")
        connection.register_filesystem(files)
        connection.execute(f"SET VARIABLE onoff_store = '{url}/'")
        assert connection.execute("SELECT count(*) FROM token_distributions").fetchall() == [(RESPONSES * TOKENS,)]


def test_pandas_polars_and_datasets_read_the_files_as_they_are(
    two_models: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas
    import polars

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    for asset, rows in (("samples", RESPONSES), ("rewards", RESPONSES), ("token_distributions", RESPONSES * TOKENS)):
        generation = two_models.require(asset, ("d1", "m1"))
        folder = two_models.files.location(generation.folder)
        pattern = f"{folder}/*.parquet"
        names = set(generation.read().schema.names)
        frame = polars.read_parquet(pattern)
        assert (len(frame), set(frame.columns)) == (rows, names)
        paths = [os.path.join(folder, fragment.name) for fragment in generation.manifest().fragments]
        many = pandas.concat([pandas.read_parquet(path) for path in paths])
        assert (len(many), set(many.columns)) == (rows, names)
        loaded = datasets.load_dataset("parquet", data_files=pattern, split="train", cache_dir=str(tmp_path / "cache"))
        assert (len(loaded), set(loaded.column_names)) == (rows, names)


def test_cursors_of_many_threads_give_right_answers(two_models: Store) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from onoff_core.store import Catalog

    catalog = Catalog(two_models)

    def ask(number: int) -> int:
        with catalog.cursor() as cursor:
            query = "SELECT count(*) * ? FROM samples JOIN rewards USING (dataset, model, problem_id, sample_index)"
            found: int = cursor.execute(query, [number]).fetchall()[0][0]
            return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [2 * RESPONSES * number for number in range(40)]


def test_a_connection_is_read_only(two_models: Store) -> None:
    with connect_catalog(two_models) as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("DELETE FROM rewards")
