"""Many writers and readers at once, in processes of their own, some killed at random."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import duckdb
import pytest

from onoff_core.store import Catalog, Store, connect_catalog, publish_catalog
from onoff_core.store import catalog as catalog_module
from tests.conftest import MakeProject
from tests.store.conftest import environment
from tests.store.making import PROBLEMS, SAMPLES, TOKENS, fragment_table, make_generation, make_partition

WRITERS, FRAGMENTS = 8, 200
KEY = ("d1", "m1")

WRITER = """
import sys
from onoff_core.store import Store
from tests.store.making import fragment_table
store, number, count = Store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
generation = store.generation("samples", ("d1", "m" + number), "f1")
table = fragment_table("samples", 0)
with store.writing(generation):
    there = generation.fragment_indices()
    for index in range(count):
        if index not in there:
            generation.write_fragment(index, [table])
            print(index, flush=True)
    generation.complete({}, {}, {}, range(count))
    store.make_current(generation)
"""

PARTITION_WRITER = """
import sys
from onoff_core.store import Store, publish_catalog
from tests.store.making import make_generation, make_partition
store, model, rounds = Store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for round in range(rounds):
    make_partition(store, "d1", model, str(round))
    publish_catalog(store)
"""


def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def acknowledged(process: "subprocess.Popen[str]", into: set[int]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        into.add(int(line))


def test_kill_9_loses_no_acknowledged_fragment_and_leaves_no_half_one(local: Store) -> None:
    dice = random.Random(5)
    acks: list[set[int]] = [set() for _ in range(WRITERS)]
    running: dict[int, subprocess.Popen[str]] = {}
    listeners = []
    kills = 0
    waiting = list(range(WRITERS))
    while waiting or running:
        for number in waiting:
            running[number] = start(WRITER, str(local.root), str(number), str(FRAGMENTS))
            listeners.append(threading.Thread(target=acknowledged, args=(running[number], acks[number])))
            listeners[-1].start()
        waiting = []
        time.sleep(dice.uniform(0.1, 0.4))
        for number, process in list(running.items()):
            if process.poll() is not None:
                assert process.stderr is not None
                assert process.returncode in (0, -signal.SIGKILL), process.stderr.read()
                del running[number]
                if process.returncode:
                    waiting.append(number)
        alive = [number for number in running if acks[number]]
        if alive and kills < 12:
            os.kill(running[dice.choice(alive)].pid, signal.SIGKILL)
            kills += 1
            check_each_fragment_is_whole(local, acks)
    for listener in listeners:
        listener.join()
    assert kills == 12
    # Killed between writing and saying so, a fragment is there without an acknowledgement: one a kill at most.
    assert sum(map(len, acks)) >= WRITERS * FRAGMENTS - kills
    for number in range(WRITERS):
        generation = local.require("samples", ("d1", f"m{number}"))
        assert generation.damage() == {}
        assert generation.manifest().num_rows == FRAGMENTS * fragment_table("samples", 0).num_rows


def check_each_fragment_is_whole(store: Store, acks: list[set[int]]) -> None:
    """While writers are at work: what was acknowledged is there, and all that is there is whole."""
    for number, ack in enumerate(acks):
        known = set(ack)
        generation = store.generation("samples", ("d1", f"m{number}"), "f1")
        assert known <= generation.fragment_indices()
        assert generation.damage() == {}


def test_eight_writers_publish_while_readers_see_whole_states(local: Store) -> None:
    """10 reads a second, by the catalog's own reader and by a plain read-only connection in another process."""
    make_partition(local, "d0", "m0")
    publish_catalog(local)
    outside = start(OUTSIDE_READER, str(local.files.location("catalog.duckdb")))
    writers = [start(PARTITION_WRITER, str(local.root), f"m{number}", "2") for number in range(WRITERS)]
    catalog, seen, reads = Catalog(local), set(), 0
    while any(writer.poll() is None for writer in writers):
        with catalog.cursor() as cursor:
            generations = one_state(cursor)
        seen.add(generations)
        reads += 1
        time.sleep(0.1)
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    assert outside.stdin is None
    outside.send_signal(signal.SIGINT)
    output, errors = outside.communicate()
    assert "read" in output, errors
    assert outside.returncode == 0, errors
    assert reads > 10
    assert len(seen) > 2
    with connect_catalog(local) as connection:
        rows = (WRITERS + 1) * PROBLEMS * SAMPLES
        assert connection.execute("SELECT count(*) FROM rewards").fetchall() == [(rows,)]
        unique = "SELECT count(DISTINCT (dataset, model, problem_id, sample_index, position)) FROM token_distributions"
        assert connection.execute(unique).fetchall() == [(rows * TOKENS,)]
    assert local.changes() == []


