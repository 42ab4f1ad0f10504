"""Grading processes and the clock over them.

The parent keeps every deadline: a process that does not report in time is killed and replaced, which works in any
thread and inside any executor, since no signal handler and no fork is involved. What one item costs, others do not
pay: while a process is stuck, the rest of its batch goes to another, and when all are stuck, what they are stuck with
is put off until the rest is done.
"""

import contextlib
import itertools
import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from onoff_core.errors import OnoffError

Failure = Literal["timeout", "gold_unparsed"]
OnOutcome = Callable[[int, bool | int | Failure], None]

_START_SECONDS = 120.0  # importing sympy, on a machine with much else to do
_STUCK_SECONDS = 0.5  # from here on, others take over the rest of the batch
_PATIENCE = 4.0  # a deadline is processor time, and at most so many times that by the clock
_BATCH_ITEMS, _BATCH_CHARACTERS = 64, 50_000
_PACKAGE_ROOT = Path(__file__).parents[2]


class GradingError(OnoffError):
    """The grading processes cannot do their work."""


@dataclass
class Job:
    """Items to be compared with one gold answer, or, where `gold` is None, with one another.

    `known` holds the classes found so far, as (class, one answer of it).
    """

    gold: str | None
    items: list[tuple[int, str]]
    known: list[tuple[int, str]] = field(default_factory=list)
    crashes: int = 0  # how often the first item took its process down
    gold_parsed: bool = False
    put_off: bool = False  # it was stuck once, and waited for all others

    def message(self, number: int) -> dict[str, Any]:
        if self.gold is not None:
            return {"job": number, "gold": self.gold, "items": self.items}
        return {"job": number, "known": self.known, "items": self.items}

    @property
    def size(self) -> int:
        return len(self.gold or "") + sum(len(text) for _, text in self.items)


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _cpu_seconds(process_id: int) -> float | None:
    """The processor time of a process so far; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Worker:
    """One process, what it was given, and since when it has been silent."""

    def __init__(self, memory_bytes: int, reward_type: str) -> None:
        path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "onoff_core.rewards.worker", str(memory_bytes), reward_type],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},  # one hash seed: one verdict
        )
        self.ready = self.busy = False
        self.jobs: dict[int, Job] = {}  # in the order in which they are worked on
        self.robbed = False
        self.buffer = b""
        self.mark()

    def mark(self) -> None:
        """It has just said or got something."""
        self.last_word, self.cpu_then = time.monotonic(), _cpu_seconds(self.process.pid)

    def silent(self) -> float:
        """For how many seconds it has worked without a word.

        Processor time, so that a verdict does not depend on what else the machine is doing; clock time where the
        system does not tell, or where it gets next to no processor.
        """
        elapsed = time.monotonic() - self.last_word
        if self.cpu_then is None:
            return elapsed
        return max((_cpu_seconds(self.process.pid) or 0.0) - self.cpu_then, elapsed / _PATIENCE)

    @property
    def idle(self) -> bool:
        return self.ready and not self.busy

    def send(self, jobs: dict[int, Job]) -> None:
        assert self.process.stdin is not None
        self.jobs, self.busy, self.robbed = jobs, True, False
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


class Pool:
    """Runs jobs in processes of its own; a context manager that leaves no process behind.

    `deadline_seconds` is what one item may take, `memory_bytes` what a process may use beyond its libraries,
    `reward_type` a name in `equality.REWARDS`. Processes start when there is work for them, and are kept from one
    `run` to the next. One pool belongs to one thread at a time.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        deadline_seconds: float = 5.0,
        memory_bytes: int = 1 << 30,
        reward_type: str = "math_verify",
    ) -> None:
        self.num_workers = num_workers or _usable_cpus()
        self.deadline_seconds, self.memory_bytes, self.reward_type = deadline_seconds, memory_bytes, reward_type
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._numbers = itertools.count()
        self._queue: deque[Job] = deque()
        self._on_outcome: OnOutcome = lambda number, value: None

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in list(self._workers):
            self._remove(worker)
        self._selector.close()

    def run(self, jobs: Sequence[Job], on_outcome: OnOutcome) -> None:
        """Do all jobs. `on_outcome` hears of every item exactly once: whether it equals the gold answer, or its class,
        or how it failed. The order is that of getting done.
        """
        self._queue, self._on_outcome = deque(jobs), on_outcome
        try:
            while self._queue or any(worker.jobs for worker in self._workers):
                self._feed()
                self._listen()
                self._keep_time()
        except BaseException:
            for worker in list(self._workers):  # what they are at is of no use to the next run
                self._remove(worker)
            raise

    def _feed(self) -> None:
        """Give the idle something to do; start processes while the responsive ones are too few."""
        for worker in self._workers:
            if worker.idle and self._queue:
                worker.send({next(self._numbers): job for job in self._batch()})
        waiting = sum(len(job.items) for job in itertools.islice(self._queue, 2 * self.num_workers))
        while waiting > sum(not worker.ready for worker in self._workers):
            responsive = sum(not worker.robbed for worker in self._workers)
            if responsive >= self.num_workers or len(self._workers) >= 2 * self.num_workers:
                break
            worker = _Worker(self.memory_bytes, self.reward_type)
            self._workers.append(worker)
            assert worker.process.stdout is not None
            self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)

    def _batch(self) -> list[Job]:
        """Some jobs from the queue: many at a time while there are many, few towards the end."""
        wanted = max(1, min(_BATCH_ITEMS, len(self._queue) // (4 * self.num_workers)))
        batch: list[Job] = []
        items = characters = 0
        while self._queue and items < wanted and characters < _BATCH_CHARACTERS:
            job = self._queue.popleft()
            if job.gold is not None and len(job.items) > _BATCH_ITEMS:
                self._queue.appendleft(Job(job.gold, job.items[_BATCH_ITEMS:]))
                job.items = job.items[:_BATCH_ITEMS]
            batch.append(job)
            items, characters = items + len(job.items), characters + job.size
        return batch

    def _listen(self) -> None:
        patience = min([1.0, *(self._left(worker) for worker in self._workers)])
        for key, _ in self._selector.select(max(0.01, patience)):
            worker: _Worker = key.data
            outcomes = worker.lines()
            if outcomes is None:
                self._ended(worker)
                continue
            for outcome in outcomes:
                self._heard(worker, outcome)

    def _left(self, worker: _Worker) -> float:
        """In how many seconds at the earliest something is to be decided about a worker."""
        if not worker.ready or not worker.busy:
            return 1.0
        return (self.deadline_seconds if worker.robbed else _STUCK_SECONDS) - worker.silent()

    def _heard(self, worker: _Worker, outcome: dict[str, Any]) -> None:
        if "ready" in outcome:
            worker.ready = True
        elif "done" in outcome:
            worker.busy = worker.robbed = False
        elif "exhausted" in outcome:
            self._blame(worker)
            self._replace(worker)
        elif "retired" in outcome:
            self._replace(worker)
        elif outcome["job"] in worker.jobs:  # else it was taken over by another meanwhile
            self._done(worker, outcome)

    def _done(self, worker: _Worker, outcome: dict[str, Any]) -> None:
        number = outcome["job"]
        job = worker.jobs[number]
        job.crashes = 0
        if "gold" in outcome:
            job.gold_parsed = outcome["gold"]
            if not job.gold_parsed:
                self._fail(job.items, "gold_unparsed")
                job.items = []
        else:
            item, text = job.items.pop(0)
            if job.gold is None and outcome["value"] not in {known for known, _ in job.known}:
                job.known.append((outcome["value"], text))
            self._on_outcome(item, outcome["value"])
        if not job.items:
            del worker.jobs[number]

    def _keep_time(self) -> None:
        for worker in list(self._workers):
            silent = worker.silent()
            if not worker.ready:
                if silent > _START_SECONDS:
                    raise GradingError(f"a grading process did not start within {_START_SECONDS:.0f} seconds")
            elif worker.busy and silent > self.deadline_seconds:
                self._blame(worker)
                self._replace(worker)
            elif worker.busy and not worker.robbed and silent > _STUCK_SECONDS:
                self._take_over(worker)
        if any(not job.put_off for job in self._queue):
            self._put_off()

    def _take_over(self, worker: _Worker) -> None:
        """Put back what a stuck worker has not begun; what it yet says about that is not listened to."""
        worker.robbed = True
        for number, job in list(worker.jobs.items())[1:]:
            del worker.jobs[number]
            self._queue.appendleft(job)
        for job in worker.jobs.values():
            if job.gold is not None and job.gold_parsed and len(job.items) > 1:
                self._queue.appendleft(Job(job.gold, job.items[1:]))
                del job.items[1:]

    def _put_off(self) -> None:
        """Where every process there may be is stuck, end those that are so for the first time, for the others' sake."""
        stuck = [worker for worker in self._workers if worker.robbed and worker.jobs]
        if len(stuck) < 2 * self.num_workers:
            return
        for worker in stuck:
            if any(job.put_off for job in worker.jobs.values()):
                continue
            for job in worker.jobs.values():
                job.put_off, job.gold_parsed = True, False
                self._queue.append(job)
            self._remove(worker)

    def _blame(self, worker: _Worker, retry: bool = False) -> None:
        """What a worker was at has failed; with `retry`, only when it failed so before."""
        for job in itertools.islice(worker.jobs.values(), 1):
            if retry and job.crashes == 0:
                job.crashes += 1
            elif job.gold is not None and not job.gold_parsed:
                self._fail(job.items, "gold_unparsed")
                job.items = []
            else:
                item = job.items.pop(0)
                job.crashes = 0
                self._fail([item], "timeout")

    def _fail(self, items: Sequence[tuple[int, str]], how: Failure) -> None:
        for number, _ in items:
            self._on_outcome(number, how)

    def _ended(self, worker: _Worker) -> None:
        """A worker's output has ended by itself: it crashed, or was killed from outside."""
        if not worker.ready:
            self._remove(worker)
            raise GradingError(
                f"a grading process could not start (exit status {worker.process.returncode}); its own message stands "
                f"above. Try: python -m onoff_core.rewards.worker 1073741824 {self.reward_type} </dev/null"
            )
        self._blame(worker, retry=True)
        self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        """End a worker and put back what it has left; `_feed` starts another where one is needed."""
        left = [job for job in worker.jobs.values() if job.items]
        for job in left:
            job.gold_parsed = False
        self._queue.extendleft(reversed(left))
        self._remove(worker)

    def _remove(self, worker: _Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            assert worker.process.stdout is not None
            self._selector.unregister(worker.process.stdout)
            worker.end()
            worker.jobs = {}
