"""A store that somebody else made: looking at it runs none of their SQL on this machine's files."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from onoff_core.cli.main import main
from onoff_core.cli.printing import table
from onoff_core.errors import StoreError
from onoff_core.store import (
    CATALOG_NAME,
    Store,
    catalog,
    connect_catalog,
    current_generations,
    publish_catalog,
    reading,
    reading_catalog,
)  # fmt: skip
from onoff_core.store.upkeep import verify
from tests.conftest import MakeProject
from tests.store.making import make_generation, make_partition

KEY = ("d1", "m1")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text("what nobody should read")
    return path


def changed(store: Store, *statements: str) -> None:
    """As a stranger would: the published file, opened to write."""
    with duckdb.connect(store.files.location(CATALOG_NAME)) as connection:
        for statement in statements:
            connection.execute(statement)


def spy(secret: Path) -> str:
    return (
        "SELECT 'samples' AS asset, 'd1' AS dataset, content AS model, 'f' AS fingerprint, 1::BIGINT AS num_rows, "
        "now()::TIMESTAMP AS completed_at, '{}'::JSON AS inputs, '{}'::JSON AS settings, '{}'::JSON AS facts, "
        f"'x' AS folder, 1 AS schema_version, ['x'] AS columns FROM read_text('{secret}')"
    )


@pytest.mark.parametrize(
    "statements",
    [
        lambda secret: ("DROP TABLE generations", f"CREATE VIEW generations AS {spy(secret)}"),
        lambda secret: ("DROP TABLE rewards", "CREATE VIEW rewards AS SELECT * FROM range(1000000000000)"),
        lambda secret: (
            "DROP TABLE onoff_catalog",
            "CREATE VIEW onoff_catalog AS SELECT 3 AS version, 0 AS fresh_bytes",
        ),
        lambda secret: ("ALTER TABLE statistics ADD COLUMN more VARCHAR DEFAULT repeat('x', 1000)",),
        lambda secret: (
            "DROP TABLE fragments",
            "CREATE TABLE fragments(asset VARCHAR, path VARCHAR GENERATED ALWAYS AS (repeat(asset, 1000000000)))",
        ),
    ],
)  # fmt: skip
def test_what_stands_in_a_tables_place_is_not_asked(
    local: Store, secret: Path, statements: Callable[[Path], tuple[str, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    make_partition(local)
    publish_catalog(local)
    expected = current_generations(local)
    changed(local, *statements(secret))
    assert current_generations(local) == expected
    assert "reading goes on with a catalog of its own" in caplog.text
    assert secret.read_text() not in caplog.text


@pytest.mark.parametrize(
    "source",
    [
        "read_text('{secret}')",
        "read_csv('{folder}/*.txt', header = false)",
        "read_text(store_root() || '../secret.txt')",
        "read_text(store_root() || 'samples/link.txt')",
        "glob('/etc/*')",
        "sniff_csv('{secret}')",
    ],
)
def test_a_view_sees_the_stores_folder_alone(local: Store, secret: Path, source: str) -> None:
    make_partition(local)
    publish_catalog(local)
    local.files.path("samples/link.txt").symlink_to(secret)
    local.files.path("ours.txt").write_text("ours")
    query = source.format(secret=secret, folder=secret.parent)
    changed(
        local,
        f"CREATE OR REPLACE MACRO spied() AS TABLE SELECT * FROM query('FROM {query.replace(chr(39), chr(39) * 2)}')",
        "CREATE OR REPLACE MACRO own() AS TABLE SELECT content FROM read_text(store_root() || 'ours.txt')",
    )
    with connect_catalog(local) as connection:
        assert connection.execute("FROM own()").fetchall() == [("ours",)]
        with pytest.raises(duckdb.Error, match=r"disabled by configuration|Access|not exist"):
            connection.execute("FROM spied()").fetchall()
        for statement in (
            f"COPY (SELECT 1) TO '{secret}'",
            f"ATTACH '{secret.parent}/other.duckdb'",
            "SET enable_external_access = true",
            "SET allowed_directories = ['/']",
            "LOAD httpfs",
            "INSTALL httpfs",
            "FROM read_text('https://example.com/x')",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    assert secret.read_text() == "what nobody should read"


def test_a_question_without_end_is_ended(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make_partition(local)
    publish_catalog(local)
    changed(local, "CREATE OR REPLACE VIEW samples AS SELECT sum(a.range) FROM range(10000000) a, range(10000000) b")
    monkeypatch.setattr(reading, "_LONGEST_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(StoreError, match="no answer within 1 s"), reading_catalog(local) as connection:
        connection.execute("FROM samples").fetchall()
    assert time.monotonic() - began < 30


def test_memory_is_bounded(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    with connect_catalog(local) as connection, pytest.raises(duckdb.Error, match="Out of Memory"):
        connection.execute("SELECT length(list(repeat('x', 100000) || range::VARCHAR)::VARCHAR) FROM range(1000000)")


HOSTILE = [
    {"asset": "../../etc"},
    {"partition": ["..", "m1"]},
    {"fingerprint": "/etc"},
    {"inputs": {"problems": "../../../../etc"}},
    {"inputs": {"problems": "/etc"}},
    {"fragments": [{"name": "../00000.parquet", "num_rows": 1, "num_bytes": 1, "sha256": ""}]},
    {"fragments": [{"name": "/etc/00000.parquet", "num_rows": 1, "num_bytes": 1, "sha256": ""}]},
    {"fragments": [{"name": "00000.parquet\n", "num_rows": 1, "num_bytes": 1, "sha256": ""}]},
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_manifest_that_leads_elsewhere_is_refused(local: Store, content: dict[str, object]) -> None:
    make_partition(local)
    path = local.files.path("samples/d1/m1/bbbb1/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    with pytest.raises(StoreError, match=r"not a manifest|says that it is of"):
        local.require("samples", KEY).manifest()
    publish_catalog(local)
    assert ("samples", KEY) not in current_generations(local)
    assert len([found for found in verify(local) if getattr(found, "damaged", False)]) == 1


@pytest.mark.parametrize("name", ["manifest.json", "../current.json"])
def test_a_file_nested_without_end_is_a_clear_error(local: Store, name: str) -> None:
    make_partition(local)
    local.files.path(f"samples/d1/m1/bbbb1/{name}").write_text("[" * 100_000)
    with pytest.raises(StoreError, match="nested too deeply"):
        local.require("samples", KEY).manifest()


def test_a_catalog_may_name_what_is_no_name(local: Store, caplog: pytest.LogCaptureFixture) -> None:
    make_partition(local)
    publish_catalog(local)
    changed(local, "UPDATE generations SET fingerprint = '../../../etc' WHERE asset = 'samples'")
    assert ("samples", KEY) not in current_generations(local)
    assert "is no name of a dataset, a model or a generation" in caplog.text


def test_a_log_beside_the_catalog_is_none_of_it(local: Store) -> None:
    """As DuckDB leaves it beside a file that somebody opened to write and that was replaced meanwhile."""
    make_partition(local)
    publish_catalog(local)
    log = local.files.path(f"{CATALOG_NAME}.wal")
    log.write_bytes(b"another file's")
    expected = current_generations(local)
    assert len(expected) == 6
    make_generation(local, "rewards", KEY, "cccc2")
    publish_catalog(local)
    assert not log.exists()
    assert current_generations(local)["rewards", KEY].fingerprint == "cccc2"


def test_a_log_of_a_former_catalog_changes_nothing_in_this_one(local: Store) -> None:
    """DuckDB would do to the new file what another program did to the old one before it was killed."""
    make_partition(local)
    publish_catalog(local)
    log = local.files.path(f"{CATALOG_NAME}.wal")
    with duckdb.connect(local.files.path(CATALOG_NAME)) as other:
        make_generation(local, "rewards", KEY, "cccc2")
        publish_catalog(local)
        other.execute("DELETE FROM generations")
        left = log.read_bytes()
    log.write_bytes(left)
    assert current_generations(local)["rewards", KEY].fingerprint == "cccc2"
    publish_catalog(local)  # nothing has changed
    assert not log.exists()


@pytest.mark.parametrize(
    "macro",
    [
        "list_has_all(a, b) AS (SELECT content = '' FROM read_text('{secret}'))",
        "list_contains(a, b) AS (SELECT count(*) > 0 FROM range(100000000000))",
        "count(a) AS 7",
        "duckdb_views() AS TABLE SELECT content AS internal FROM read_text('{secret}')",
    ],
)
def test_a_macro_in_a_functions_place_is_not_called(
    local: Store, secret: Path, macro: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by readers nor by who publishes next."""
    make_partition(local)
    publish_catalog(local)
    expected = current_generations(local)
    changed(local, f"CREATE MACRO {macro.format(secret=secret)}")
    secret.unlink()  # whoever calls it fails
    assert current_generations(local) == expected
    assert "stands in a function's place" in caplog.text
    make_generation(local, "samples", KEY, "bbbb2", {"problems": "aaaa1"})
    publish_catalog(local)
    assert current_generations(local)["samples", KEY].fingerprint == "bbbb2"
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT count(*) FROM generations").fetchall() == [(6,)]


