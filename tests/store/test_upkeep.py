"""Verify and prune, in every place and as commands; and a damaged fragment made again alone."""

import errno
import json
import os
from pathlib import Path

import pytest

from onoff_core.cli.main import main
from onoff_core.errors import StoreError
from onoff_core.grid.materialize import materialize_rewards, materialize_samples
from onoff_core.store import Store, connect_catalog, publish_catalog
from onoff_core.store.upkeep import Finding, prune, removable, remove, remove_leftovers, verify
from onoff_core.study import load_study
from tests.conftest import MakeProject
from tests.store.making import fragment_table, make_generation, make_partition

KEY = ("d1", "m1")


def findings(store: Store) -> list[Finding]:
    return [found for found in verify(store) if isinstance(found, Finding)]


def folders(store: Store, **options: object) -> list[str]:
    return [removal.generation.folder for removal in removable(store, **options)]  # type: ignore[arg-type]


def test_a_whole_store_has_no_findings(store: Store) -> None:
    make_partition(store)
    publish_catalog(store)
    assert findings(store) == []


def test_verify_names_each_kind_of_damage_and_changes_nothing(local: Store) -> None:
    make_partition(local)
    path = local.files.path
    path("samples/d1/m1/bbbb1/00000.parquet").write_bytes(b"PAR1 truncated")
    path("rewards/d1/m1/cccc1/00001.parquet").unlink()
    path("statistics/d1/m1/dddd1/manifest.json").write_text("{")
    path("token_distributions/d1/m1/current.json").write_text('{"fingerprint": "gone"}')
    path("problems/d1/current.json").write_text("[]")
    path("vocabulary/m1/0000/notes.txt").write_text("hello")
    before = sorted(path("").rglob("*"))
    found = {finding.where.split("/store/")[1]: finding for finding in findings(local)}
    assert sorted(path("").rglob("*")) == before
    damaged = {where for where, finding in found.items() if finding.damaged}
    assert damaged == {
        "samples/d1/m1/bbbb1/00000.parquet",
        "rewards/d1/m1/cccc1/00001.parquet",
        "statistics/d1/m1/dddd1",
        "token_distributions/d1/m1/current.json",
        "problems/d1/current.json",
    }
    assert found["rewards/d1/m1/cccc1/00001.parquet"].wrong == "not there"
    assert not found["vocabulary/m1/0000/notes.txt"].damaged


def test_prune_keeps_what_is_current_and_what_that_was_made_from(store: Store) -> None:
    make_partition(store, version="1")
    make_generation(store, "samples", KEY, "bbbb2", {"problems": "aaaa1"})
    # rewards, statistics and token distributions are still those of the first samples
    assert folders(store) == []
    make_partition(store, version="3")
    assert folders(store) == [
        "problems/d1/aaaa1",
        "samples/d1/m1/bbbb1",
        "samples/d1/m1/bbbb2",
        "rewards/d1/m1/cccc1",
        "statistics/d1/m1/dddd1",
        "token_distributions/d1/m1/eeee1",
    ]
    assert folders(store, keep=1) == ["samples/d1/m1/bbbb1"]
    assert folders(store, older_than_days=1) == []
    assert all(remove(store, removal) for removal in removable(store))
    assert folders(store) == []
    assert findings(store) == []
    publish_catalog(store)
    with connect_catalog(store) as connection:
        assert connection.execute("SELECT count(*) FROM token_distributions").fetchall() == [(60,)]


def test_prune_never_removes_what_is_being_written(local: Store) -> None:
    make_partition(local, version="1")
    make_partition(local, version="2")
    unfinished = local.generation("samples", KEY, "ffff")
    unfinished.write_fragment(0, [fragment_table("samples", 0)])
    removals = removable(local, unfinished=True)
    assert "samples/d1/m1/ffff" in [removal.generation.folder for removal in removals]
    assert "samples/d1/m1/ffff" not in folders(local)
    with local.writing(unfinished), local.writing(local.generation("samples", KEY, "bbbb1")):
        kept = {removal.generation.fingerprint for removal in removals if not remove(local, removal)}
    # Who writes samples may have read the problems; nobody writes what is made from rewards.
    assert kept == {"ffff", "bbbb1", "aaaa1"}
    assert unfinished.fragment_indices() == {0}


