"""HTTP in which a whole answer has one limit of time, however slowly its bytes come.

A usual limit holds for each read. A server that sends a byte now and then, in the head of its answer or in its body,
would hold a request for ever.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2


class _Until(threading.local):
    """When the request that this thread is at has to be over, by `time.monotonic`."""

    moment: float = math.inf


_until = _Until()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Reads of this thread, over a `TimedTransport`, fail with `httpx2.ReadTimeout` once so many seconds are over."""
    _until.moment = time.monotonic() + seconds
    try:
        yield
    finally:
        _until.moment = math.inf


class TimedTransport(httpx2.HTTPTransport):
    """A transport whose reads heed `within`. It uses no proxy: one for the web is none for a server of this network."""

    def __init__(self, limits: httpx2.Limits) -> None:
        super().__init__(trust_env=False, limits=limits)
        self._pool._network_backend = _Backend()  # there is no public way to hand it in


class _Backend(httpcore2.SyncBackend):
    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        return _Stream(super().connect_tcp(*args, **kwargs))


class _Stream(httpcore2.NetworkStream):
    """A connection that is read from within the limit."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _until.moment - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the time for a whole answer is over")
        return self._stream.read(max_bytes, left if timeout is None else min(timeout, left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(*args, **kwargs))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
