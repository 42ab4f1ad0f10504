"""Remove what is current: what left the study, what costs more than it tells; and give things other names."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from onoff_core.cli.main import main
from onoff_core.errors import StoreError
from onoff_core.grid.room import check_room
from onoff_core.grid.status import is_behind
from onoff_core.store import Store, connect_catalog, current_generations, dropping, publish_catalog, renaming
from onoff_core.store.dropping import drop, droppable, orphans, remove_orphans
from onoff_core.store.renaming import rename
from onoff_core.store.upkeep import Finding, removable, remove_leftovers, verify
from onoff_core.store.usage import usage
from tests.conftest import MakeProject
from tests.store.making import filled, make_generation, make_partition

KEY = ("d1", "m1")
MODELS = {"tiny": {"model_name": "owner/name"}, "other": {"model_name": "owner/other"}}


def findings(store: Store) -> list[Finding]:
    return [found for found in verify(store) if isinstance(found, Finding)]


def rows(store: Store, table: str) -> list[tuple[Any, ...]]:
    with connect_catalog(store) as connection:
        return connection.execute(f"SELECT dataset, model, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall()


def in_study(asset: str, partition: tuple[str, ...]) -> bool:
    return "m2" not in partition


def test_orphans_go_with_all_their_generations_and_nothing_else(store: Store) -> None:
    for version in "12":
        make_partition(store, "d1", "m1", version)
        make_partition(store, "d1", "m2", version)
    publish_catalog(store)
    kept = {key: now for key, now in current_generations(store).items() if "m2" not in key[1]}
    found = orphans(store, in_study)
    assert len(found) == 9  # four assets in two generations, and the vocabulary
    assert {removal.generation.folder for removal in remove_orphans(store, found)} == {
        removal.generation.folder for removal in found
    }
    assert current_generations(store) == kept
    assert rows(store, "samples") == [("d1", "m1", 12)]
    assert rows(store, "rewards") == [("d1", "m1", 12)]
    assert findings(store) == []
    assert store.changes() == []
    assert not [folder for folder in store.files.folders("samples/d1") if folder == "m2"]
    assert orphans(store, in_study) == []
    make_partition(store, "d1", "m2", "3")  # and the name can come back
    publish_catalog(store)
    assert rows(store, "samples") == [("d1", "m1", 12), ("d1", "m2", 12)]


def test_an_orphan_that_is_being_written_stays(local: Store) -> None:
    make_partition(local, "d1", "m2")
    found = orphans(local, in_study)
    with local.writing(local.generation("samples", ("d1", "m2"), "ffff")):
        gone = {removal.generation.asset for removal in remove_orphans(local, found)}
    assert "samples" not in gone
    assert local.require("samples", ("d1", "m2")).read().num_rows == 12


@pytest.mark.parametrize("dies_at", ["publish_catalog", "remove"])
def test_who_dies_while_removing_orphans_leaves_what_can_be_finished(
    local: Store, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    make_partition(local, "d1", "m2")
    make_partition(local, "d1", "m1")
    publish_catalog(local)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dropping, dies_at, die)
    with pytest.raises(KeyboardInterrupt):
        remove_orphans(local, orphans(local, in_study))
    monkeypatch.undo()
    assert rows(local, "rewards")  # the catalog can be read
    remove_orphans(local, orphans(local, in_study))
    remove_leftovers(local)
    publish_catalog(local)
    assert rows(local, "samples") == [("d1", "m1", 12)]
    assert local.changes() == []
    assert findings(local) == []


def test_dropped_is_not_missing(store: Store) -> None:
    make_partition(store)
    publish_catalog(store)
    before = {key: now for key, now in current_generations(store).items() if key[0] != "token_distributions"}
    assert droppable(store, "token_distributions", 1) == []
    (removal,) = droppable(store, "token_distributions", 0)
    assert drop(store, [removal]) == [removal]
    assert store.dropped("token_distributions", KEY) == "eeee1"
    assert store.current("token_distributions", KEY) is None
    assert current_generations(store) == before  # samples and statistics stay
    assert rows(store, "token_distributions") == []
    assert rows(store, "samples") == [("d1", "m1", 12)]
    assert store.files.children(removal.generation.folder) == ["dropped.json"]
    assert findings(store) == []
    assert removable(store, unfinished=True) == []
    assert droppable(store, "token_distributions", 0) == []
    assert is_behind(current_generations(store), "token_distributions", KEY)
    make_generation(store, "token_distributions", KEY, "eeee1", {"samples": "bbbb1"})  # and it can be made again
    publish_catalog(store)
    assert store.dropped("token_distributions", KEY) is None
    assert rows(store, "token_distributions") == [("d1", "m1", 60)]


@pytest.mark.parametrize("dies_at", ["publish_catalog", "_empty"])
def test_who_dies_while_dropping_leaves_what_can_be_finished(
    local: Store, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    make_partition(local)
    publish_catalog(local)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dropping, dies_at, die)
    with pytest.raises(KeyboardInterrupt):
        drop(local, droppable(local, "token_distributions", 0))
    monkeypatch.undo()
    (removal,) = droppable(local, "token_distributions", 1)  # it was old enough when it was dropped
    assert drop(local, [removal]) == [removal]
    assert local.files.children(removal.generation.folder) == ["dropped.json"]
    assert droppable(local, "token_distributions", 0) == []
    assert rows(local, "token_distributions") == []


def test_on_a_disk_without_room_for_a_catalog_what_goes_makes_room(
    local: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Removing is what one does with a full disk."""
    make_partition(local, "d1", "m1")
    make_partition(local, "d1", "m2")
    publish_catalog(local)

    def publish(store: Store) -> None:
        if list(Path(store.root).glob(full_as_long_as_there_is)):
            raise StoreError("catalog.duckdb: not published") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        publish_catalog(store)

    monkeypatch.setattr(dropping, "publish_catalog", publish)
    full_as_long_as_there_is = "token_distributions/d1/m1/*/*.parquet"
    (removal,) = (one for one in droppable(local, "token_distributions", 0) if "m1" in one.generation.partition)
    assert drop(local, [removal]) == [removal]
    full_as_long_as_there_is = "samples/d1/m2/*/*.parquet"
    found = orphans(local, in_study)
    assert remove_orphans(local, found) == found
    assert caplog.text.count("the files that go are removed first, which may make room") == 2
    monkeypatch.undo()
    assert rows(local, "token_distributions") == []
    assert rows(local, "samples") == [("d1", "m1", 12)]
    assert local.changes() == []
    assert findings(local) == []