def test_prune_leaves_what_a_writer_is_reading(local: Store) -> None:
    """A run of hours over samples that are not current any more: they stay until it is done, and then are needed."""
    make_partition(local, version="1")
    make_partition(local, version="2")
    removals = removable(local)
    (samples,) = [removal for removal in removals if removal.generation.fingerprint == "bbbb1"]
    (problems,) = [removal for removal in removals if removal.generation.fingerprint == "aaaa1"]
    scoring = local.generation("token_distributions", KEY, "eeee3")
    with local.writing(scoring):  # has read the samples, and has no fragment yet
        assert not remove(local, samples)
        scoring.write_fragment(0, [fragment_table("token_distributions", 0)])
        scoring.complete({"samples": "bbbb1"}, {}, {})
        local.make_current(scoring)
    assert not remove(local, samples)
    with local.writing(local.generation("rewards", ("d1", "m9"), "cccc9")):  # of another model, and the same problems
        assert not remove(local, problems)
    assert local.generation("samples", KEY, "bbbb1").damage() == {}
    assert "samples/d1/m1/bbbb1" not in folders(local)


def test_prune_leaves_no_snapshot_that_names_what_is_gone(store: Store) -> None:
    make_generation(store, "samples", KEY, "bbbb1")
    publish_catalog(store)
    make_generation(store, "samples", KEY, "bbbb2")  # and dies before it publishes
    assert [removal.generation.fingerprint for removal in prune(store, removable(store))] == ["bbbb1"]
    with connect_catalog(store) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(12,)]
    assert store.changes() == []


def test_prune_keeps_what_was_finished_and_not_made_current_yet(local: Store) -> None:
    """Its writer died in between, and the next materialization computes nothing of it again."""
    make_partition(local)
    finished = local.generation("samples", KEY, "ffff")
    finished.write_fragment(0, [fragment_table("samples", 0)])
    finished.complete({}, {}, {})
    assert folders(local) == folders(local, older_than_days=0) == []
    assert folders(local, unfinished=True) == ["samples/d1/m1/ffff"]
    local.make_current(finished)
    assert "samples/d1/m1/bbbb1" not in folders(local, keep=1)


def test_prune_leaves_a_generation_that_became_current_meanwhile(local: Store) -> None:
    make_partition(local, version="1")
    make_partition(local, version="2")
    (removal,) = [r for r in removable(local) if r.generation.fingerprint == "bbbb1"]
    local.make_current(local.generation("samples", KEY, "bbbb1"))
    assert not remove(local, removal)
    assert local.require("samples", KEY).fingerprint == "bbbb1"


def test_leftovers_of_dead_writers_go_and_those_of_a_writer_at_work_stay(local: Store) -> None:
    make_partition(local)
    scratch = local.files.path("samples/d1/m1/bbbb1/.tmp-dead")
    with local.writing(local.generation("samples", KEY, "bbbb1")):
        scratch.write_bytes(b"x")
        assert remove_leftovers(local) == 0
    assert remove_leftovers(local) == 1
    assert not scratch.exists()
    local.files.path("samples/d1/m1/.tmp-pointer").write_bytes(b"x")
    local.files.path(".tmp-catalog").write_bytes(b"x")
    assert remove_leftovers(local) == 2
    assert not list(local.files.path("").rglob(".tmp-*"))


def test_what_writers_left_who_died_at_their_note_goes(local: Store) -> None:
    """Also their scratch files beside the notes and the catalog's templates, and folders with nothing in them."""
    make_partition(local)
    publish_catalog(local)
    note = {"asset": "samples", "partition": KEY, "fingerprint": "ffff"}  # and no pointer names it
    local.files.write_bytes("changed/dead.json", json.dumps(note).encode())
    for folder in ("changed", "schema"):
        local.files.path(f"{folder}/.tmp-dead").write_bytes(b"x")
    local.files.path("samples/d1/m1/ffff").mkdir()
    with local.files.lock("samples/d1/m1/.current.lock"), local.files.lock(".changed.lock"):  # a writer at work
        assert remove_leftovers(local) == 1
        assert [change.name for change in local.changes()] == ["dead.json"]
    assert remove_leftovers(local) == 2
    assert local.changes() == []
    assert not list(local.files.path("").rglob(".tmp-*"))
    assert findings(local) == []
    assert folders(local) == []
    assert folders(local, unfinished=True) == ["samples/d1/m1/ffff"]
    assert prune(local, removable(local, unfinished=True))
    assert not local.files.path("samples/d1/m1/ffff").exists()


