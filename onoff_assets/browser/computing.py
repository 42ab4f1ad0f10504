"""Work that takes longer than a page may wait: one thread each, whose progress the page shows meanwhile.

The key of a piece of work names the complete generations that it reads, so a value never goes stale.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
Say = Callable[[int, int], None]  # done, of how many


class Job(Generic[Value]):
    """One piece of work; `result` waits a little for it. Its `key` names all that its value depends on."""

    def __init__(self, key: Hashable, make: Callable[[Say], Value]) -> None:
        self.key = key
        self._make = make
        self._ended = threading.Event()
        self._value: Value | None = None
        self._error: BaseException | None = None
        self.done, self.total = 0, 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._value = self._make(self._say)
        except BaseException as error:  # raised again in the page that asked
            self._error = error
        self._ended.set()

    def _say(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    @property
    def has_failed(self) -> bool:
        return self.has_ended and self._error is not None

    def result(self, seconds: float) -> Value | None:
        """Its value; None where it is not ready within these seconds. Raises what the work raised."""
        self._ended.wait(seconds)
        if self._error is not None:
            raise self._error
        return self._value


_JOBS: OrderedDict[Hashable, Job[Any]] = OrderedDict()
_GUARD = threading.Lock()
_MOST_KEPT = 16  # that have ended


def job(key: Hashable, make: Callable[[Say], Value]) -> Job[Value]:
    """The work under this key: under way, ended lately, or begun now. Work that failed is tried again."""
    with _GUARD:
        found = _JOBS.get(key)
        if found is None or found.has_failed:
            found = _JOBS[key] = Job(key, make)
        _JOBS.move_to_end(key)
        ended = [name for name, one in _JOBS.items() if one.has_ended]
        for name in ended[:-_MOST_KEPT]:
            del _JOBS[name]
        return found
