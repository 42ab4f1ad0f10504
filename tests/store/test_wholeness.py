"""Whether a catalog is whole: an intact one is never called damaged, and one without room never takes its place."""

import logging
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from onoff_core.store import CATALOG_NAME, Store, connect_catalog, current_generations, publish_catalog
from tests.store.conftest import environment
from tests.store.making import filled, make_generation, make_partition


def test_an_intact_catalog_is_never_called_damaged(local: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Free blocks at the end of the file may never have been written: its size is not the number of its blocks."""
    draw = random.Random(0)
    for number in range(15):
        for part in range(draw.randint(1, 4)):
            partition = (f"d{draw.randint(1, 4)}", f"m{draw.randint(1, 6)}")
            rows = [
                {"problem_id": f"p{row}", "sample_index": 0, "status": "wrong", "extracted_answer": str(draw.random())}
                for row in range(draw.randint(1, 3000))
            ]
            generation = local.generation("rewards", partition, f"f{number}x{part}")
            generation.write_fragment(0, [filled("rewards", rows)])
            generation.complete({}, {"x": "y" * draw.randint(1, 3000)}, {})
            local.make_current(generation)
        publish_catalog(local)
        published = local.files.version(CATALOG_NAME)
        with connect_catalog(local) as connection:
            assert connection.execute("SELECT count(*) FROM rewards").fetchall() != [(0,)]
        assert local.files.version(CATALOG_NAME) == published
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("table", ["generations", "rewards"])
def test_a_file_that_lacks_a_block_of_any_table_is_seen(local: Store, table: str) -> None:
    """Asked from within: cut off right behind the last block that is used it is whole, and one byte less is not."""
    make_partition(local)
    for number in range(400):
        make_generation(local, "statistics", ("d1", f"m{number}"), f"f{number}")
    publish_catalog(local)
    path = local.files.path(CATALOG_NAME)
    with connect_catalog(local) as connection:
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
    path.write_bytes(path.read_bytes()[:-1])
    with connect_catalog(local) as connection:
        assert connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() == rows
        assert connection.execute("SELECT path FROM duckdb_databases() WHERE database_name = 'catalog'").fetchall() == [
            (None,)
        ]


def test_a_reader_never_replaces_a_catalog(local: Store) -> None:
    """Whatever is wrong with it: of another version, no catalog at all, somebody else's tables."""
    make_partition(local)
    expected = current_generations(local)
    path = local.files.path(CATALOG_NAME)
    whole = path.read_bytes()
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE onoff_catalog SET version = 1")
    former = path.read_bytes()
    for content in (former, b"no catalog", whole[:5000]):
        path.write_bytes(content)
        assert current_generations(local) == expected
        assert path.read_bytes() == content
    publish_catalog(local)
    assert path.stat().st_size == len(whole)


# Files may grow so far and no further: what a nearly full disk does, for this process alone.
NEARLY_FULL = """
import resource, signal, sys
from onoff_core.errors import StoreError
from onoff_core.store import Store, publish_catalog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    publish_catalog(Store(sys.argv[1]))
    print("published")
except StoreError as error:
    print("StoreError", error)
"""


def asked(store: Store) -> str:
    """What stands in the catalog's place."""
    path = store.files.path(CATALOG_NAME)
    if not path.exists():
        return "nothing"
    with duckdb.connect(path, read_only=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM generations").fetchall()[0]
        return f"{count} generations"


@pytest.mark.parametrize("kilobytes", [50, 100, 200, 400, 700, 1000, 1300, 1500, 2500, 9000])
@pytest.mark.parametrize("former", [False, True])
def test_what_has_no_room_is_not_published(local: Store, kilobytes: int, former: bool) -> None:
    """Made from nothing, or gone on from a former one: published means that the file was opened and has its tables."""
    make_partition(local)
    if former:
        publish_catalog(local)
        make_generation(local, "rewards", ("d1", "m2"), "cccc1")
    command = [sys.executable, "-c", NEARLY_FULL, str(local.root), str(kilobytes * 1000)]
    said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
    if said.startswith("published"):
        assert asked(local) == ("7 generations" if former else "6 generations")
    else:
        assert "results are safe" in said or "nothing of it was kept" in said
        assert asked(local) == ("6 generations" if former else "nothing")
    assert said.startswith("published") == (kilobytes == 9000)
    assert not [path for path in Path(local.root).rglob("*") if ".tmp-" in path.name or path.suffix == ".wal"]
    publish_catalog(local)  # there is room again
    assert asked(local) == ("7 generations" if former else "6 generations")


@pytest.mark.parametrize("kilobytes", [100, 300, 500, 700, 900, 1100, 1300, 1500])
def test_on_a_disk_with_little_room_it_is_the_same(local: Store, tmp_path: Path, kilobytes: int) -> None:
    """A small file system of its own, where the system lets one be made."""
    disk = tmp_path / "disk"
    disk.mkdir()
    make_partition(local)
    results = sum(path.stat().st_size // 4096 * 4 + 4 for path in Path(local.root).rglob("*"))
    script = (
        f"mount -t tmpfs -o size={results + kilobytes + 64}k onoff {disk} && cp -r {local.root} {disk}/store && "
        f'"$0" -c "$1" {disk}/store 0; ls {disk}/store; cp {disk}/store/catalog.duckdb {tmp_path}/published 2>/dev/null'
    )
    command = ["unshare", "-m", "sh", "-c", script, sys.executable, NEARLY_FULL]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if "StoreError" not in done.stdout and "published" not in done.stdout:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert ".wal" not in done.stdout
    if (tmp_path / "published").exists():
        with duckdb.connect(tmp_path / "published", read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM generations").fetchall() == [(6,)]
    else:
        assert "StoreError" in done.stdout
