"""What the machine lacks is said in a sentence."""

import errno
import io
import os
import signal
import sys
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from onoff_core.cli import status
from onoff_core.cli.main import main
from onoff_core.errors import StoreError
from onoff_core.machine import interruption_of, what_it_lacked
from onoff_core.store import Store, reading, reading_catalog
from onoff_core.store.files import open_files
from tests.conftest import MakeProject
from tests.store.making import make_partition


def raised_from(error: BaseException) -> BaseException:
    other = ValueError("cannot be done")
    other.__cause__ = error
    return other


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (pa.ArrowMemoryError("malloc of size 64 failed"), "out of memory"),
        (duckdb.OutOfMemoryException("Failed to allocate block"), "out of memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "out of memory"),
        (RuntimeError("can't start new thread"), "no further process or thread"),
        (OSError(errno.EMFILE, "Too many open files", "a/b"), "a/b: too many open files"),
        (duckdb.IOException('IO Error: Cannot open file "x": Too many open files'), "too many open files"),
        (OSError(errno.ENOSPC, "No space left on device"), "no room is left on the disk"),
        (raised_from(OSError(errno.EROFS, "Read-only file system", "out")), "out: the disk can only be read"),
    ],
)
def test_what_it_lacked(error: BaseException, said: str) -> None:
    assert (what_it_lacked(error) or "").startswith(said)


@pytest.mark.parametrize("error", [ValueError("wrong"), FileNotFoundError(errno.ENOENT, "no such file"), KeyError("a")])
def test_a_fault_of_ours_keeps_its_traceback(error: BaseException) -> None:
    assert what_it_lacked(error) is None


def test_a_command_says_it(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project()

    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files", "store/x")

    monkeypatch.setattr(status, "_not_in_study", fail)
    assert main(["status", "--all"]) == 1
    assert "onoff status: store/x: too many open files; close some programs, or raise" in capsys.readouterr().err


def test_a_catalog_is_not_called_damaged_for_what_the_machine_lacks(tmp_path: Path) -> None:
    """Who is told so removes it."""
    store = Store(str(tmp_path / "store"))
    make_partition(store)
    for error in (duckdb.OutOfMemoryException("Failed to allocate"), duckdb.IOException("IO: Too many open files")):
        with pytest.raises(StoreError, match="cannot be read now: ") as told, reading_catalog(store):
            raise error
        assert "remove" not in str(told.value)


@pytest.mark.parametrize("error", [duckdb.OutOfMemoryException("Failed"), duckdb.IOException("Too many open files")])
def test_nor_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: duckdb.Error) -> None:
    store = Store(str(tmp_path / "store"))
    make_partition(store)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(reading.attaching, "connect", fail)
    with pytest.raises(StoreError, match="cannot be read now: "), reading_catalog(store):
        pass


def test_what_the_terminal_has_no_character_for_is_printed_all_the_same(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(store={"path": "ümläut"})
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    assert main(["status"]) == 0
    sys.stdout.flush()
    assert b"\\xfcml\\xe4ut" in output.getvalue()


def test_a_folder_whose_name_was_not_understood_is_a_clear_error() -> None:
    """As Python reads `ü` where the locale is not UTF-8."""
    with pytest.raises(StoreError, match=r"is not UTF-8, .*; set LC_ALL=C.UTF-8"):
        open_files("/tmp/\udcc3\udcbc/store")


def test_a_signal_in_a_query_is_what_it_was_and_not_an_error_of_the_query() -> None:
    """DuckDB makes a `RuntimeError` of whatever a signal's handler raises, such as Dagster's own interruption."""

    class Stopped(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(RuntimeError) as raised:
            # It ends by itself in seconds: DuckDB, told to stop on a busy machine, was seen to go on to the end.
            duckdb.connect().execute("SELECT max(a.range * b.range) FROM range(20000) a, range(20000) b").fetchall()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert isinstance(interruption_of(raised.value), Stopped)
    wrapped = StoreError("the catalog cannot be read")
    wrapped.__cause__ = raised.value
    assert isinstance(interruption_of(wrapped), Stopped)
    assert interruption_of(RuntimeError("something else")) is None
