"""A full disk, a store one can only read, a writer that dies while publishing: clear errors, and nothing lost."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onoff_core.errors import StoreError
from onoff_core.store import CATALOG_NAME, Store, connect_catalog, current_generations, publish_catalog, reading_catalog
from onoff_core.store.upkeep import verify
from onoff_core.study.reading import resolve_store_path
from onoff_core.study.settings import StoreSettings
from tests.store.conftest import environment
from tests.store.making import filled, make_generation, make_partition

KEY = ("d1", "m1")

# Files may grow to 20 kB and no further: what a full disk does, for this process alone.
FULL = """
import resource, signal, sys
from onoff_core.errors import StoreError
from onoff_core.store import Store, publish_catalog
from tests.store.making import fragment_table, make_generation
import pyarrow as pa
store = Store(sys.argv[1])
big = pa.concat_tables([fragment_table("samples", 0, str(i) * 50) for i in range(4000)])
make_generation(store, "rewards", ("d1", "m1"), "cccc2")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
writing = store.generation("samples", ("d1", "m9"), "f1")
for act in (lambda: writing.write_fragment(0, [big]), lambda: publish_catalog(store)):
    try:
        act()
        print("no error")
    except StoreError as error:
        print("StoreError:", str(error).replace(chr(10), " "))
"""

# Reads another store first, so that everything is imported when the process gives up its rights (root has all).
READ = """
import os, sys
from onoff_core.store import Store, connect_catalog, current_generations
from onoff_core.store.upkeep import verify