@pytest.mark.parametrize("asset", ["samples", "rewards", "problems"])
def test_what_others_are_made_from_cannot_be_dropped(local: Store, asset: str) -> None:
    make_partition(local)
    with pytest.raises(StoreError, match=f"{asset} cannot be dropped: .* needs it"):
        droppable(local, asset, 0)


def test_usage_tells_current_from_former(local: Store) -> None:
    for version in "12":
        make_partition(local, version=version)
    parts = {(part.asset, part.partition): part for part in usage(local)}
    assert parts["vocabulary", ("m1",)].former == 0
    part = parts["samples", KEY]
    sizes = {
        generation: sum(path.stat().st_size for path in local.files.path(f"samples/d1/m1/{generation}").iterdir())
        for generation in ("bbbb1", "bbbb2")
    }
    assert (part.current, part.former) == (sizes["bbbb2"], sizes["bbbb1"])


@pytest.mark.parametrize(
    ("kind", "old", "partition"), [("model", "m1", ("d1", "new")), ("dataset", "d1", ("new", "m1"))]
)
def test_a_name_changes_and_nothing_else(
    store: Store, kind: renaming.Kind, old: str, partition: tuple[str, str]
) -> None:
    for version in "12":
        make_partition(store, "d1", "m1", version)
    make_partition(store, "d2", "m2")
    publish_catalog(store)
    before = {asset: store.require(asset, KEY).read() for asset in ("samples", "rewards", "token_distributions")}
    rename(store, kind, old, "new")
    publish_catalog(store)
    for asset, table in before.items():
        now = store.require(asset, partition)
        assert now.read() == table
        assert store.order(asset, partition)[0] == now.fingerprint
        assert store.current(asset, KEY) is None
        assert rows(store, asset)[-1][:2] == partition or rows(store, asset)[0][:2] == partition
        assert KEY not in [row[:2] for row in rows(store, asset)]
    assert store.order("samples", partition) == ["bbbb2", "bbbb1"]
    assert [removal.generation.fingerprint for removal in removable(store)].count("bbbb1") == 1
    assert findings(store) == []
    assert store.changes() == []
    assert store.require("samples", ("d2", "m2")).read().num_rows == 12


def test_a_rename_takes_no_place_and_replaces_nothing(local: Store) -> None:
    make_partition(local, "d1", "m1")
    make_partition(local, "d1", "m2", version="2")
    for old, new, said in (
        ("m1", "m2", "results of d1|m2 already"),
        ("gone", "new", "has nothing of the model 'gone'"),
        ("m1", "../up", "is no name"),
    ):
        with pytest.raises(StoreError, match=said.replace("|", r"\|")):
            rename(local, "model", old, new)
    file = local.files.path("samples/d1/m1/bbbb1/00000.parquet")
    inode = file.stat().st_ino
    with local.writing(local.generation("samples", KEY, "bbbb1")), pytest.raises(StoreError, match="is being written"):
        rename(local, "model", "m1", "new")
    rename(local, "model", "m1", "new")
    assert local.files.path("samples/d1/new/bbbb1/00000.parquet").stat().st_ino == inode


