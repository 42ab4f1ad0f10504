"""Python's search for garbage, paused while much is made and none of it is garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Inside this block no garbage is looked for. Importing torch and transformers makes objects by the million: to
    look among them was a fifth of a run's processor time before its first token.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
