"""Writers killed at random moments under readers: whole states all the time, and a store in order afterwards."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from onoff_core.store import Store, connect_catalog, current_generations, publish_catalog
from onoff_core.store.upkeep import prune, removable, remove_leftovers, verify
from onoff_core.tables import SCHEMAS
from tests.store.conftest import environment
from tests.store.making import make_partition

MODELS = ("m0", "m1", "m2")
SECONDS = float(os.environ.get("ONOFF_TEST_KILLING_SECONDS", "6"))
SEED = int(os.environ.get("ONOFF_TEST_KILLING_SEED", "11"))
KEEP = 3  # former generations; a reader of one that is removed while it reads is told so, which is not this test's

# Has children that make versions again and again (new ones, former ones, removed ones). Each is killed after a moment,
# or kills itself at one of its next steps with a file: there the store is between two states. A fork is there at once;
# a new interpreter would spend its life importing.
KILLER = f"""
import os, random, signal, sys, time
from onoff_core.store import Store, publish_catalog
from onoff_core.store.upkeep import prune, removable, remove_leftovers
from tests.store.making import make_partition

def write(store, dice):
    steps = dice.randrange(1, 800)

    def step(event, _):
        nonlocal steps
        if event == "open" or event.startswith(("os.", "shutil.", "fcntl.", "tempfile.")):
            steps -= 1
            if steps == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    while True:
        make_partition(store, "d1", dice.choice({MODELS}), str(dice.randrange(8)))
        publish_catalog(store)
        if dice.random() < 0.3:
            prune(store, removable(store, keep={KEEP}, unfinished=dice.random() < 0.5))
            remove_leftovers(store)

os.fsync = lambda _: None  # what a killed process wrote is not lost, so nobody need wait for the disk
dice, stop, kills = random.Random(int(sys.argv[2])), [], 0
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
make_partition(Store(sys.argv[1]), "d1", "m0", "0")  # so that everything is imported
print("ready", flush=True)
while not stop:
    seed, end = dice.random(), time.monotonic() + dice.choice((dice.uniform(0.0, 0.5), 5.0))
    child = os.fork()
    if not child:
        write(Store(sys.argv[1]), random.Random(seed))
    while time.monotonic() < end and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        sys.exit("a writer ended by itself")
    kills += 1
print(kills)
"""

READER = """
import signal, sys
from onoff_core.store import Catalog, Store, connect_catalog
from tests.store.test_killed import see_catalog, see_current
store, way = Store(sys.argv[1]), sys.argv[2]
catalog, stop, reads = Catalog(store), [], 0
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
print("ready", flush=True)
while not stop:
    if way == "connection":
        with connect_catalog(store) as connection:
            see_catalog(connection)
    elif way == "cursor":
        with catalog.cursor() as cursor:
            see_catalog(cursor)
    else:
        see_current(store)
    reads += 1
print(reads)
"""

# One row per partition with samples: what its generation says, and what is there of each table.
STATE = """
SELECT g.model, g.fingerprint, g.num_rows, s.n, s.tags, s.tag, d.n,
    (SELECT count(*) FROM rewards AS r WHERE r.model = g.model),
    (SELECT num_rows FROM generations AS r WHERE r.asset = 'rewards' AND r.model = g.model)
FROM generations AS g
LEFT JOIN (SELECT model, count(*) AS n, count(DISTINCT split_part(response, ' answer', 1)) AS tags,
    min(split_part(response, ' answer', 1)) AS tag FROM samples GROUP BY model) AS s USING (model)
LEFT JOIN (SELECT model, count(*) AS n FROM token_distributions GROUP BY model) AS d USING (model)
WHERE g.asset = 'samples' ORDER BY g.model
"""


def see_catalog(connection) -> None:  # type: ignore[no-untyped-def]
    for model, fingerprint, said, samples, tags, tag, tokens, rewards, rewards_said in connection.execute(
        STATE
    ).fetchall():
        assert (said, samples, tags) == (12, 12, 1), (model, said, samples, tags)
        assert tag == f"d1 {model} {fingerprint.removeprefix('bbbb')}", (tag, fingerprint)
        assert tokens in (None, 60), tokens
        assert rewards == (rewards_said or 0), (rewards, rewards_said)
        of = connection.execute(f"SELECT count(*) FROM token_distributions_of('d1', '{model}')").fetchall()[0][0]
        assert of == (tokens or 0), (of, tokens)


def see_current(store: Store) -> None:
    for asset, rows in (("samples", 12), ("rewards", 12), ("statistics", 1), ("token_distributions", 60)):
        for model in MODELS:
            generation = store.current(asset, ("d1", model))
            if generation is not None:
                table = generation.read()
                assert table.num_rows == rows, (generation, table.num_rows)
                if asset == "samples":
                    version = generation.fingerprint.removeprefix("bbbb")
                    tags = {text.split(" answer")[0] for text in table["response"].to_pylist()}
                    assert tags == {f"d1 {model} {version}"}, tags


def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_writers_killed_at_random_show_no_reader_half_a_result(local: Store) -> None:
    print(f"ONOFF_TEST_KILLING_SEED={SEED}")
    make_partition(local, "d1", "m0", "0")
    publish_catalog(local)
    running = [start(READER, str(local.root), way) for way in ("connection", "cursor", "current")]
    running += [start(KILLER, str(local.root), str(SEED + number)) for number in range(2)]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and all(process.poll() is None for process in running):
            time.sleep(0.1)
        for process in reversed(running):
            process.send_signal(signal.SIGINT)
        counts = []
        for process in running:
            output, errors = process.communicate()
            assert process.returncode == 0, errors
            counts.append(int(output))
    finally:
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    print("reads by connection, cursor and pointer; kills:", counts)
    assert min(counts) > 0
    the_catalog_has_what_the_pointers_say(local)
    the_store_is_in_order_after_one_more_writer(local)


def the_catalog_has_what_the_pointers_say(store: Store) -> None:
    """No change is lost, whoever died before it was published."""
    publish_catalog(store)
    with connect_catalog(store) as connection:
        published = set(connection.execute("SELECT folder FROM generations").fetchall())
    currents = [store.current(asset, partition) for asset in SCHEMAS for partition in store.partitions(asset)]
    assert published == {(current.folder,) for current in currents if current is not None}


def the_store_is_in_order_after_one_more_writer(store: Store) -> None:
    for model in MODELS:
        make_partition(store, "d1", model, "9")
    publish_catalog(store)
    assert [found for found in verify(store) if hasattr(found, "damaged")] == []
    removals = removable(store, unfinished=True)
    assert prune(store, removals) == removals
    remove_leftovers(store)
    root = Path(store.root)
    assert list(root.rglob(".tmp-*")) == []
    assert list(root.glob("changed/*.json")) == []
    for asset in SCHEMAS:
        for partition in store.partitions(asset):
            (only,) = store.generations(asset, partition)
            current = store.current(asset, partition)
            assert current is not None
            assert only.fingerprint == current.fingerprint
            assert only.fingerprint in ("0000", *(f"{letter * 4}9" for letter in "abcde"))
    assert {key: now.fingerprint for key, now in current_generations(store).items() if key[0] == "samples"} == {
        ("samples", ("d1", model)): "bbbb9" for model in MODELS
    }
    with connect_catalog(store) as connection:
        see_catalog(connection)
