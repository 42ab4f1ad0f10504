"""An end to code of a model's that may have none, such as its chat template."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TookTooLong(Exception):
    """Raised where the code was when its time was over."""


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Raise `TookTooLong` in this thread when the block is still running after so many seconds.

    Python raises it between two steps of Python code, so this ends loops and not one long step of a library's. A signal
    would do the same in the main thread alone, where alarms may be somebody else's.
    """
    thread, guard, over = threading.get_ident(), threading.Lock(), False

    def interrupt() -> None:
        with guard:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TookTooLong))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with guard:
            over = True
        timer.cancel()