@pytest.mark.parametrize("dies_at", ["_copy", "remove_orphans", "publish_catalog", "remove"])
def test_who_dies_while_renaming_loses_nothing(local: Store, monkeypatch: pytest.MonkeyPatch, dies_at: str) -> None:
    make_partition(local)
    publish_catalog(local)
    module = renaming if hasattr(renaming, dies_at) else dropping
    real, calls = getattr(module, dies_at), []

    def die(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > (2 if dies_at in ("_copy", "remove") else 0):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, dies_at, die)
    with pytest.raises(KeyboardInterrupt):
        rename(local, "model", "m1", "new")
    monkeypatch.undo()
    publish_catalog(local)
    there = local.current("samples", KEY) or local.require("samples", ("d1", "new"))
    assert there.read().num_rows == 12
    assert findings(local) == []
    rename(local, "model", "m1", "new")
    publish_catalog(local)
    assert rows(local, "samples") == [("d1", "new", 12)]
    assert findings(local) == []


def test_a_file_system_without_links_copies(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    make_partition(local)
    real = os.link
    monkeypatch.setattr(
        os, "link", lambda source, target: refuse() if str(source).endswith(".parquet") else real(source, target)
    )
    rename(local, "model", "m1", "new")
    assert local.require("samples", ("d1", "new")).read().num_rows == 12


def test_a_run_that_may_need_more_than_is_allowed_says_so_before_it_starts(local: Store) -> None:
    make_partition(local)
    check_room(local, 10**12, "samples of d1|m1")  # no limit
    used = sum(part.current + part.former for part in usage(local))
    local.max_bytes = used + 1_000_000
    check_room(local, 1_000_000, "samples of d1|m1")
    with pytest.raises(StoreError, match=r"samples of d1\|m1 may take 1\.0 MB; .* that store\.max_bytes"):
        check_room(local, 1_000_001, "samples of d1|m1")


def test_the_commands(make_project: MakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that left the study: seen, shown, renamed, removed."""
    folder = make_project(models=MODELS)
    store = Store(str(folder / "store"))
    for model in MODELS:
        make_partition(store, "arithmetic", model)
        by_problem = store.generation("problem_statistics", ("arithmetic", model), "dddd1")
        rows = [{"problem_id": f"p{i}", "num_samples": 2, "num_graded": 2, "num_correct": i % 2} for i in range(4)]
        by_problem.write_fragment(0, [filled("problem_statistics", rows)])
        by_problem.complete({}, {}, {})
        store.make_current(by_problem)
    publish_catalog(store)
    make_project(models={"tiny": MODELS["tiny"]})

    def said(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    assert "not in study" not in said("status")
    assert [line.split() for line in said("status", "--all").splitlines() if "other" in line] == [
        ["arithmetic", "other", *["not", "in", "study"] * 4]
    ]
    assert "0.333" in said("show", "arithmetic|other")
    assert main(["show", "arithmetic|nobody"]) == 1
    assert "no model 'nobody'" in capsys.readouterr().err
    usage_lines = said("usage", "--model", "other").splitlines()
    assert [line.split()[:3] for line in usage_lines if "samples" in line] == [
        ["samples", "arithmetic", "other"], ["samples", "all", "all"],
    ]  # fmt: skip
    assert "are now of third" in said("rename", "model", "other", "third")
    compared = store.require("comparisons", ("arithmetic",)).read()
    assert {*compared["first_model"].to_pylist(), *compared["second_model"].to_pylist()} == {"third", "tiny"}
    assert "6 generations would go" in said("prune", "--orphans")
    assert store.current("samples", ("arithmetic", "third")) is not None
    assert "6 generations removed" in said("prune", "--orphans", "--yes")
    assert store.require("comparisons", ("arithmetic",)).read().num_rows == 0
    assert "third" not in said("status", "--all")
    assert main(["prune", "--asset", "token_distributions"]) == 1
    assert "say with --older-than" in capsys.readouterr().err
    assert main(["prune", "--asset", "samples", "--older-than", "0"]) == 1
    assert "cannot be dropped" in capsys.readouterr().err
    assert "0 generations" not in said("prune", "--asset", "token_distributions", "--keep-days", "0", "--yes")
    assert "dropped" in said("status")
    assert json.loads(
        Path(store.files.location("token_distributions/arithmetic/tiny/eeee1/dropped.json")).read_text()
    )["num_rows"] == 60  # fmt: skip
