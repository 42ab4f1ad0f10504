"""Grading processes and the time they may take.

The parent keeps every deadline: a process that does not report in time is killed and replaced, which works in any
thread and inside any executor, since no signal handler and no fork is involved. What one item costs, others do not
pay: while a process is stuck, the rest of its batch goes to another, and when all are stuck, what they are stuck with
is put off until the rest is done.

A verdict rests on processor time alone, so that it is the same on a busy machine. A process that gets next to none of
it is replaced, and what it was at is tried again, with more patience each time; when that does not help, the run fails
and nothing is decided. A gold answer that takes too long, and what takes too much memory, is tried once more by itself
in a new process before it is decided.
"""

import itertools
import math
import selectors
import signal
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal

from onoff_core.errors import OnoffError
from onoff_core.rewards.processes import STUCK_SECONDS, Job, Worker, usable_cpus

Failure = Literal["timeout", "gold_unparsed"]
OnOutcome = Callable[[int, bool | int | Failure], None]

_START_SECONDS = 120.0  # importing sympy, on a machine with much else to do
_PATIENCE = 8.0  # so many times its deadline a process may take by the clock before another try, twice as many then
_MOST_TRIES = 6  # by the clock
_BATCH_ITEMS, _BATCH_CHARACTERS = 64, 50_000


class GradingError(OnoffError):
    """The grading processes cannot do their work."""