def test_who_publishes_sees_the_stores_folder_alone(local: Store, secret: Path) -> None:
    """Also where one of our own macros was replaced: it is asked for when a view is made anew."""
    make_partition(local)
    publish_catalog(local)
    changed(local, f"CREATE OR REPLACE MACRO store_root() AS (SELECT content FROM read_text('{secret}'))")
    with catalog._opened(local.files.path(CATALOG_NAME), local.files, ask=False) as connection:
        with pytest.raises(duckdb.Error, match="disabled by configuration"):
            connection.execute("SELECT store_root()").fetchall()
        assert connection.execute("SELECT count(*) FROM generations").fetchall() == [(6,)]
    make_generation(local, "samples", KEY, "bbbb2", {"problems": "aaaa1"})
    publish_catalog(local)
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(12,)]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("inputs = repeat('[', 100000) || repeat(']', 100000)", "nested too deeply"),
        ("inputs = '[1]'", "no values by name"),
        ("inputs = NULL", "damaged"),
    ],
)
def test_values_that_are_none_are_a_clear_error(local: Store, values: str, said: str) -> None:
    make_partition(local)
    publish_catalog(local)
    changed(local, f"UPDATE generations SET {values}")
    with pytest.raises(StoreError, match=f"{said}.*remove this file"):
        current_generations(local)
    changed(local, "UPDATE onoff_catalog SET fresh_bytes = NULL")
    make_generation(local, "rewards", KEY, "cccc2")
    publish_catalog(local)


