"""Give units of work to replicas: the next unit goes to a replica that is free.

Each replica has two units at a time: the one it works on, and one that waits there, so that it never waits for us. A
replica that is lost is started again, and its units are given out anew, without the results that had come. A unit that
was being worked on when three replicas were lost is an error. A dealer is to be used by one thread at a time.
"""

import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from onoff_core.backends.contract import ModelInfo
from onoff_core.backends.replicas.messages import Answer, Ended, Failed, Logged, Open, Ready, Result, Task, Tokens
from onoff_core.backends.replicas.places import Replica, Start
from onoff_core.backends.requests import Response, TokenScores
from onoff_core.errors import ModelError

IN_FLIGHT = 2
TRIES = 3
_LOOK_SECONDS = 1.0
logger = logging.getLogger(__name__)


class Unit:
    """Some work for one replica. A subclass says what of it is left to do, and keeps the results as they come."""

    name: str  # for messages, such as `problems p1 to p9`
    tries: int = 0  # how many replicas were lost while they worked on it
    ended: bool = False
    error: BaseException | None = None

    def task(self) -> Task:
        """What is left to do."""
        raise NotImplementedError

    def take(self, value: Response | TokenScores) -> None:
        raise NotImplementedError

    def count(self, tokens: int) -> None:
        """So many tokens were drawn."""


@dataclass
class _Seat:
    """One of the N places for a replica: the replica that is there now, if any, and how another one is started."""

    number: int
    start: Start
    replica: Replica | None = None
    info: ModelInfo | None = None  # None: the model is not loaded yet
    units: deque[Unit] = field(default_factory=deque)  # that the replica has; it works on the first
    heard: float = 0.0  # when it last said something, or was given work while it had none
    failed_starts: int = 0

    @property
    def name(self) -> str:
        return f"replica {self.number}" + (f" ({self.replica.place})" if self.replica is not None else "")


