"""The whole path of a partition with `store.path` an S3 URL, on both servers."""

import random
import socket
import threading
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import s3fs

from onoff_core.cli.main import main
from onoff_core.errors import StoreError
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import CATALOG_NAME, Store, connect_catalog, publish_catalog
from onoff_core.store.files.remote import S3Files
from onoff_core.store.upkeep import verify
from onoff_core.study import load_study
from tests.conftest import MakeProject
from tests.store.making import filled, fragment_table, make_generation


@pytest.mark.parametrize("kind", ["moto", "localbucket"])
def test_foreign_files_among_the_snapshots_have_no_effect(kind: str, bucket: Callable[[str], str]) -> None:
    store = Store(f"{bucket(kind)}/results")
    make_generation(store, "samples", ("d1", "m1"), "f1")
    publish_catalog(store)
    for name in ("README.txt", "000000009.duckdb.bak", "9.duckdb"):
        store.files.write_bytes(f".catalog/{name}", b"not ours")
    make_generation(store, "samples", ("d1", "m2"), "f1")
    publish_catalog(store)
    with connect_catalog(store) as connection:
        assert connection.execute("SELECT count(DISTINCT model) FROM samples").fetchall() == [(2,)]
    assert store.files.read_bytes(".catalog/README.txt") == b"not ours"


def test_a_server_that_went_away_is_a_clear_error(
    bucket: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"{bucket('moto')}/results")
    make_generation(store, "samples", ("d1", "m1"), "f1")
    samples = store.require("samples", ("d1", "m1"))
    assert samples.read_fragment(0).num_rows == 6
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    gone = Store(store.files.location("")).generation("samples", ("d1", "m1"), samples.fingerprint)
    for act in (
        gone.manifest,
        lambda: gone.read_fragment(0),
        lambda: gone.read_rows(0, {"problem_id": "p0"}),
        lambda: list(gone.batches(0, ["problem_id"], 5)),
        gone.damage,
        lambda: gone.write_fragment(5, [fragment_table("samples", 0)]),
    ):
        with pytest.raises(StoreError, match=r"cannot be (read|written) \(.*are store.path and the AWS_ environment"):
            act()


def test_a_put_whose_answer_was_lost_is_not_taken_for_anothers(
    bucket: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client puts again, and finds there what it had put."""
    store = Store(f"{bucket('moto')}/results")
    put_once = S3Files._created

    def put_twice(files: S3Files, put: Any) -> bool:
        put_once(files, put)
        return put_once(files, put)

    monkeypatch.setattr(S3Files, "_created", put_twice)
    make_generation(store, "samples", ("d1", "m1"), "f1")
    publish_catalog(store)
    assert store.files.children(".catalog") == ["000000001.duckdb"]
    with connect_catalog(store) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(12,)]


CUT_AFTER = 5 << 20  # bytes from the server; more than a catalog has, less than a large fragment


def cutting_proxy(target: str) -> str:
    """A way to the server at `target` on which every connection is lost after `CUT_AFTER` bytes."""
    host, port = target.removeprefix("http://").split(":")
    listening = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, left: int) -> None:
        try:
            while left > 0 and (data := source.recv(min(left, 65536))):
                sink.sendall(data)
                left -= len(data)
            for end in (source, sink):
                end.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other direction has closed them
            pass

    def serve() -> None:
        while True:
            client, _ = listening.accept()
            server = socket.create_connection((host, int(port)))
            for source, sink, left in ((client, server, 1 << 40), (server, client, CUT_AFTER)):
                threading.Thread(target=pump, args=(source, sink, left), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def large_table(problem_id: str) -> pa.Table:
    """A row group of some 7 MB: random digits are not to be compressed below half of their size."""
    return filled(
        "samples", [{"problem_id": problem_id, "response": random.Random(problem_id).randbytes(7 << 20).hex()}]
    )


def test_a_connection_lost_while_a_large_fragment_is_read_is_a_clear_error(
    moto: str, bucket: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither a traceback nor damage: a fragment that is whole is not set aside for it."""
    url = f"{bucket('moto')}/results"
    whole = Store(url)
    made = whole.generation("samples", ("d1", "m1"), "f1")
    made.write_fragment(0, [large_table("p0"), large_table("p1")])
    made.complete({}, {}, {})
    whole.make_current(made)
    publish_catalog(whole)

    monkeypatch.setenv("AWS_ENDPOINT_URL", cutting_proxy(moto))
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # s3fs begins again by itself five times, and then gives up
    s3fs.S3FileSystem.clear_instance_cache()
    store = Store(url)
    samples = store.require("samples", ("d1", "m1"))
    wrong = r"f1/00000\.parquet: cannot be read \(.*are store.path and the AWS_ environment right"
    for act in (
        lambda: samples.read_fragment(0),
        lambda: samples.read_rows(0, {"problem_id": "p1"}),
        lambda: list(samples.batches(0, ["response"], 1)),
        samples.damage,
        samples.set_aside_damaged,
        lambda: store.generation("samples", ("d1", "m1"), "f1").complete({}, {}, {}),
    ):
        with pytest.raises(StoreError, match=wrong):
            act()
    with connect_catalog(store) as connection, pytest.raises(duckdb.Error, match=f"StoreError: .*{wrong}"):
        connection.execute("SELECT sum(length(response)) FROM samples")
    assert whole.files.children(made.folder) == ["00000.parquet", "manifest.json"]


@pytest.mark.parametrize("kind", ["moto", "localbucket"])
def test_a_partition_is_materialized_read_and_shown(
    kind: str, bucket: Callable[[str], str], make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{bucket(kind)}/results"
    make_project(store={"path": url})
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    for materialize in (
        materialize_samples,
        materialize_rewards,
        materialize_statistics,
        materialize_token_distributions,
    ):
        assert materialize(partition, store).computed
    assert not materialize_samples(partition, Store(study.store_path)).computed

    with connect_catalog(store) as connection:
        tokens, samples = connection.execute(
            "SELECT (SELECT count(*) FROM token_distributions), (SELECT sum(num_tokens) FROM samples)"
        ).fetchall()[0]
    assert tokens == samples > 0
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    assert out.count("complete") == 4
    assert f"store: {url}" in out
    assert main(["show", "arithmetic|tiny"]) == 0
    assert len(list(verify(store))) == 8
    assert store.files.exists(CATALOG_NAME)
