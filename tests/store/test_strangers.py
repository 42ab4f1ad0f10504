"""A store that somebody else made: looking at it runs none of their SQL on this machine's files."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from onoff_core.errors import StoreError
from onoff_core.store import (
    CATALOG_NAME,
    Store,
    connect_catalog,
    current_generations,
    publish_catalog,
    reading,
    reading_catalog,
)  # fmt: skip
from onoff_core.store.upkeep import verify
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