@pytest.mark.parametrize(
    "content",
    [
        {"fragments": [{"name": "00000.parquet", "num_rows": 10**30, "num_bytes": 1, "sha256": ""}]},
        {"fragments": [{"name": f"{'9' * 5000}.parquet", "num_rows": 1, "num_bytes": 1, "sha256": ""}]},
        {"completed_at": float("nan")},
        {"facts": []},
        {"schema_version": -5},
    ],
)  # fmt: skip
def test_a_manifest_of_impossible_numbers_is_refused_and_holds_up_no_publication(
    local: Store, content: dict[str, object]
) -> None:
    make_partition(local)
    path = local.files.path("samples/d1/m1/bbbb1/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    with pytest.raises(StoreError, match=r"not a manifest|written by an older"):
        local.require("samples", KEY).manifest()
    publish_catalog(local)
    assert ("samples", KEY) not in current_generations(local)
    assert ("rewards", KEY) in current_generations(local)


@pytest.mark.parametrize("content", ['{"attempts": "x"}', "[1]", "null", '{"attempts": 1e999}', "{"])
def test_a_beginning_that_is_none_is_a_clear_error(local: Store, content: str) -> None:
    writing = local.generation("samples", KEY, "ffff")
    writing.begin({})
    local.files.path("samples/d1/m1/ffff/begun.json").write_text(content)
    with pytest.raises(StoreError, match=r"begun.json: damaged .*; remove the folder to begin again"):
        writing.count_attempt()


@pytest.mark.parametrize("name", ["bbbb1/manifest.json", "current.json", "bbbb1/00000.parquet"])
def test_a_pipe_in_a_files_place_is_not_waited_for(local: Store, name: str) -> None:
    make_partition(local)
    path = local.files.path(f"samples/d1/m1/{name}")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="it is no file"):
        local.require("samples", KEY).read()
    publish_catalog(local)
    assert len([found for found in verify(local) if getattr(found, "damaged", False)]) == 1


def test_names_that_are_none_are_nobodys(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Of folders in a store that somebody handed on: they hold up nothing, and command no terminal."""
    store = Store(str(make_project() / "store"))
    make_partition(store)
    for name in ("a\x1b[2J", "a\nb", "a\u202e", "it's; --", "*", "two words"):
        shutil.copytree(store.files.path("samples/d1"), store.files.path(f"samples/{name}"))
        shutil.copytree(store.files.path("samples/d1/m1"), store.files.path(f"samples/d1/{name}"))
        shutil.copytree(store.files.path("samples/d1/m1/bbbb1"), store.files.path(f"samples/d1/m1/{name}"))
    store.files.path("samples/d1/m1/bbbb1/strange\x1b]0;x").write_text("x")
    publish_catalog(store)
    assert len(current_generations(store)) == 6
    for command in (["status", "--all"], ["usage"], ["verify"], ["prune", "--unfinished", "--yes"]):
        assert main(command) == 0
        shown = capsys.readouterr().out
        assert not {"\x1b", "\u202e", "a\nb"} & {text for text in ("\x1b", "\u202e", "a\nb") if text in shown}
        assert ("\\x1b[2J: a foreign folder" in shown) == (command == ["verify"])
    assert store.files.path("samples/two words").is_dir()


def test_a_table_commands_no_terminal() -> None:
    assert table(["a"], [["x\x1b[2J\ny\u202e"]]).splitlines()[2] == "x\\x1b[2J\\ny\\u202e"
