"""What runs in a replica: it receives a task, does it, sends the results, and goes on with the next.

A thread of its own receives, for two reasons. The next task is here before the current one ends. And when the parent is
gone its end of the connection closes, which that thread sees at once; it then ends this process.
"""

import logging
import os
import pickle
import queue
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from onoff_core.backends import open_sampler, open_scorer
from onoff_core.backends.contract import Sampler, Scorer
from onoff_core.backends.replicas.messages import (
    Answer,
    Draw,
    Ended,
    Failed,
    Logged,
    Open,
    Ready,
    Result,
    Role,
    Score,
    Task,
    Tokens,
)
from onoff_core.errors import OnoffError, causes

_WORD_SECONDS = 0.2  # tokens are reported at most so often
_LOGGERS = ("onoff", "onoff_core")


def serve(connection: Connection) -> None:
    """Work until the connection closes. This process ends with it, so nobody returns from here after `Ready`."""
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    line = _Line(connection)
    threading.Thread(target=_take_in, args=(connection, inbox), daemon=True).start()
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(_Forward(line))
        logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger(name).propagate = False
    order: Open = inbox.get()
    try:
        engine = _Engine(order)
        line.send(Ready(engine.of(order.role).info))
    except Exception as error:
        line.send(Failed(told(error)))
        return
    while True:
        task: Task = inbox.get()
        try:
            for result in engine.work(task, line):
                line.send(Result(result))
            line.send(Ended())
        except Exception as error:
            line.send(Failed(told(error)))


def _take_in(connection: Connection, inbox: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


class _Engine:
    """The model's sampler and scorer, each opened when it is first needed; an engine loads the model once for both."""

    def __init__(self, order: Open) -> None:
        self.order = order
        self._sampler: Sampler | None = None
        self._scorer: Scorer | None = None

    def of(self, role: Role) -> Sampler | Scorer:
        return self.sampler if role == "sampler" else self.scorer

    @property
    def sampler(self) -> Sampler:
        if self._sampler is None:
            self._sampler = open_sampler(self.order.name, self.order.settings, self.order.base_dir)
        return self._sampler

    @property
    def scorer(self) -> Scorer:
        if self._scorer is None:
            self._scorer = open_scorer(self.order.name, self.order.settings, self.order.base_dir)
        return self._scorer

    def work(self, task: Task, line: "_Line") -> Iterator[Any]:
        match task:
            case Draw():
                return self.sampler.sample(task.requests, task.sampling, task.seed, line.add_tokens)
            case Score():
                return self.scorer.score(task.prompt_ids, task.responses, task.settings)


class _Line:
    """Sends messages, from the thread that works and from any thread that logs.

    Counts of tokens are added up for a moment, so that not every token is a message.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self._tokens, self._said = 0, time.monotonic()

    def send(self, answer: Answer) -> None:
        with self._lock:
            if self._tokens:
                self._connection.send(Tokens(self._tokens))
                self._tokens, self._said = 0, time.monotonic()
            self._connection.send(answer)

    def add_tokens(self, count: int) -> None:
        with self._lock:
            self._tokens += count
            if time.monotonic() - self._said >= _WORD_SECONDS:
                self._connection.send(Tokens(self._tokens))
                self._tokens, self._said = 0, time.monotonic()


class _Forward(logging.Handler):
    """Sends log records to the parent as text, with an error's trace in it."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        plain = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, text, None, None)
        self._line.send(Logged(plain))


def told(error: BaseException) -> tuple[BaseException, ...]:
    """An error and its causes, each in a form that can be pickled. The classes stay, for they decide whether the parent
    tries again.
    """
    return tuple(_sendable(one) for one in causes(error))


def _sendable(error: BaseException) -> BaseException:
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:  # exceptions of libraries may take arguments of their own
        again = None
    if type(again) is type(error) and str(again) == str(error):
        return error
    kinds = (OnoffError, ConnectionError, TimeoutError, MemoryError, OSError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), RuntimeError)
    return kind(f"{type(error).__name__}: {error}")
