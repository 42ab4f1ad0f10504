"""Too little of something: memory, open files, room in /tmp, rights, a locale, a home; files that grow when read."""

import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.attacks.acting import KEY, Actor, Ended, Limits
from tests.attacks.conftest import Attack, mended, new_project
from tests.attacks.test_interrupted import NOBODY, give
from tests.conftest import ROOT

MB = 1 << 20
PARTITION = ("--dataset", "arithmetic", "--model", "tiny")
EXPORT = ["onoff", "export", *PARTITION, "--output", "exported"]
READ = (["onoff", "status"], ["onoff", "show", KEY], ["onoff", "verify"], EXPORT, ["onoff", "check"])


def test_with_little_memory(attack: Attack, tmp_path: Path, intact: tuple[Path, dict[str, str]]) -> None:
    """As `ulimit -v` leaves it: the run ends with a sentence, and one with more memory goes on."""
    for megabytes in attack.tries((0, 5, 20, 80, 300)):
        folder = new_project(tmp_path / str(megabytes))
        ended = Actor(folder, ["make", KEY], limits=Limits(more_memory=megabytes * MB)).end()
        attack.held(f"{megabytes} MB, a run", _fault(ended) or mended(folder, intact[1]))
        for step in READ:
            ended = Actor(folder, step, limits=Limits(more_memory=megabytes * MB)).end()
            attack.held(f"{megabytes} MB, {step[1]}", _fault(ended))
        attack.held(f"{megabytes} MB, afterwards", mended(folder, intact[1]))
    attack.check()


def _fault(ended: Ended) -> str | None:
    """A library written in C may end the process where it finds no memory, as the kernel does; Python may not.

    The C library itself ends it, with status 127 and this sentence, where a thread that begins finds no memory.
    """
    by_library = ended.status == 127 and "cannot allocate memory for thread-local data: ABORT" in ended.output
    return None if (ended.status < 0 or by_library) and "Traceback" not in ended.output else ended.fault()