def one_state(connection: duckdb.DuckDBPyConnection) -> int:
    """The copied tables and the views agree with the manifests as the same snapshot has them."""
    wrong = connection.execute(
        "WITH counted AS (SELECT 'rewards' AS asset, dataset, model, count(*) AS n FROM rewards GROUP BY ALL UNION ALL "
        "SELECT 'samples', dataset, model, count(*) FROM samples GROUP BY ALL) "
        "SELECT * FROM counted FULL JOIN (FROM generations WHERE asset IN ('rewards', 'samples')) AS g "
        "USING (asset, dataset, model) WHERE n IS DISTINCT FROM num_rows"
    ).fetchall()
    assert wrong == []
    found: int = connection.execute("SELECT count(*) FROM generations").fetchall()[0][0]
    return found


OUTSIDE_READER = """
import signal, sys, time
import duckdb
from tests.store.test_many import one_state
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
reads = 0
while not stop:
    with duckdb.connect(sys.argv[1], read_only=True) as connection:
        one_state(connection)
    reads += 1
    time.sleep(0.1)
print(reads, "read")
"""

SAME = """
import sys
from onoff_core.grid.materialize import materialize_samples
from onoff_core.store import Store
from onoff_core.study import load_study
study = load_study()
made = materialize_samples(study.partition("arithmetic|tiny"), Store(study.store_path))
print(made.computed, made.manifest.num_rows)
"""


def test_the_second_of_the_same_partition_waits_and_finds_it_done(make_project: MakeProject) -> None:
    make_project()
    both = [start(SAME), start(SAME)]
    outputs = []
    for process in both:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        outputs.append(output.strip())
    assert sorted(outputs) == ["False 12", "True 12"]


def test_two_writers_of_the_same_partition_join_where_nobody_can_wait(place: str) -> None:
    """Also on S3: both finish without an error, no row is lost or doubled, and all is as the manifest says."""
    stores = [Store(place), Store(place)]
    errors: list[Exception] = []

    def write(store: Store) -> None:
        try:
            make_partition(store)
            publish_catalog(store)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    samples = stores[0].require("samples", KEY)
    assert samples.damage() == {}
    with connect_catalog(stores[0]) as connection:
        keys = "SELECT count(*), count(DISTINCT (problem_id, sample_index)) FROM samples"
        assert connection.execute(keys).fetchall() == [(PROBLEMS * SAMPLES, PROBLEMS * SAMPLES)]


def test_a_publication_overtaken_by_another_loses_neither(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins when the first has read everything: locally it has to wait, on S3 the first begins again."""
    first, second = Store(place), Store(place)
    make_generation(first, "rewards", ("d0", "m0"), "f0")
    publish_catalog(first)
    make_generation(first, "rewards", ("d0", "m1"), "f1")
    replace = catalog_module._replace
    others: list[threading.Thread] = []

    def overtaken(*arguments, **named) -> None:  # type: ignore[no-untyped-def]
        replace(*arguments, **named)
        if not others:
            make_generation(second, "rewards", ("d0", "m2"), "f2")
            others.append(threading.Thread(target=publish_catalog, args=(second,)))
            others[0].start()
            others[0].join(timeout=1.0 if first.files.locks else None)

    monkeypatch.setattr(catalog_module, "_replace", overtaken)
    publish_catalog(first)
    others[0].join()
    with connect_catalog(Store(place)) as connection:
        models = connection.execute("SELECT DISTINCT model FROM rewards ORDER BY model").fetchall()
    assert models == [("m0",), ("m1",), ("m2",)]
    assert first.changes() == []