def test_a_note_of_a_writer_at_work_is_left(local: Store) -> None:
    make_partition(local)
    publish_catalog(local)
    make_generation(local, "samples", KEY, "bbbb2")
    assert remove_leftovers(local) == 0
    publish_catalog(local)
    with connect_catalog(local) as connection:
        found = connection.execute("SELECT fingerprint FROM generations WHERE asset = 'samples'").fetchall()
    assert found == [("bbbb2",)]


@pytest.mark.parametrize("level", ["samples", "samples/d1", "samples/d1/m1", "samples/d1/m1/bbbb1"])
@pytest.mark.parametrize("inside", [False, True])
def test_prune_removes_nothing_through_a_link(
    local: Store, tmp_path: Path, level: str, inside: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither on another disk nor, where the link leads back into the store, what stands there."""
    make_partition(local, version="1")
    make_partition(local, version="2")
    removals = removable(local)
    assert "samples/d1/m1/bbbb1" in [removal.generation.folder for removal in removals]
    folder = local.files.path(level)
    target = local.files.path("mine") if inside else tmp_path / "elsewhere"
    folder.rename(target)
    folder.symlink_to(target)
    before = sorted(path for path in target.rglob("*") if not path.name.endswith(".lock"))
    if level.count("/") == 3:
        gone = prune(local, removals)
    else:
        gone = prune(local, removable(local))
    assert "samples/d1/m1/bbbb1" not in [removal.generation.folder for removal in gone]
    assert [removal.generation.folder for removal in gone]  # the rest goes
    remove_leftovers(local)
    assert folder.is_symlink()
    assert sorted(path for path in target.rglob("*") if not path.name.endswith(".lock")) == before
    assert "bbbb1 is a link to" in caplog.text


def test_a_folder_with_another_ones_manifest_is_no_generation(local: Store, caplog: pytest.LogCaptureFixture) -> None:
    for version in "123":
        make_partition(local, version=version)
    path = local.files.path
    path("samples/d1/m1/bbbb2/manifest.json").write_bytes(path("samples/d1/m1/bbbb1/manifest.json").read_bytes())
    path("rewards/d1/m1/cccc1/manifest.json").write_text("{}")
    found = folders(local)
    assert "samples/d1/m1/bbbb1" in found
    assert not {"samples/d1/m1/bbbb2", "rewards/d1/m1/cccc1"} & set(found)
    assert "left alone" in caplog.text


def test_what_lies_outside_is_read_aloud_and_never_written(
    local: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_partition(local)
    local.files.path("samples/d1").rename(tmp_path / "elsewhere")
    local.files.path("samples/d1").symlink_to(tmp_path / "elsewhere")
    generation = local.require("samples", KEY)
    assert generation.read().num_rows == 12
    assert f"is read through a link, from {tmp_path / 'elsewhere'}" in caplog.text
    writers = (
        lambda: make_generation(local, "samples", KEY, "bbbb2"),
        lambda: local.make_current(local.generation("samples", KEY, "bbbb2")),
        lambda: local.generation("samples", KEY, "bbbb2").write_fragment(0, [fragment_table("samples", 0)]),
        lambda: local.files.rename(f"{generation.folder}/00000.parquet", f"{generation.folder}/x"),
        lambda: local.files.remove(f"{generation.folder}/00000.parquet"),
    )
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    for write in writers:
        with pytest.raises(StoreError, match=r"leads through a link out of the store, to .*nothing is written"):
            write()
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


def test_a_store_whose_folder_is_a_link_is_as_any(local: Store, tmp_path: Path) -> None:
    make_partition(local, version="1")
    Path(local.root).rename(tmp_path / "disk")
    Path(local.root).symlink_to(tmp_path / "disk")
    make_partition(local, version="2")
    removals = removable(local)
    assert len(removals) == 5
    assert prune(local, removals) == removals
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(12,)]


def test_a_fragment_that_is_a_link_out_of_the_store_is_not_read(local: Store, tmp_path: Path) -> None:
    make_partition(local)
    for name in ("samples/d1/m1/bbbb1/00000.parquet", "rewards/d1/m1/cccc1/manifest.json"):
        local.files.path(name).rename(tmp_path / "secret")
        local.files.path(name).symlink_to(tmp_path / "secret")
        asset = name.split("/")[0]
        with pytest.raises(StoreError, match=r"a link out of the store, to .*secret; not read"):
            local.require(asset, KEY).read()


def test_prune_makes_room_where_there_is_none_to_publish(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last catalog names stays, for its readers."""
    for version in "12":
        make_generation(local, "samples", KEY, f"bbbb{version}")
    publish_catalog(local)
    make_generation(local, "samples", KEY, "bbbb3")
    removals = removable(local)
    assert {removal.generation.fingerprint for removal in removals} == {"bbbb1", "bbbb2"}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfile", full)
    assert [removal.generation.fingerprint for removal in prune(local, removals)] == ["bbbb1"]
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(12,)]
    with pytest.raises(StoreError, match="No space left on device"):
        prune(local, removable(local))
    monkeypatch.undo()
    assert [removal.generation.fingerprint for removal in prune(local, removable(local))] == ["bbbb2"]


