"""Attacks on whole projects, apart from the other tests: `make test-attacks`.

Each attack is tried a number of times, from a seed. A try holds if afterwards the store verifies, its results are those
of an uninterrupted run, no reader read half a result, and what a user was told is a sentence. The counts are printed
at the end.
"""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.acting import KEY, Actor
from tests.conftest import write_study

SEED = int(os.environ.get("ONOFF_TEST_ATTACKS_SEED", "16"))
SECONDS = float(os.environ.get("ONOFF_TEST_ATTACKS_SECONDS", "840"))
_BEGAN = time.monotonic()
_COUNTS: dict[str, list[int]] = {}  # attack: tried, held

SCRIPT = {"responses": [f"so it is \\boxed{{{number}}}" for number in range(30)]}


class Attack:
    """The tries of one attack."""

    def __init__(self, name: str) -> None:
        self.name, self.faults = name, list[str]()
        self._counts = _COUNTS.setdefault(name, [0, 0])

    def tries(self, what: Any) -> Iterator[Any]:
        """Each of what is to be tried, as long as there is time."""
        for one in what:
            if time.monotonic() - _BEGAN > SECONDS:
                print(f"{self.name}: no time for {one}")
                return
            yield one

    def held(self, one: object, fault: str | None) -> None:
        """Count a try."""
        self._counts[0] += 1
        if fault is None:
            self._counts[1] += 1
        else:
            self.faults.append(f"{one}: {fault}")

    def check(self) -> None:
        """At the end of all tries."""
        tried, held = self._counts
        print(f"{self.name}: tried {tried}, held {held}", flush=True)
        assert not self.faults, "\n\n".join(self.faults[:6])


@pytest.fixture
def attack(request: pytest.FixtureRequest) -> Attack:
    return Attack(request.node.name.removeprefix("test_").replace("_", " "))


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{SEED} {request.node.name}")


def new_project(folder: Path, seconds_per_response: float = 0.0, **sections: Any) -> Path:
    """A project over the fake engine: four fragments of each large table."""
    folder.mkdir(parents=True)
    script = {**SCRIPT, "seconds_per_response": seconds_per_response}
    model = {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}
    write_study(
        folder,
        None,
        datasets={"arithmetic": {"num_examples": 16}},
        models={"tiny": model},
        sampling={"max_length": 24, "num_samples": 8, "batch_size": 16, "seed": 7},
        **sections,
    )
    return folder


@pytest.fixture(scope="session")
def intact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A project with everything made, and its digest."""
    folder = new_project(tmp_path_factory.mktemp("intact") / "project")
    ended = Actor(folder, ["make", KEY], ["digest"]).end()
    assert ended.fault([0]) is None, ended.fault([0])
    assert ended.digest
    return folder, ended.digest


@pytest.fixture
def copies(intact: tuple[Path, dict[str, str]], tmp_path: Path) -> Callable[[object], Path]:
    """Make a copy of the intact project."""

    def copy(name: object) -> Path:
        return Path(shutil.copytree(intact[0], tmp_path / str(name)))

    return copy


# Grading takes seconds to start, so what is not about it goes without.
QUICK = ("samples", "token_distributions")
_OF_QUICK = (*QUICK, "problems", "vocabulary")


def mended(
    folder: Path, expected: dict[str, str], *, first: str | None = None, assets: tuple[str, ...] = ()
) -> str | None:
    """Do what messages say: make the partition again, and where that says to remove `first`, remove it and make again.
    The fault that is there then; None: the store verifies, and has the results of an uninterrupted run. `assets`: of
    those alone; empty: of all.
    """
    make = ["make", KEY, *assets]
    ended = Actor(folder, make).end()
    if ended.fault() is not None:
        return ended.fault()
    if ended.status == 1:
        if first is None or "remove" not in ended.output:
            return "it cannot be made again:\n" + ended.output[-1500:]
        (folder / "store" / first).unlink(missing_ok=True)
    ended = Actor(folder, make, ["onoff", "prune", "--yes"], ["onoff", "verify"], ["digest"]).end()
    if ended.fault([0]) is not None:
        return ended.fault([0])
    some = {name: value for name, value in expected.items() if set(name.split()) & set(_OF_QUICK)}
    return differing(ended.digest, some if assets else expected)


def differing(found: dict[str, str] | None, expected: dict[str, str]) -> str | None:
    if found is None:
        return "nothing could be read"
    other = [name for name in expected if found.get(name) != expected[name]]
    return f"other content than of an uninterrupted run: {other}" if other else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As much time for each test as for all of them: on a busy machine it is `tries` that ends one."""
    for item in [item for item in items if Path(__file__).parent in item.path.parents]:
        item.add_marker(pytest.mark.timeout(SECONDS + 60))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _COUNTS:
        return
    terminalreporter.section(f"attacks, seed {SEED}")
    for name, (tried, held) in _COUNTS.items():
        failed = tried - held
        terminalreporter.line(f"{name:<60} tried {tried:>4}  held {held:>4}  failed {failed:>4}")
    tried, held = (sum(counts[i] for counts in _COUNTS.values()) for i in (0, 1))
    seconds = time.monotonic() - _BEGAN
    terminalreporter.line(f"{'all':<60} tried {tried:>4}  held {held:>4}  failed {tried - held:>4}  in {seconds:.0f} s")
