"""Runs that are disturbed: two at once, the store taken away under them, signals."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.acting import KEY, Actor, Limits
from tests.attacks.conftest import QUICK, Attack, mended, new_project

NOBODY = 65534
SLOW = 0.02  # seconds a response: a run of 128 responses takes some three


def at_work(folder: Path, fragments: int = 1, limits: Limits | None = None) -> Actor:
    """A process that makes the partition and has written so many fragments of samples."""
    actor = Actor(folder, ["make", KEY, *QUICK], limits=limits)
    deadline = time.monotonic() + 60
    while len(list((folder / "store").glob("samples/*/*/*/0*.parquet"))) < fragments:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return actor


def test_two_processes_on_one_partition(
    attack: Attack, dice: random.Random, tmp_path: Path, intact: tuple[Path, dict[str, str]]
) -> None:
    """Nothing is made twice, and one goes on where the other is killed."""
    for number in attack.tries(range(6)):
        folder = new_project(tmp_path / str(number), SLOW)
        first, second = (Actor(folder, ["make", KEY, *QUICK]) for _ in range(2))
        kill = number % 2 == 1
        if kill:
            time.sleep(dice.uniform(0.2, 3))
            first.kill(signal.SIGKILL)
        ended = [actor.end() for actor in (first, second)]
        fault = ended[1].fault([0]) or (None if kill else ended[0].fault([0]))
        made = [len(list((folder / "store" / asset).glob("*/*/*/0*.parquet"))) for asset in QUICK]
        if fault is None and made != [4, 4]:
            fault = f"{made} fragments"
        attack.held("one killed" if kill else "both", fault or mended(folder, intact[1], assets=QUICK))
    attack.check()


TAKEN = ("removed", "replaced by an empty one", "replaced by a whole one", "a file in its place", "a link to nothing")


def take(folder: Path, how: str, whole: Path) -> None:
    """Do this to the store's folder."""
    store = folder / "store"
    os.rename(store, folder / "former")
    match how:
        case "removed":
            shutil.rmtree(folder / "former")
        case "replaced by an empty one":
            store.mkdir()
        case "replaced by a whole one":
            shutil.copytree(whole / "store", store)
        case "a file in its place":
            store.write_text("not a folder")
        case "a link to nothing":
            store.symlink_to(folder / "nowhere")


@pytest.mark.parametrize("how", TAKEN)
def test_the_store_taken_away_in_a_run(
    attack: Attack, dice: random.Random, tmp_path: Path, how: str, intact: tuple[Path, dict[str, str]]
) -> None:
    """The run says so, or goes on with what is there; it never calls complete what is not. The next run makes it."""
    for number in attack.tries(range(3)):
        folder = new_project(tmp_path / str(number), SLOW)
        actor = at_work(folder, 1 + number)
        time.sleep(dice.uniform(0, 0.3))
        take(folder, how, intact[0])
        ended = actor.end()
        fault = ended.fault()
        if (folder / "store").is_file() or (folder / "store").is_symlink():
            (folder / "store").unlink()
        verified = Actor(folder, ["onoff", "status"], ["onoff", "verify"]).end()
        fault = fault or verified.fault([0])
        attack.held(how, fault or mended(folder, intact[1], assets=QUICK))
    attack.check()


def test_the_store_made_read_only_in_a_run(
    attack: Attack, dice: random.Random, tmp_path: Path, intact: tuple[Path, dict[str, str]]
) -> None:
    """By its owner, who is not almighty."""
    for number in attack.tries(range(6)):
        folder = new_project(tmp_path / str(number), SLOW)
        actor = at_work(folder, 1 + number % 3, Limits(powerless=True))
        time.sleep(dice.uniform(0, 0.3))
        for place in [folder / "store", *(folder / "store").rglob("*")]:
            place.chmod(0o555 if place.is_dir() else 0o444)
        ended = actor.end()
        fault = ended.fault()
        if fault is None and ended.status == 1 and "cannot be" not in ended.output:
            fault = "it does not say what is wrong:\n" + ended.output[-800:]
        looked = Actor(
            folder, ["onoff", "status"], ["onoff", "verify"], ["onoff", "usage"], limits=Limits(powerless=True)
        ).end()
        fault = fault or looked.fault([0])
        for place in [folder / "store", *(folder / "store").rglob("*")]:
            place.chmod(0o755)
        attack.held(number, fault or mended(folder, intact[1], assets=QUICK))
    attack.check()


def give(folder: Path, user: int) -> None:
    """Let all in a folder belong to a user."""
    for place in [folder, *folder.rglob("*")]:
        os.chown(place, user, user)


def children_of(group: int) -> list[int]:
    """Processes of a process group that are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(of) == group and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_run_that_gets_a(
    attack: Attack, dice: random.Random, tmp_path: Path, number: signal.Signals, intact: tuple[Path, dict[str, str]]
) -> None:
    """It ends soon, leaves no process behind, and the next one goes on."""
    for one in attack.tries(range(4)):
        folder = new_project(tmp_path / str(one), SLOW / 2)
        actor = Actor(folder, ["make", KEY]).begun()
        time.sleep(dice.uniform(0.1, 2))
        actor.kill(number)
        ended = actor.end(20)
        fault = ended.fault([0, 130, -number])
        deadline = time.monotonic() + 10
        while fault is None and (left := children_of(actor.pid)):
            if time.monotonic() > deadline:
                fault = f"processes {left} are left"
            time.sleep(0.1)
        attack.held(one, fault or mended(folder, intact[1]))
    attack.check()


COMMANDS = (
    ["onoff", "export", "--dataset", "arithmetic", "--model", "tiny", "--output", "exported"],
    ["onoff", "prune", "--yes"],
    ["onoff", "rename", "model", "tiny", "other"],
    ["onoff", "import", "exported", "--dataset", "arithmetic", "--model", "tiny"],
    ["onoff", "verify"],
    ["onoff", "status", "--all"],
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_a_command_that_gets_a(
    attack: Attack, dice: random.Random, copies: Callable[[object], Path], number: signal.Signals,
    intact: tuple[Path, dict[str, str]],
) -> None:  # fmt: skip
    """The same command afterwards finishes what it began, and nothing is lost."""
    for one, command in attack.tries(enumerate(COMMANDS)):
        folder = copies(one)
        if "import" in command:
            exported = Actor(folder, list(COMMANDS[0])).end()
            assert exported.fault([0]) is None, exported.fault([0])
        actor = Actor(folder, list(command)).begun()
        time.sleep(dice.uniform(0, 0.05))
        actor.kill(number)
        fault = actor.end(20).fault([0, 130, -number])
        again = Actor(folder, list(command), ["onoff", "verify"]).end()
        if fault is None and not ("rename" in command and "has nothing of the model 'tiny'" in again.output):
            fault = again.fault([0])
        if fault is None and "rename" in command:
            back = Actor(folder, ["onoff", "rename", "model", "other", "tiny"]).end()
            fault = back.fault([0])
        attack.held(" ".join(command), fault or mended(folder, intact[1]))
    attack.check()