def test_a_file_that_another_prune_removed_is_no_error(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make_partition(local, version="1")
    make_partition(local, version="2")
    children = local.files.children

    def one_more(name: str) -> list[str]:
        return [*children(name), "just removed"] if name.endswith("bbbb1") else children(name)

    monkeypatch.setattr(local.files, "children", one_more)
    (removal,) = [removal for removal in removable(local) if removal.generation.fingerprint == "bbbb1"]
    assert removal.num_bytes > 0


def test_the_commands(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_project()
    store = Store(str(folder / "store"))
    make_partition(store, "arithmetic", "tiny", version="1")
    make_partition(store, "arithmetic", "tiny", version="2")
    assert main(["verify"]) == 0
    assert main(["prune", "--keep", "1"]) == 0
    assert "nothing to remove" in capsys.readouterr().out
    assert main(["prune"]) == 0
    assert "5 generations would go" in capsys.readouterr().out
    assert store.generation("samples", ("arithmetic", "tiny"), "bbbb1").is_complete
    assert main(["prune", "--yes"]) == 0
    assert "5 generations removed" in capsys.readouterr().out
    assert not store.generation("samples", ("arithmetic", "tiny"), "bbbb1").is_complete
    store.files.path("samples/arithmetic/tiny/bbbb2/00000.parquet").write_bytes(b"x")
    assert main(["verify"]) == 1
    assert "samples/arithmetic/tiny/bbbb2/00000.parquet: 1 bytes, the manifest says" in capsys.readouterr().out


def test_a_damaged_fragment_is_made_again_alone(make_project: MakeProject) -> None:
    make_project(datasets={"arithmetic": {"num_examples": 24}})  # 3 responses a problem, 32 a fragment
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    made = materialize_samples(partition, store)
    materialize_rewards(partition, store)
    before = made.generation.read()
    whole = {f.name: stamp(store, made.generation.folder, f.name) for f in made.manifest.fragments}
    assert len(whole) > 1
    store.files.path(f"{made.generation.folder}/00001.parquet").write_bytes(b"PAR1")

    lines: list[str] = []
    again = materialize_samples(partition, Store(study.store_path), lines.append)
    assert again.computed
    assert any("00001.parquet is damaged and is made again" in line for line in lines)
    assert again.generation.read().select(["problem_id", "sample_index", "response", "token_ids"]) == before.select(
        ["problem_id", "sample_index", "response", "token_ids"]
    )
    changed = {name for name, old in whole.items() if stamp(store, made.generation.folder, name) != old}
    assert changed == {"00001.parquet"}
    assert not materialize_samples(partition, store).computed
    assert not materialize_rewards(partition, store).computed
    assert findings(store) == []


def stamp(store: Store, folder: str, name: str) -> tuple[int, int]:
    status = Path(store.files.location(f"{folder}/{name}")).stat()
    return status.st_ino, status.st_mtime_ns