class Pool:
    """Runs jobs in processes of its own; a context manager that leaves no process behind.

    `deadline_seconds` is what one item may take, `memory_bytes` what a process may use beyond its libraries,
    `reward_type` a name in `COMPARISONS`. Processes start when there is work for them, and are kept from one
    `run` to the next. One pool belongs to one thread at a time.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        deadline_seconds: float = 5.0,
        memory_bytes: int = 1 << 30,
        reward_type: str = "math_verify",
    ) -> None:
        self.num_workers = num_workers or usable_cpus()
        self.deadline_seconds, self.memory_bytes, self.reward_type = deadline_seconds, memory_bytes, reward_type
        self._workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()
        self._numbers = itertools.count()
        self._queue: deque[Job] = deque()
        self._alone: deque[Job] = deque()  # what is tried by itself, when the queue is done
        self.reasons: dict[int, str] = {}  # of the items of this run that failed
        self._on_outcome: OnOutcome = lambda number, value: None

    @property
    def allowed(self) -> str:
        """What an item may take, in words."""
        return f"{self.deadline_seconds:g} seconds of processor time"

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
        self._queue, self._alone, self._on_outcome = deque(jobs), deque(), on_outcome
        self.reasons = {}
        try:
            while self._queue or self._alone or any(worker.jobs for worker in self._workers):
                self._feed()
                self._listen()
                self._keep_time()
        except BaseException:
            for worker in list(self._workers):  # what they are at is of no use to the next run
                self._remove(worker)
            raise

    def _feed(self) -> None:
        """Give the idle something to do; start processes while the responsive ones are too few."""
        for worker in list(self._workers):
            if worker.idle and self._queue:
                worker.send({next(self._numbers): job for job in self._batch()})
            elif worker.idle and self._alone and worker.fresh:
                worker.send({next(self._numbers): self._alone.popleft()})
            elif worker.idle and self._alone:
                self._remove(worker)
        waiting = sum(len(job.items) for job in itertools.islice(self._queue, 2 * self.num_workers)) + len(self._alone)
        while waiting > sum(not worker.ready for worker in self._workers):
            responsive = sum(not worker.robbed for worker in self._workers)
            if responsive >= self.num_workers or len(self._workers) >= 2 * self.num_workers:
                break
            worker = Worker(self.memory_bytes, math.ceil(self.deadline_seconds) + 1, self.reward_type)
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
            worker: Worker = key.data
            outcomes = worker.lines()
            if outcomes is None:
                self._ended(worker)
                continue
            for outcome in outcomes:
                self._heard(worker, outcome)

    def _left(self, worker: Worker) -> float:
        """In how many seconds at the earliest something is to be decided about a worker."""
        if not worker.ready or not worker.busy:
            return 1.0
        return (self.deadline_seconds if worker.robbed else STUCK_SECONDS) - (worker.worked() or 0.0)

    def _heard(self, worker: Worker, outcome: dict[str, Any]) -> None:
        if "ready" in outcome:
            worker.ready = True
        elif "done" in outcome:
            worker.busy = worker.robbed = False
        elif "exhausted" in outcome:
            if not self._once_more_alone(worker):
                self._blame(worker, f"cannot be worked out in {self.memory_bytes / 2**20:.0f} MiB of memory")
            self._replace(worker)
        elif "retired" in outcome:
            self._replace(worker)
        elif outcome["job"] in worker.jobs:  # else it was taken over by another meanwhile
            self._done(worker, outcome)

    def _done(self, worker: Worker, outcome: dict[str, Any]) -> None:
        number = outcome["job"]
        job = worker.jobs[number]
        if "gold" in outcome:
            job.gold_parsed = outcome["gold"]
            if not job.gold_parsed:
                self._fail(job.items, "gold_unparsed", "the gold answer can neither be read nor compared as text")
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
            if not worker.ready:
                if worker.waited() > _START_SECONDS:
                    raise GradingError(f"a grading process did not start within {_START_SECONDS:.0f} seconds")
            elif worker.busy and (worker.worked() or 0.0) > self.deadline_seconds:
                self._out_of_time(worker)
            elif worker.busy and worker.waited() > self._patience(worker):
                self._try_again(worker)
            elif worker.busy and not worker.robbed and worker.stuck():
                self._take_over(worker)
        if any(not job.put_off for job in self._queue):
            self._put_off()

    def _patience(self, worker: Worker) -> float:
        tries = next((job.tries for job in worker.jobs.values()), 0)
        return _PATIENCE * self.deadline_seconds * 2.0**tries

    def _out_of_time(self, worker: Worker) -> None:
        """What it was at has had its processor time; a gold answer gets it once more."""
        job = next(iter(worker.jobs.values()), None)
        is_at_gold = job is not None and job.gold is not None and not job.gold_parsed
        if not (is_at_gold and self._once_more_alone(worker)):
            self._blame(worker, f"cannot be worked out in {self.allowed}")
        self._replace(worker)

    def _once_more_alone(self, worker: Worker) -> bool:
        """Have what a worker was at tried by itself, in a new process, before it is decided; False where it was."""
        for job in itertools.islice(worker.jobs.values(), 1):
            if job.alone:
                return False
            if job.gold_parsed or job.gold is None:
                self._queue.appendleft(Job(job.gold, job.items[1:], known=list(job.known), beside=job.beside))
                job.items = job.items[:1]
            job.alone = True
        return True

    def _try_again(self, worker: Worker) -> None:
        """It got next to no processor time: nothing follows from that."""
        for job in itertools.islice(worker.jobs.values(), 1):
            job.tries += 1
            if job.tries == _MOST_TRIES:
                raise GradingError(
                    f"a grading process got less than {self.allowed} in {self._patience(worker) / 2:.0f} seconds, "
                    f"{_MOST_TRIES} times: the machine has no time for it. No verdict rests on that; grade again when "
                    f"the machine has less to do"
                )
        self._replace(worker)

    def _take_over(self, worker: Worker) -> None:
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
                (self._alone if job.alone else self._queue).append(job)
            self._remove(worker)

    def _blame(self, worker: Worker, cannot: str, retry: bool = False) -> None:
        """What a worker was at has failed, as `cannot` says; with `retry`, only when it failed so before."""
        for job in itertools.islice(worker.jobs.values(), 1):
            at = (job.gold is not None and not job.gold_parsed, job.items[0][0])
            if retry and job.ended_at != at:
                job.ended_at = at
            elif job.gold is not None and not job.gold_parsed:
                self._fail(job.items, "gold_unparsed", f"the gold answer {cannot}")
                job.items = []
            else:
                item = job.items.pop(0)
                self._fail([item], "timeout", f"the answer {cannot}")

    def _fail(self, items: Sequence[tuple[int, str]], how: Failure, why: str) -> None:
        for number, _ in items:
            self.reasons[number] = why
            self._on_outcome(number, how)

    def _ended(self, worker: Worker) -> None:
        """A worker's output has ended by itself: it crashed, or was killed from outside."""
        if worker.process.wait() == -signal.SIGXCPU:  # it kept the deadline itself
            self._out_of_time(worker)
            return
        if not worker.ready:
            self._remove(worker)
            raise GradingError(
                f"a grading process could not start (exit status {worker.process.returncode}); its own message stands "
                f"above. Try: python -m onoff_core.rewards.worker 1073741824 60 {self.reward_type} </dev/null"
            )
        self._blame(worker, "ends the process that works it out", retry=True)
        self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        """End a worker and put back what it has left; `_feed` starts another where one is needed."""
        left = [job for job in worker.jobs.values() if job.items]
        for job in left:
            job.gold_parsed = False
        self._alone.extend(job for job in left if job.alone)
        self._queue.extendleft(reversed([job for job in left if not job.alone]))
        self._remove(worker)

    def _remove(self, worker: Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            assert worker.process.stdout is not None
            self._selector.unregister(worker.process.stdout)
            worker.end()
            worker.jobs = {}