def test_with_few_open_files(attack: Attack, tmp_path: Path, intact: tuple[Path, dict[str, str]]) -> None:
    """As `ulimit -n` leaves it."""
    for count in attack.tries((4, 8, 12, 16, 24, 32)):
        folder = new_project(tmp_path / str(count))
        ended = Actor(folder, ["make", KEY], limits=Limits(files=count)).end()
        attack.held(f"{count} files, a run", ended.fault() or mended(folder, intact[1]))
        for step in READ:
            ended = Actor(folder, step, limits=Limits(files=count)).end()
            attack.held(f"{count} files, {step[1]}", ended.fault())
        attack.held(f"{count} files, afterwards", mended(folder, intact[1]))
    attack.check()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A full file system of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "onoff", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        with (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        pass
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_with_a_full_tmp(
    attack: Attack, full: Path, tmp_path: Path, intact: tuple[Path, dict[str, str]], copies: Callable[[object], Path]
) -> None:
    """Where TMPDIR, and every other place for scratch files, has no room; the store has."""
    limits = Limits(environment={name: str(full) for name in ("TMPDIR", "TEMP", "TMP")})
    folder = new_project(tmp_path / "run")
    ended = Actor(folder, ["make", KEY], limits=limits).end()
    attack.held("a run", ended.fault() or mended(folder, intact[1]))
    for number, step in attack.tries(enumerate((*READ, ["onoff", "prune", "--yes"]))):
        folder = copies(number)
        (folder / "store/catalog.duckdb").write_bytes(b"damaged")  # so that readers make one of their own
        ended = Actor(folder, step, limits=limits).end()
        attack.held(f"{step[1]}", ended.fault() or mended(folder, intact[1]))
    attack.check()


LOCALES: dict[str, dict[str, str | None]] = {
    "LC_ALL=C": {"LC_ALL": "C"},
    "C, and not UTF-8": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "no HOME": {"HOME": None},
    "a HOME that is not there": {"HOME": "/nowhere"},
    "nothing": dict.fromkeys(("HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "TERM", "TMPDIR")),
}


@pytest.mark.parametrize("name", LOCALES)
def test_in_the_environment(attack: Attack, tmp_path: Path, name: str) -> None:
    """A study and results with names and texts beyond ASCII, in processes that begin there."""
    folder = new_project(tmp_path / "ümläut ∑")
    study = folder / "onoff.yaml"
    study.write_text(study.read_text().replace("so it is", "∴ il est «très» 好"), encoding="utf-8")
    (folder / "rows.jsonl").write_text(json.dumps({"response": "∴ \\boxed{1}", "answer": "1"}, ensure_ascii=False))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **LOCALES[name]}
    given = {key: value for key, value in environment.items() if value is not None}
    made = [sys.executable, "-c", "from tests.attacks.acting import make; raise SystemExit(make())"]
    commands = [made, *([sys.executable, "-m", "onoff_core.cli.main", *step[1:]] for step in READ)]
    commands.append([sys.executable, "-m", "onoff_core.cli.main", "show", "∑|好"])
    for command in attack.tries(commands):
        done = subprocess.run(command, cwd=folder, env=given, capture_output=True, timeout=120)
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        told = "LC_ALL=C.UTF-8" in said  # where it takes this folder's name for something else
        wrong = "Traceback" in said or (done.returncode != (1 if "∑|好" in command else 0) and not told)
        attack.held(command[2:], f"status {done.returncode}: {said[-900:]}" if wrong else None)
    attack.check()


def test_another_user(
    attack: Attack, intact: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Reads what is somebody else's, writes nothing there, and is told so."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    base, expected = tmp_path_factory.mktemp("others"), intact[1]
    own = base / "own"
    own.mkdir()
    for catalog in attack.tries((True, False)):
        folder = new_project(base / f"project-{catalog}")
        assert mended(folder, expected) is None
        if not catalog:
            (folder / "store/catalog.duckdb").unlink()
        nobody = Limits(powerless=True, environment={"HOME": str(own), "TMPDIR": str(own)})
        give(folder, NOBODY)
        before = {path: path.stat().st_mtime_ns for path in (folder / "store").rglob("*")}
        for step in READ[:3]:
            attack.held(step[1:], Actor(folder, step, limits=nobody).end().fault([0]))
        attack.held("export", Actor(folder, [*EXPORT[:-1], str(own / f"{catalog}")], limits=nobody).end().fault([0]))
        for step in (["make", KEY], ["onoff", "prune", "--yes"], ["onoff", "rename", "model", "tiny", "x"], EXPORT):
            ended = Actor(folder, step, limits=nobody).end()
            attack.held(step[:2], ended.fault())
        after = {path: path.stat().st_mtime_ns for path in (folder / "store").rglob("*")}
        attack.held("nothing is changed", None if before == after else f"changed: {before.keys() ^ after.keys()}")
        give(folder, 0)
        attack.held("afterwards", mended(folder, expected))
    attack.check()


def _npz_of_zeros(path: Path, count: int) -> None:
    """An NPZ whose arrays have so many numbers, all 0: it is a thousand times smaller than they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("dist_0", "dist_0_indices", "dist_0_values", "vocab_size"):
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                header = {"descr": "<f4", "fortran_order": False, "shape": (2, count // 2)}
                np.lib.format.write_array_header_1_0(file, header)
                for _ in range(4 * count // MB):
                    file.write(bytes(MB))


def _npz_that_lies(path: Path) -> None:
    """An array that says to be a petabyte."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("dist_0.npy", "w") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (2, 1 << 47)}
        np.lib.format.write_array_header_1_0(file, header)


def _parquet_of_one_text(path: Path, rows: int, length: int) -> None:
    """Many rows of one long text, which is stored once."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * length]))
    pq.write_table(pa.table({"question": text, "answer": text}), path, compression="zstd")


def _json_lines(path: Path, megabytes: int) -> None:
    import gzip

    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(megabytes):
            file.write(b" " * MB)


def _results(content: str) -> Callable[[Path], None]:
    return lambda path: (path / "results.json").write_text(content) and None


BOMBS: dict[str, Callable[[Path], None]] = {
    "an NPZ of 4 GB": lambda path: _npz_of_zeros(path / "distributions.npz", 1 << 30),
    "an NPZ that lies": lambda path: _npz_that_lies(path / "distributions.npz"),
    "a Parquet file of 100 GB": lambda path: _parquet_of_one_text(path / "rows.parquet", 1_000_000, 100_000),
    "a Parquet file of one text of 1 GB": lambda path: _parquet_of_one_text(path / "rows.parquet", 8, 1 << 30),
    "a JSON Lines file of 8 GB": lambda path: _json_lines(path / "rows.jsonl.gz", 8 << 10),
    "results nested without end": _results("[" * 200_000),
    "results nested in a sample": _results('{"results": [{"samples": ' + "[" * 200_000),
    "a number without end": _results('{"results": [{"question": ' + "9" * 1_000_000 + ', "samples": ["a"]}]}'),
    "a number beyond all": _results(
        '{"results": [{"question": "q", "reference": 1e999, "samples": ["a"], "rewards": [1e999]}]}'
    ),
}
MEMORY = 3 << 30  # what the process may take: less than each of the bombs


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb(attack: Attack, tmp_path: Path, name: str, dice: random.Random) -> None:
    """It is refused with a sentence by who imports it, as results, as distributions, or as a data set."""
    folder = new_project(tmp_path / "project")
    bomb = tmp_path / "bomb"
    bomb.mkdir()
    BOMBS[name](bomb)
    steps: list[list[str]] = [["onoff", "import", str(bomb), *PARTITION]]
    if (bomb / "results.json").exists():
        steps.append(["onoff", "import", str(bomb), *PARTITION, "--own-problems"])
    for rows in bomb.glob("rows.*"):
        study = folder / "onoff.yaml"
        study.write_text(study.read_text().replace("num_examples: 16", f"path: {rows}"))
        steps = [["onoff", "check"], ["make", KEY], ["onoff", "grade", str(rows)]]
    if (bomb / "distributions.npz").exists():
        sample = {"text": "x", "token_strings": ["x", "x"], "entropies": [0.0, 0.0], "distributions": "dist_0"}
        content = {"metadata": {}, "prompts": ["p"], "results": [{"samples": [sample]}]}
        (bomb / "distributions.json").write_text(json.dumps(content))
        steps = [["load", str(bomb)]]
    for step in attack.tries(steps):
        ended = Actor(folder, step, limits=Limits(more_memory=MEMORY)).end(60)
        fault = ended.fault([1])
        peak = next((int(line.split()[1]) for line in ended.output.splitlines() if line.startswith("peak ")), 0)
        if fault is None and peak > 2 << 30:
            fault = f"it took {peak / (1 << 30):.1f} GB before it said so: {ended.output[-300:]}"
        attack.held(" ".join(step[:2]), fault)
    attack.check()
