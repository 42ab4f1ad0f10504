"""Fragments, manifests and pointers, in every place."""

import json
import re
import time

import pytest

from onoff_core.errors import StoreError
from onoff_core.store import Store, connect_catalog, publish_catalog
from onoff_core.store.upkeep import Finding, verify
from tests.store.making import fragment_table, make_generation, make_partition

KEY = ("d1", "m1")


def test_a_generation_is_complete_with_its_manifest_and_not_before(store: Store) -> None:
    generation = store.generation("samples", KEY, "f1")
    generation.begin({"seed": 5})
    generation.write_fragment(0, [fragment_table("samples", 0)])
    assert not generation.is_complete
    assert generation.fragment_indices() == {0}
    generation.write_fragment(1, [fragment_table("samples", 1)])
    manifest = generation.complete({"problems": "p"}, {"x": 1}, {"seconds": 2.0})
    again = Store(str(store.files.location(""))).generation("samples", KEY, "f1")
    assert again.manifest() == manifest
    assert [fragment.num_rows for fragment in manifest.fragments] == [6, 6]
    assert again.read().num_rows == 12
    assert again.read_rows(1, {"problem_id": "p3", "sample_index": 2})["response"].to_pylist() == [" answer 1 2"]


def test_who_writes_is_recorded(store: Store) -> None:
    ours = Store(str(store.files.location("")), {"run": "r1", "seconds": 0})
    generation = ours.generation("samples", KEY, "f1")
    generation.write_fragment(0, [fragment_table("samples", 0)])
    assert generation.complete({}, {}, {"seconds": 2.0}).facts == {"run": "r1", "seconds": 2.0}


def test_the_first_beginning_holds(store: Store) -> None:
    assert store.generation("samples", KEY, "f1").begin({"seed": 5}) == {"seed": 5}
    assert store.generation("samples", KEY, "f1").begin({"seed": 6}) == {"seed": 5}


def test_a_fragment_without_rows_keeps_its_columns(store: Store) -> None:
    generation = store.generation("samples", KEY, "f1")
    generation.write_fragment(0, [])
    assert generation.complete({}, {}, {}).num_rows == 0
    assert generation.read().schema.names == fragment_table("samples", 0).schema.names


def test_a_failing_fragment_leaves_nothing(store: Store) -> None:
    def tables():  # type: ignore[no-untyped-def]
        yield fragment_table("samples", 0)
        raise RuntimeError("the model died")

    generation = store.generation("samples", KEY, "f1")
    with pytest.raises(RuntimeError, match="the model died"):
        generation.write_fragment(0, tables())
    assert generation.fragment_indices() == set()
    assert store.files.leftovers(generation.folder) == []


def test_current_follows_the_pointer_and_never_a_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    make_generation(store, "samples", KEY, "first")
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)  # the clock went back by decades
    make_generation(store, "samples", KEY, "second")
    current = store.current("samples", KEY)
    assert current is not None
    assert current.fingerprint == "second"
    assert store.order("samples", KEY) == ["second", "first"]


def test_partitions_and_requirements(store: Store) -> None:
    make_partition(store, "d1", "m1")
    make_partition(store, "d2", "m1")
    assert store.partitions("samples") == [("d1", "m1"), ("d2", "m1")]
    assert store.partitions("problems") == [("d1",), ("d2",)]
    with pytest.raises(StoreError, match=r"--partition 'd3\|m1'"):
        store.require("samples", ("d3", "m1"))


def test_damage_is_named_and_only_it_is_set_aside(store: Store) -> None:
    generation = make_generation(store, "samples", KEY, "f1")
    name = f"{generation.folder}/00001.parquet"
    content = store.files.read_bytes(name)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    store.files.write_bytes(name, bytes(flipped))
    fresh = store.generation("samples", KEY, "f1")
    assert fresh.damage() == {"00001.parquet": "its checksum is not the manifest's"}
    assert list(fresh.set_aside_damaged()) == ["00001.parquet"]
    assert fresh.fragment_indices() == {0}
    assert store.files.exists(f"{name}.damaged")
    with pytest.raises(StoreError, match=r"00001.parquet: .*materialize samples of d1\|m1 again"):
        fresh.read()
    fresh.write_fragment(1, [fragment_table("samples", 1)])
    fresh.complete({}, {}, {}, {0, 1})
    assert fresh.damage() == {}
    assert fresh.read().num_rows == 12


def test_an_unfinished_generation_goes_on_without_its_truncated_fragment(store: Store) -> None:
    generation = store.generation("samples", KEY, "f1")
    for index in (0, 1):
        generation.write_fragment(index, [fragment_table("samples", index)])
    name = f"{generation.folder}/00000.parquet"
    store.files.write_bytes(name, store.files.read_bytes(name)[:-20])
    assert list(store.generation("samples", KEY, "f1").set_aside_damaged()) == ["00000.parquet"]
    assert generation.fragment_indices() == {1}


def test_a_foreign_parquet_file_is_not_taken_for_a_fragment_that_is_there(store: Store) -> None:
    generation = store.generation("samples", KEY, "f1")
    generation.write_fragment(0, [fragment_table("samples", 0)])
    foreign = store.generation("rewards", KEY, "f1")
    foreign.write_fragment(0, [fragment_table("rewards", 0)])
    content = store.files.read_bytes(f"{foreign.folder}/00000.parquet")
    store.files.write_bytes(f"{generation.folder}/00001.parquet", content)
    fresh = store.generation("samples", KEY, "f1")
    assert fresh.set_aside_damaged() == {"00001.parquet": "a foreign file: it has no column prompt"}
    assert fresh.fragment_indices() == {0}


