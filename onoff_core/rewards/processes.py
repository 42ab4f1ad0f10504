"""One grading process as its parent sees it: what it was given, since when it is silent, and how long it has worked."""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STUCK_SECONDS = 0.5  # from here on, others take over the rest of the batch
_BUSY_MACHINE = 4  # so many times as long by the clock, where it may have to wait for the processor
_PACKAGE_ROOT = Path(__file__).parents[2]


@dataclass
class Job:
    """Items to be compared with one gold answer, or, where `gold` is None, with one another.

    `known` holds the classes found so far, as (class, one answer of it).
    """

    gold: str | None
    items: list[tuple[int, str]]
    known: list[tuple[int, str]] = field(default_factory=list)
    ended_at: tuple[bool, int] | None = None  # what took its process down once: the gold answer, or the item it was at
    gold_parsed: bool = False
    put_off: bool = False  # it was stuck once, and waited for all others
    beside: str | None = None  # the gold answer of items that are compared with one another
    alone: bool = False  # it is tried once more by itself, in a new process
    tries: int = 0  # how often its process got too little of the processor

    def message(self, number: int) -> dict[str, Any]:
        if self.gold is not None:
            return {"job": number, "gold": self.gold, "items": self.items}
        return {"job": number, "known": self.known, "beside": self.beside, "items": self.items}

    @property
    def size(self) -> int:
        return len(self.gold or "") + sum(len(text) for _, text in self.items)


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _cpu_seconds(process_id: int) -> float | None:
    """The processor time of a process so far; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Worker:
    """One process, what it was given, and since when it has been silent."""

    def __init__(self, memory_bytes: int, cpu_seconds: int, reward_type: str) -> None:
        path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "onoff_core.rewards.worker", str(memory_bytes), str(cpu_seconds), reward_type],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},  # one hash seed: one verdict
        )
        self.ready = self.busy = False
        self.fresh = True  # it has been given nothing yet
        self.jobs: dict[int, Job] = {}  # in the order in which they are worked on
        self.robbed = False
        self.buffer = b""
        self.mark()

    def mark(self) -> None:
        """It has just said or got something."""
        self.last_word, self.cpu_then = time.monotonic(), _cpu_seconds(self.process.pid)

    def worked(self) -> float | None:
        """The processor time since its last word, in seconds; None where the system does not tell."""
        return None if self.cpu_then is None else max(0.0, (_cpu_seconds(self.process.pid) or 0.0) - self.cpu_then)

    def waited(self) -> float:
        """The time by the clock since its last word, in seconds."""
        return time.monotonic() - self.last_word

    def stuck(self) -> bool:
        """Whether others shall take over: no verdict rests on it, so that the clock counts too."""
        worked = self.worked()
        return (
            self.waited() > STUCK_SECONDS * (1 if worked is None else _BUSY_MACHINE) or (worked or 0.0) > STUCK_SECONDS
        )

    @property
    def idle(self) -> bool:
        return self.ready and not self.busy

    def send(self, jobs: dict[int, Job]) -> None:
        assert self.process.stdin is not None
        self.jobs, self.busy, self.robbed, self.fresh = jobs, True, False, False
        self.mark()
        message = json.dumps([job.message(number) for number, job in jobs.items()])
        try:
            self.process.stdin.write(message.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; the end of its output says so too, and is handled there

    def lines(self) -> list[dict[str, Any]] | None:
        """What it has said; None when its output has ended."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            return None
        *whole, self.buffer = (self.buffer + data).split(b"\n")
        self.mark()
        return [json.loads(line) for line in whole]

    def end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what was still to be written has no reader any more
                    pipe.close()
        self.process.wait()
