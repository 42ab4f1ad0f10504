"""Share requests among servers.

Each server has up to `max_concurrency` requests at a time, taken from one queue. A server that fails is asked no more,
and what it was asked goes back to the head of the queue, for the others.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from onoff_core.backends.openai.protocol import Endpoint, EndpointFailed
from onoff_core.errors import ModelError

logger = logging.getLogger(__name__)
W = TypeVar("W")
R = TypeVar("R")


class Spread(Generic[W, R]):
    """Asks servers for each piece of some work, once. `ask` is called in threads, `max_concurrency` for each server."""

    def __init__(
        self,
        name: str,
        endpoints: Sequence[Endpoint],
        work: Sequence[W],
        ask: Callable[[Endpoint, W], R],
        max_concurrency: int,
    ) -> None:
        self._name, self._ask = name, ask
        self._left = deque(work)
        self._num_work = self._num_left = len(work)
        self._lock = threading.Condition()
        self._alive = {endpoint.url for endpoint in endpoints}
        self._answers: queue.SimpleQueue[R | BaseException] = queue.SimpleQueue()
        self._stopped = False
        per_server = min(max_concurrency, max(1, len(work)))
        self._threads = [
            threading.Thread(target=self._serve, args=(endpoint,), daemon=True)
            for _ in range(per_server)
            for endpoint in endpoints
        ]

    def run(self) -> Iterator[R]:
        """The answers as they come. Raises the first error that another server would not mend, or, where no server is
        left, a `ModelError` raised from the last failure.
        """
        for thread in self._threads:
            thread.start()
        try:
            for _ in range(self._num_work):
                answer = self._answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                yield answer
        finally:
            with self._lock:
                self._stopped = True
                self._lock.notify_all()

    def _serve(self, endpoint: Endpoint) -> None:
        while (work := self._take(endpoint)) is not None:
            try:
                answer = self._ask(endpoint, work[0])
            except EndpointFailed as error:
                self._set_aside(endpoint, work[0], error)
            except BaseException as error:  # it is raised where the answers are waited for
                self._answers.put(error)
                return
            else:
                self._answers.put(answer)
                with self._lock:
                    self._num_left -= 1
                    self._lock.notify_all()

    def _take(self, endpoint: Endpoint) -> tuple[W] | None:
        """The next piece of work; None where there is none any more. Waits where others may yet give theirs back."""
        with self._lock:
            while not self._left and self._num_left and not self._stopped and endpoint.url in self._alive:
                self._lock.wait()
            if self._stopped or endpoint.url not in self._alive or not self._left:
                return None
            return (self._left.popleft(),)

    def _set_aside(self, endpoint: Endpoint, work: W, error: EndpointFailed) -> None:
        with self._lock:
            self._left.appendleft(work)
            first = endpoint.url in self._alive
            self._alive.discard(endpoint.url)
            last = not self._alive
            self._lock.notify_all()
        if first:
            logger.warning("models.%s: %s is set aside: %s", self._name, endpoint.url, error)
        if first and last:
            self._answers.put(none_left(self._name, error))


def none_left(name: str, error: EndpointFailed) -> ModelError:
    """No server answers any more; raised from a `ConnectionError`, so that it is tried again."""
    raised = ModelError(f"models.{name}: no server answers; the last one failed: {error}")
    raised.__cause__ = error
    return raised