class Dealer:
    """The replicas of one model."""

    def __init__(self, order: Open, starts: Sequence[Start], timeout_seconds: float) -> None:
        """`starts`: for each replica how it is started."""
        self._order, self._timeout = order, timeout_seconds
        self._queue: deque[Unit] = deque()
        self._seats = [_Seat(number, start) for number, start in enumerate(starts)]

    @property
    def num_replicas(self) -> int:
        return len(self._seats)

    @property
    def replicas(self) -> list[Replica]:
        """Those that are started."""
        return [seat.replica for seat in self._seats if seat.replica is not None]

    def open(self) -> ModelInfo:
        """Start what is not started, and wait until a model is loaded. Raises what kept it from loading."""
        try:
            for seat in self._seats:
                if seat.replica is None:
                    self._start(seat)
            while not any(seat.info for seat in self._seats):
                self._listen(self._seats)
        except BaseException:
            self.close()
            raise
        return next(seat.info for seat in self._seats if seat.info is not None)

    def submit(self, unit: Unit) -> None:
        """Put a unit at the end of the queue; the replicas that have room begin at once."""
        self._queue.append(unit)
        self._feed()

    def advance(self, first: Unit | None = None) -> None:
        """Take in what replicas have sent; where nothing has come, wait for it, a second at most.

        With `first`, listen only to the replica that has this unit. The others then wait with their results, so that
        results that nobody has asked for yet take no more memory here.
        """
        self._feed()
        self._listen([seat for seat in self._seats if first is None or first in seat.units] or self._seats)

    def drop(self, units: Collection[Unit]) -> None:
        """Forget these units. Replicas that have one are ended; they are started again when there is new work."""
        self._queue = deque(unit for unit in self._queue if unit not in units)
        for seat in self._seats:
            if any(unit in units for unit in seat.units):
                self._queue.extendleft(unit for unit in reversed(seat.units) if unit not in units)
                self._end(seat)

    def close(self) -> None:
        """End every replica."""
        self._queue.clear()
        for seat in self._seats:
            self._end(seat)

    def _start(self, seat: _Seat) -> None:
        seat.replica, seat.info, seat.heard = seat.start(), None, time.monotonic()
        self._send(seat, self._order)

    def _end(self, seat: _Seat) -> str:
        how = seat.replica.end() if seat.replica is not None else "never started"
        seat.replica, seat.info = None, None
        seat.units.clear()
        return how

    def _feed(self) -> None:
        """Give out what is in the queue: a first unit to every replica before any has a second, so that little work is
        shared out as well.
        """
        for depth in range(IN_FLIGHT):
            for seat in self._seats:
                if not self._queue or len(seat.units) != depth:
                    continue
                if seat.replica is None:
                    self._start(seat)
                if not seat.units:
                    seat.heard = time.monotonic()
                seat.units.append(self._queue.popleft())
                self._send(seat, seat.units[-1].task())

    def _send(self, seat: _Seat, what: Open | Task) -> None:
        assert seat.replica is not None
        # a replica that has died is noticed when we listen, and handled there
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            seat.replica.connection.send(what)

    def _listen(self, seats: Sequence[_Seat]) -> None:
        by_connection = {seat.replica.connection: seat for seat in seats if seat.replica is not None}
        for ready in wait(list(by_connection), _LOOK_SECONDS):
            assert isinstance(ready, Connection)
            self._hear(by_connection[ready], ready)
        for seat in seats:
            silent = time.monotonic() - seat.heard
            if seat.info is not None and seat.units and silent > self._timeout:
                self._lost(seat, f"silent for {silent:.0f} s (backend_specific.timeout_seconds)")

    def _hear(self, seat: _Seat, connection: Connection) -> None:
        try:
            answer: Answer = connection.recv()
        except (EOFError, OSError):
            self._lost(seat, None)
            return
        seat.heard = time.monotonic()
        match answer:
            case Ready(info):
                seat.info, seat.failed_starts = info, 0
            case Logged(record):
                record.msg = f"{seat.name}: {record.msg}"
                logging.getLogger(record.name).handle(record)
            case Tokens(count):
                seat.units[0].count(count)
            case Result(value):
                seat.units[0].take(value)
            case Ended():
                seat.units.popleft().ended = True
                self._feed()
            case Failed(errors):
                if not seat.info:
                    raise _placed(seat.name, _chained(errors))
                unit = seat.units.popleft()
                unit.ended, unit.error = True, _chained(errors)
                self._feed()

    def _lost(self, seat: _Seat, why: str | None) -> None:
        """Replace a replica that is gone, and put the units that it had at the head of the queue."""
        loaded, units = seat.info is not None, list(seat.units)
        name, how = seat.name, self._end(seat)
        what = f"{name} was lost: {why or how}"
        if not loaded:
            seat.failed_starts += 1
            if seat.failed_starts == TRIES:
                raise ModelError(f"models.{self._order.name}: {what} while it loaded the model, {TRIES} times{_WHY}")
        elif units:
            units[0].tries += 1
            if units[0].tries == TRIES:
                given_up = units.pop(0)
                given_up.ended, given_up.error = (
                    True,
                    ModelError(
                        f"models.{self._order.name}: {what} while it worked on {given_up.name}, which was tried "
                        f"{TRIES} times{_WHY}"
                    ),
                )
        logger.warning("models.%s: %s; it is started again%s", self._order.name, what, _redone(units))
        self._queue.extendleft(reversed(units))
        self._start(seat)
        self._feed()


_WHY = (
    ". A SIGKILL that nobody sent is the system's, for memory: lower sampling.batch_size or num_process; what the "
    "process itself said stands above"
)


def _redone(units: Sequence[Unit]) -> str:
    return f", and {' and '.join(unit.name for unit in units)} dealt again" if units else ""


def _placed(name: str, error: BaseException) -> BaseException:
    """An error of opening the model, with the replica it is of: machines may differ in what they have."""
    if not isinstance(error, ModelError):
        return error
    placed = ModelError(f"{name}: {error}")
    placed.__cause__ = error.__cause__
    return placed


def _chained(errors: Sequence[BaseException]) -> BaseException:
    """The first of the errors, raised from the others."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]
