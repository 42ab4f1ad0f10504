"""Disks that lack what others have: room, writing, links, modes, locks. And two writers, who need the locks."""

import errno
import fcntl
import json
import os
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from onoff_core.errors import StoreError
from onoff_core.store import Store, current_generations, publish_catalog
from tests.store.making import make_partition

KEY = ("d1", "m1")


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "the disk can only be read: mount it for writing"),
        (errno.EACCES, "is store.path right"),
    ],
)
def test_what_to_do_depends_on_what_is_wrong(
    local: Store, monkeypatch: pytest.MonkeyPatch, number: int, mend: str
) -> None:
    """A disk may have no room for one more name, either."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(StoreError, match=f"cannot be written \\({os.strerror(number)}\\); {mend}"):
        local.generation("samples", KEY, "f1").begin({})


def test_a_disk_that_becomes_read_only_while_a_file_is_written(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scratch file cannot be removed then, which must not hide what happened to the file itself."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    make_partition(local)
    for name in ("os.replace", "pathlib.Path.unlink"):
        monkeypatch.setattr(name, refuse)
    with pytest.raises(StoreError, match=r"new\.json: cannot be written \(Read-only.*The disk can only be read"):
        local.files.write_bytes("new.json", b"{}")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links_and_modes_holds_a_store(
    local: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As exFAT and what programs mount; some cannot sync a folder either."""
    sync = os.fsync

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    def sync_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(descriptor)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(os, "fsync", sync_files)
    make_partition(local)
    publish_catalog(local)
    assert local.generation("samples", KEY, "f9").begin({"seed": 1}) == {"seed": 1}
    assert local.generation("samples", KEY, "f9").begin({"seed": 2}) == {"seed": 1}
    assert len(current_generations(local)) == 6


def test_a_second_writer_says_that_it_waits(
    local: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("onoff_core.store.store._SAID_AFTER_SECONDS", 0.05)
    generation = local.generation("samples", KEY, "f1")
    order = []

    def second() -> None:
        with local.writing(generation):
            order.append("second")

    with local.writing(generation):
        local.files.path("samples/d1/m1/.progress.json").write_text(
            json.dumps({"done": 3, "total": 8, "unit": "responses", "pace": "", "at": 0.0, "is_going": True})
        )
        waiting = threading.Thread(target=second)
        waiting.start()
        deadline = time.monotonic() + 20
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
    waiting.join()
    (said,) = caplog.messages
    assert said.startswith("samples of d1|m1 is being made by another run (3 of 8 responses); this one waits until")
    assert order == ["first", "second"]


def test_a_file_system_without_locks_holds_what_was_made_where_there_were_some(
    local: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As Lustre without `-o flock`: the lock's files that a copied store brings along are nobody's."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    make_partition(local)
    publish_catalog(local)
    monkeypatch.setattr(fcntl, "flock", refuse)
    store = Store(str(local.root))
    make_partition(store, version="2")
    publish_catalog(store)
    assert current_generations(store)["samples", KEY].fingerprint == "bbbb2"
    with store.writing(store.generation("samples", KEY, "f9")):
        assert store.is_written("samples", KEY)
    assert not store.is_written("samples", KEY)
    assert not list(Path(local.root).rglob("*.lock-held"))
    assert caplog.text.count("has no locks that end with their holder") == 1


def test_locks_that_are_refused_are_told_what_to_do(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreError, match=r"\.lock: cannot be written .* has no locks \(flock\), .* mount it with them"):
        make_partition(local)
