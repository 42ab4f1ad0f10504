"""Notes: small files beside the results that many people write at once, and that no result knows of."""

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onoff_core.errors import StoreError
from onoff_core.exchange import export_notes
from onoff_core.store import Store, publish_catalog
from onoff_core.store.notes import LONGEST_COMMENT, Note, Notes, new_note
from onoff_core.store.renaming import rename
from onoff_core.store.upkeep import removable, verify
from tests.store.conftest import environment
from tests.store.making import make_partition

KEY = ("d1", "m1")


def made(**changes: Any) -> Note:
    fresh = new_note(
        author="ann", key=KEY, samples="bbbb1", problem_id="p/1 ü", sample_index=2, position=3, excerpt=" so"
    )
    return replace(fresh, **changes)


def test_the_newest_revision_counts_in_every_place(store: Store) -> None:
    notes = Notes(store.files)
    first, second = made(comment="a\n\u202eb", tags=("x", "y")), made(star=True)
    for note in (first, second):
        notes.write(note)
    assert {note.note for note in Notes(store.files).of_partition(KEY)} == {first.note, second.note}
    revised = notes.revise(first, "bob", star=False, tags=["z"], comment="better")
    found = {note.note: note for note in Notes(store.files).all()}
    assert found == {first.note: revised, second.note: second}
    assert (revised.author, revised.tags, revised.revision, revised.excerpt) == ("bob", ("z",), 2, " so")
    notes.remove(revised, "bob")
    assert Notes(store.files).all() == [second]


def test_a_clock_that_is_behind_changes_nothing(local: Store) -> None:
    notes = Notes(local.files)
    first = made(comment="old", at=2_000_000_000.0)
    notes.write(first)
    notes.revise(first, "ann", star=False, tags=(), comment="new")
    assert [note.comment for note in notes.of_partition(KEY)] == ["new"]


def test_nothing_of_many_writers_is_lost(local: Store) -> None:
    script = (
        "import sys\nfrom dataclasses import replace\nfrom onoff_core.store import Store\n"
        "from onoff_core.store.notes import Notes, new_note\nnotes = Notes(Store(sys.argv[1]).files)\n"
        "for i in range(20):\n"
        "    note = new_note(author=sys.argv[2], key=('d1', 'm1'), samples='s', problem_id='p', sample_index=i,\n"
        "                    position=None, excerpt='')\n"
        "    notes.write(replace(note, comment=str(i)))\n"
    )
    command = [sys.executable, "-c", script, str(local.root)]
    writers = [subprocess.Popen([*command, name], env=environment()) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found = [(note.author, note.comment) for note in Notes(local.files).of_partition(KEY)]
    assert sorted(found) == sorted((name, str(i)) for name in "abc" for i in range(20))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"note": "x"}', b"[" * 100_000, b" " * 300_000],
    ids=["empty", "cut", "list", "bytes", "few", "deep", "large"],
)
def test_what_is_no_note_is_left_alone(local: Store, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes(local.files)
    notes.write(made(comment="kept"))
    local.files.write_bytes("notes/d1/m1/strange.json", content)
    local.files.write_bytes("notes/d1/.hidden/x.json", content)
    with caplog.at_level(logging.WARNING):
        assert [note.comment for note in notes.all()] == ["kept"]
    assert "strange.json" in caplog.text
    assert local.files.read_bytes("notes/d1/m1/strange.json") == content


def test_a_newer_kind_of_note_is_left_alone_and_more_values_are_no_harm(local: Store) -> None:
    notes = Notes(local.files)
    notes.write(made(comment="ours"))
    (name,) = local.files.children("notes/d1/m1")
    content = json.loads(local.files.read_bytes(f"notes/d1/m1/{name}"))
    for other, change in {"newer": {"version": 2}, "more": {"mood": "glad", "note": "0" * 32}}.items():
        local.files.write_bytes(f"notes/d1/m1/{other}.json", json.dumps({**content, **change}).encode())
    assert sorted(note.note for note in notes.all()) == sorted([content["note"], "0" * 32])


@pytest.mark.parametrize(
    "changes",
    [
        {"comment": "x" * (LONGEST_COMMENT + 1)},
        {"tags": ("",)},
        {"tags": ("x" * 61,)},
        {"tags": tuple(map(str, range(31)))},
        {"model": "../m"},
        {"dataset": ""},
        {"position": -1},
    ],
)
def test_what_cannot_be_kept_is_said_and_not_written(local: Store, changes: dict[str, Any]) -> None:
    (what,) = changes
    with pytest.raises(StoreError, match="names of a data set" if what in ("model", "dataset") else f"note's {what}"):
        Notes(local.files).write(made(**changes))
    assert Notes(local.files).all() == []


def test_no_result_knows_of_a_note(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    before = [manifest.to_json() for manifest in local.current_manifests("samples")]
    Notes(local.files).write(made(comment="x"))
    assert [manifest.to_json() for manifest in local.current_manifests("samples")] == before
    assert [finding for finding in verify(local) if hasattr(finding, "wrong")] == []
    assert removable(local, unfinished=True) == []
    publish_catalog(local, rebuild=True)
    assert len(Notes(local.files).all()) == 1


def test_a_note_goes_along_with_a_new_name(local: Store) -> None:
    make_partition(local)
    first, second = made(comment="x"), replace(made(comment="other"), model="m2")
    for note in (first, second):
        Notes(local.files).write(note)
    rename(local, "model", "m1", "new")
    assert {(note.model, note.comment) for note in Notes(local.files).all()} == {("new", "x"), ("m2", "other")}


def test_notes_are_exported(local: Store, tmp_path: Path) -> None:
    Notes(local.files).write(made(comment="two\nlines", tags=("t",)))
    (path,) = export_notes(local, KEY, tmp_path / "out")
    (line,) = path.read_text().splitlines()
    row = json.loads(line)
    assert (row["problem_id"], row["position"], row["comment"], row["tags"]) == ("p/1 ü", 3, "two\nlines", ["t"])