def read(store):
    counts = []
    with connect_catalog(store) as connection:
        for table in ("samples", "rewards", "token_distributions"):
            counts.append(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
    rows = store.require("samples", ("d1", "m1")).read().num_rows
    return [*counts, rows, len(current_generations(store)), len(list(verify(store)))]

read(Store(sys.argv[2]))
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
store = Store(sys.argv[1])
try:
    open(store.files.path("probe"), "w")
    print("writable")
except PermissionError:
    print(*read(store))
try:
    store.generation("samples", ("d1", "m2"), "f").begin({})
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_is_a_clear_error_and_loses_nothing(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    command = [sys.executable, "-c", FULL, str(local.root)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    fragment, catalog = done.stdout.splitlines()
    assert fragment.startswith("StoreError:")
    assert "00000.parquet: cannot be written" in fragment
    assert "File too large" in fragment
    assert "run the same again" in fragment
    assert catalog.startswith("StoreError:")
    assert "The results are safe" in catalog or "nothing of it was kept" in catalog
    assert local.generation("samples", ("d1", "m9"), "f1").fragment_indices() == set()
    assert not list(Path(local.root).rglob(".tmp-*"))
    with connect_catalog(local) as connection:  # the former catalog is still there
        assert connection.execute("SELECT fingerprint FROM generations WHERE asset = 'rewards'").fetchall() == [
            ("cccc1",)
        ]
    publish_catalog(local)  # there is room again
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT fingerprint FROM generations WHERE asset = 'rewards'").fetchall() == [
            ("cccc2",)
        ]


@pytest.fixture
def readable() -> Iterator[Store]:
    """A store where a process without rights can read, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/store")
        make_partition(store)
        publish_catalog(store)
        yield store
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize("with_catalog", [True, False])
def test_a_store_that_is_only_readable_can_be_read(readable: Store, local: Store, with_catalog: bool) -> None:
    if not with_catalog:
        readable.files.remove(CATALOG_NAME)
    root = Path(readable.root)
    root.parent.chmod(0o755)
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    make_partition(local)
    command = [sys.executable, "-c", READ, str(root), str(local.root)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts, error = done.stdout.splitlines()
    assert counts == "12 12 60 12 6 6"
    assert error.startswith("StoreError")
    assert "Permission denied" in error


def test_a_publisher_that_is_killed_leaves_the_former_catalog(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    make_generation(local, "rewards", KEY, "cccc2")
    script = (
        "import os, signal, sys\nfrom onoff_core.store import Store, catalog\n"
        "catalog.schema.create_view = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "real = catalog._insert\n"
        "catalog._insert = lambda *a: (real(*a), os.kill(os.getpid(), signal.SIGKILL))\n"
        "catalog.publish_catalog(Store(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(local.root)], env=environment(), capture_output=True)
    assert done.returncode == -9, done.stderr
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT fingerprint FROM generations WHERE asset = 'rewards'").fetchall() == [
            ("cccc1",)
        ]
    publish_catalog(local)
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT fingerprint FROM generations WHERE asset = 'rewards'").fetchall() == [
            ("cccc2",)
        ]


def test_a_store_path_that_is_no_place_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="a folder or an s3:// URL"):
        Store("ftp://somewhere/store")
    monkeypatch.setenv("ONOFF_STORE", "s3://")  # and not the folder "s3:"
    with pytest.raises(StoreError, match="s3://bucket/folder"):
        Store(resolve_store_path(StoreSettings(), tmp_path))
    (tmp_path / "file").write_text("not a folder")
    for path in (tmp_path / "file", Path("/dev/null")):
        with pytest.raises(StoreError, match="is no folder; a store is a folder"):
            Store(str(path))
    with pytest.raises(StoreError, match="cannot be written"):
        make_partition(Store(str(tmp_path / "file" / "store")))


@pytest.mark.parametrize("name", ["run*", "s[1]", "what?", "**"])
def test_a_path_that_duckdb_takes_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    """It would read the files of folders that match, too: wrong rows without an error."""
    with pytest.raises(StoreError, match=r"takes \* \? \[ in a path for patterns"):
        Store(str(tmp_path / name / "store"))


@pytest.mark.parametrize("name", ["two\nlines", "a\ttab", "bell\a", "\x1b"])
def test_a_path_that_cannot_be_printed_is_refused(tmp_path: Path, name: str) -> None:
    """It would part the sentences that name it, and the catalog's lists of files."""
    with pytest.raises(StoreError, match="a character that cannot be seen"):
        Store(str(tmp_path / name))


def test_what_cannot_be_looked_at_is_not_taken_for_missing(local: Store) -> None:
    make_partition(local)
    pointer = local.files.path("samples/d1/m1/current.json")
    pointer.unlink()
    assert local.current("samples", KEY) is None
    pointer.symlink_to(pointer)  # looking it up fails, as without permission (root has all of those)
    with pytest.raises(StoreError, match=r"current\.json: cannot be read"):
        local.current("samples", KEY)


ASIDE = """
import os, sys
from onoff_core.errors import StoreError
from onoff_core.store import Store
Store(sys.argv[2]).require("samples", ("d1", "m1")).damage()
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    print(Store(sys.argv[1]).require("samples", ("d1", "m1")).set_aside_damaged())
except StoreError as error:
    print(error)
"""


def test_a_fragment_that_cannot_be_opened_is_not_taken_for_damaged(readable: Store, local: Store) -> None:
    make_partition(local)
    folder = readable.files.path("samples/d1/m1/bbbb1")
    for path in (Path(readable.root).parent, *folder.parents[:4], folder):
        path.chmod(0o777)
    (folder / "00001.parquet").chmod(0)
    command = [sys.executable, "-c", ASIDE, str(readable.root), str(local.root)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert "00001.parquet: cannot be read (Permission denied)" in done.stdout
    assert sorted(path.name for path in folder.glob("*.parquet*")) == ["00000.parquet", "00001.parquet"]


def test_foreign_notes_and_folders_do_not_stop_a_publication(local: Store, caplog: pytest.LogCaptureFixture) -> None:
    make_partition(local)
    local.files.write_bytes("changed/README.json", b"hello")
    for number, note in enumerate(
        (
            None,
            [1],
            {"asset": "samples", "partition": ["d1"], "fingerprint": "x"},
            {"asset": "samples", "partition": [1, 2], "fingerprint": "x"},
            {"asset": "samples", "partition": ["..", "m1"], "fingerprint": "x"},
            {"asset": "of a newer version", "partition": ["d1"], "fingerprint": "x"},
            {"asset": "samples", "partition": ["d1", "m1"], "fingerprint": None},
        )
    ):
        local.files.write_bytes(f"changed/{number}.json", json.dumps(note).encode())
    local.files.path("changed/folder").mkdir()
    local.files.path("samples/mine/deep/deeper").mkdir(parents=True)
    (local.files.path("rewards") / "a file").write_text("x")
    publish_catalog(local)
    for name in ("README.json", *(f"{number}.json" for number in range(7)), "folder"):
        assert f"{name} is a foreign file" in caplog.text
    assert {change.asset for change in local.changes()} == set()
    assert len(current_generations(local)) == 6
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT count(*) FROM generations").fetchall() == [(6,)]
    assert [found for found in verify(local) if getattr(found, "damaged", False)] == []


@pytest.mark.parametrize("left", [0.5, 0.95])
def test_a_catalog_that_is_cut_off_is_made_again_by_a_writer_alone(
    local: Store, left: float, caplog: pytest.LogCaptureFixture
) -> None:
    """DuckDB opens it all the same, and fails at the first block that it misses, or only at the next publication."""
    make_partition(local)
    publish_catalog(local)
    catalog = local.files.path(CATALOG_NAME)
    whole = catalog.read_bytes()
    expected = current_generations(local)
    cut = whole[: int(len(whole) * left)]
    catalog.write_bytes(cut)
    assert current_generations(local) == expected  # of a catalog of its own
    assert catalog.read_bytes() == cut
    publish_catalog(local)
    assert catalog.stat().st_size == len(whole)
    catalog.write_bytes(cut)
    make_generation(local, "rewards", KEY, "cccc2")
    publish_catalog(local)
    assert current_generations(local)["rewards", KEY].fingerprint == "cccc2"
    assert "reading goes on with a catalog of its own" in caplog.text
    assert "the catalog is made anew" in caplog.text


def test_a_catalog_that_is_damaged_inside_stops_no_publication_and_is_a_clear_error(local: Store) -> None:
    make_partition(local)
    many = local.generation("rewards", ("d2", "m1"), "cccc1")
    answers = [
        {"problem_id": f"p{i}", "sample_index": 0, "extracted_answer": os.urandom(20).hex()} for i in range(9000)
    ]
    many.write_fragment(0, [filled("rewards", answers)])
    many.complete({}, {}, {})
    local.make_current(many)
    publish_catalog(local)
    catalog = local.files.path(CATALOG_NAME)
    whole, seen = catalog.read_bytes(), []
    with reading_catalog(local) as connection:
        expected = connection.execute("SELECT * FROM rewards ORDER BY ALL").fetchall()
    for block in range(12_288, len(whole), 262_144):
        content = bytearray(whole)
        content[block + 5000 : block + 5005] = b"wrong"
        catalog.write_bytes(content)
        try:  # an opening sees it and reads the results instead; or the question does, and it is said
            with reading_catalog(local) as connection:
                assert connection.execute("SELECT * FROM rewards ORDER BY ALL").fetchall() == expected
        except StoreError as error:
            seen.append(str(error))
    assert seen
    assert all(re.search(r"catalog\.duckdb: damaged \(.*remove this file: it is made again", said) for said in seen)
    make_generation(local, "rewards", KEY, "cccc2")
    publish_catalog(local)
    assert current_generations(local)["rewards", KEY].fingerprint == "cccc2"


def test_two_users_of_one_store_may_read_and_go_on_with_what_the_other_began(local: Store) -> None:
    """Whatever their umask: who may look into the folder may read every file in it."""
    former = os.umask(0o077)
    try:
        make_partition(local)
        local.generation("samples", KEY, "ffff").begin({"seed": 1})
        publish_catalog(local)
    finally:
        os.umask(former)
    files = [path for path in Path(local.root).rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert len(files) > 20
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o644"}


def test_a_link_to_nothing_is_no_empty_store(tmp_path: Path) -> None:
    """As where the disk with the results is not mounted."""
    (tmp_path / "store").symlink_to(tmp_path / "disk" / "results")
    with pytest.raises(StoreError, match=r"is a link to .*disk/results, which is not there; is the disk mounted\?"):
        Store(str(tmp_path / "store"))


def test_a_catalog_that_may_not_be_looked_at_is_a_clear_error(local: Store) -> None:
    make_partition(local)
    local.files.path(CATALOG_NAME).symlink_to(CATALOG_NAME)  # as without permission (root has all of those)
    with pytest.raises(StoreError, match=r"catalog\.duckdb: cannot be read \(Too many levels"):
        connect_catalog(local)
    with pytest.raises(StoreError, match=r"catalog\.duckdb: cannot be read \(Too many levels"):
        local.files.size(CATALOG_NAME)


def test_without_room_for_scratch_files_it_says_so(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_partition(local)
    publish_catalog(local)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"no folder for scratch files .*set TMPDIR"):
        publish_catalog(local)  # which looks whether the catalog is ours
    local.files.remove(CATALOG_NAME)
    with pytest.raises(StoreError, match=r"no folder for scratch files .*set TMPDIR"):
        connect_catalog(local, publish=False)


@pytest.mark.parametrize("now", [-5.0, 4e11])
def test_a_clock_that_is_far_off_spoils_no_result(local: Store, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(time, "time", lambda: now)
    make_partition(local)
    publish_catalog(local)
    monkeypatch.undo()
    assert len(current_generations(local)) == 6
    assert local.require("samples", KEY).manifest().num_rows == 12


def test_a_copy_without_the_views_templates_is_mended_by_the_next_publication(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    shutil.rmtree(local.files.path("schema"))
    publish_catalog(local)  # no result has changed
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(12,)]
