"""A cache that is bounded by bytes, for values that never change: parts of complete generations."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class BoundedCache:
    """The values used last, up to `max_bytes` together. Safe among threads; a value too large is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """The value of this key; makes it now if it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                found: Value = self._values[key][0]
                return found
        value = make()  # outside the lock, so that no thread waits for another's reading
        num_bytes = size(value)
        with self._lock:
            if num_bytes <= self.max_bytes and key not in self._values:
                self._values[key] = (value, num_bytes)
                self.num_bytes += num_bytes
            while self.num_bytes > self.max_bytes:
                _, (_, dropped) = self._values.popitem(last=False)
                self.num_bytes -= dropped
        return value