FRAGMENT = {"name": "00000.parquet", "num_rows": 6, "num_bytes": 5, "sha256": "0"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partition": ["d9", "m9"]}, "says that it is of samples/d9/m9/f1"),
        ({"fingerprint": "f2"}, "says that it is of samples/d1/m1/f2"),
        ({"fragments": "none"}, r"not a manifest \(fragments: .* remove this file"),
        ({"fragments": [{**FRAGMENT, "name": "../f0/00000.parquet"}]}, r"not a manifest \(fragments.0.name: "),
        ({"fragments": [{**FRAGMENT, "name": "x.parquet"}]}, r"not a manifest \(fragments.0.name: "),
        ({"fragments": [{**FRAGMENT, "num_rows": "6"}]}, r"not a manifest \(fragments.0.num_rows: "),
        ({"fragments": [{**FRAGMENT, "num_rows": -1}]}, r"not a manifest \(fragments.0.num_rows: "),
        ({"fragments": [{**FRAGMENT, "sha256": None}]}, r"not a manifest \(fragments.0.sha256: "),
        ({"fragments": [FRAGMENT, FRAGMENT]}, "it names a fragment twice"),
        ({"completed_at": "yesterday"}, r"not a manifest \(completed_at: "),
        ({"completed_at": float("nan")}, r"not a manifest \(completed_at: "),
        ({"completed_at": 1e18}, r"not a manifest \(completed_at: "),
        ({"inputs": ["problems"]}, r"not a manifest \(inputs: "),
        ({"inputs": {"problems": 5}}, r"not a manifest \(inputs.problems: "),
        ({"settings": None}, r"not a manifest \(settings: "),
        ({"colour": "red"}, r"not a manifest \(colour: "),
        ({"schema_version": "1"}, "not a manifest"),
        ({"schema_version": 99}, "written by a newer onoff .* update onoff"),
        ({"schema_version": 0}, "written by an older onoff .* remove this generation's folder and materialize"),
    ],
)
def test_a_manifest_that_lies_is_an_error_that_says_what_to_do(
    local: Store, change: dict[str, object], message: str
) -> None:
    generation = make_generation(local, "samples", KEY, "f1")
    path = local.files.path(f"{generation.folder}/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StoreError, match=message):
        local.generation("samples", KEY, "f1").read()
    make_partition(local, "d2")
    publish_catalog(local)  # which has all the others, and only those
    with connect_catalog(local) as connection:
        found = connection.execute("SELECT dataset, asset FROM generations WHERE asset = 'samples'").fetchall()
    assert found == [("d2", "samples")]
    (damaged,) = [found for found in verify(local) if isinstance(found, Finding)]
    assert (damaged.damaged, damaged.where) == (True, local.files.location(generation.folder))
    assert re.search(message, damaged.wrong)


@pytest.mark.parametrize(
    "pointer",
    [
        *("[]", "{", "5"),
        *('{"fingerprint": 5}', '{"fingerprint": null}', '{"fingerprint": ""}', '{"fingerprint": "../m2/f1"}'),
        *('{"fingerprint": "f1", "previous": 5}', '{"fingerprint": "f1", "previous": [1]}'),
    ],
)
def test_a_pointer_that_lies_is_an_error_that_says_what_to_do(local: Store, pointer: str) -> None:
    make_partition(local)
    local.files.write_bytes("samples/d1/m1/current.json", pointer.encode())
    with pytest.raises(StoreError, match=r"current.json: damaged .*remove it and materialize samples of d1\|m1 again"):
        local.require("samples", KEY)
    publish_catalog(local)
    with connect_catalog(local) as connection:
        assert connection.execute("SELECT count(*) FROM generations").fetchall() == [(5,)]


def test_a_manifest_that_lies_about_rows(local: Store) -> None:
    generation = make_generation(local, "samples", KEY, "f1")
    path = local.files.path(f"{generation.folder}/manifest.json")
    raw = json.loads(path.read_text())
    raw["fragments"][0]["num_rows"] = 7
    path.write_text(json.dumps(raw))
    with pytest.raises(StoreError, match=r"00000.parquet: holds 6 rows, its manifest says 7"):
        generation.read()
    assert generation.damage() == {"00000.parquet": "6 rows, the manifest says 7"}


def test_foreign_files_have_no_effect(local: Store) -> None:
    make_partition(local)
    for name in ("samples/notes.txt", "samples/d1/.DS_Store", "samples/d1/m1/x/y.txt", "samples/d1/m1/bbbb1/7.parquet"):
        path = local.files.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not ours")
    generation = local.require("samples", KEY)
    local.files.path(f"{generation.folder}/00009.parquet").write_text("not ours, with a name like ours")
    assert local.partitions("samples") == [KEY]
    assert generation.fragment_indices() == {0, 1}
    assert generation.read().num_rows == 12
    assert generation.damage() == {}


def test_what_is_gone_is_not_called_complete(local: Store) -> None:
    """The store was removed or replaced while this process wrote it: its memory of what it wrote proves nothing."""
    for take in (lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1another file's contentPAR1")):
        generation = local.generation("samples", KEY, "f1")
        for number in range(2):
            generation.write_fragment(number, [fragment_table("samples", number)])
        take(local.files.path("samples/d1/m1/f1/00000.parquet"))
        with pytest.raises(StoreError, match=r"was written, and is gone or another file now; was the store removed"):
            generation.complete({}, {}, {}, [0, 1])
        assert not generation.is_complete
