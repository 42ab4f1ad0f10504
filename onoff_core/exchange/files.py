"""Write files that are whole or not there, in the place of our own only, and NPZ members row by row.

A file that another program wrote is never overwritten: it is renamed first. Ours are known by a mark: the first key of
a JSON file, `"written_by": "onoff <version>"`, and the comment of an NPZ, which is a zip file.
"""

import itertools
import logging
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onoff_core import __version__, atomic
from onoff_core.errors import ExchangeError
from onoff_core.machine import cannot_write

# Probabilities hardly compress, zeros of a dense array do at any level: 6 (numpy's) is slower and saves nothing more.
_LEVEL = 1


WRITTEN_BY = f"onoff {__version__}"
_MARK = re.compile(rb'\s*\{\s*"written_by":\s*"onoff ')
_MARK_BYTES = 200

Say = Callable[[str], None]
info: Say = logging.getLogger("onoff").info


@contextmanager
def replacing(target: Path, say: Say = info, mark: str | None = None) -> Iterator[Path]:
    """A scratch file to fill; after the block it stands in the target's place, and on an error nothing has changed.

    What stood there is renamed where it was not written by us, and `say` is told. `mark` goes into the new name, so
    that files that belong together stay so.
    """
    try:
        with atomic.replacing(target, f".{target.name}-") as scratch:
            yield scratch
            _set_aside(target, say, mark)
    except OSError as error:
        raise ExchangeError(cannot_write(target, error)) from error


def mark_of_now(folder: Path, names: Sequence[str]) -> str:
    """The time, for the names of what is set aside; another one than any of these files was set aside with before."""
    now = time.strftime("%Y%m%d-%H%M%S")
    marks = (now if number == 1 else f"{now}-{number}" for number in itertools.count(1))
    return next(mark for mark in marks if not any(_aside(folder / name, mark).exists() for name in names))


def _aside(target: Path, mark: str) -> Path:
    return target.with_name(f"{target.stem}.{mark}{target.suffix}")


def _set_aside(target: Path, say: Say, mark: str | None) -> None:
    if not target.is_file() or _is_ours(target):
        return
    if mark is None or _aside(target, mark).exists():
        mark = mark_of_now(target.parent, [target.name])
    aside = _aside(target, mark)
    target.rename(aside)
    say(f"{target} was not written by onoff; it is {aside.name} now")


def _is_ours(path: Path) -> bool:
    """Whether a file has our mark; one from before there was a mark has none. In JSON Lines each row has it, so one
    without rows is taken for ours.
    """
    if path.suffix == ".jsonl" and path.stat().st_size == 0:
        return True
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.comment.startswith(b"onoff ")
    with path.open("rb") as file:
        return _MARK.match(file.read(_MARK_BYTES)) is not None


class NpzWriter:
    """A compressed NPZ whose members are written one after the other, each block by block; the same arrays make the
    same file.
    """

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self.zip.comment = WRITTEN_BY.encode()

    def __enter__(self) -> "NpzWriter":
        return self

    def __exit__(self, *failure: object) -> None:
        self.zip.close()

    @contextmanager
    def member(
        self, key: str, shape: Sequence[int], dtype: type[np.generic]
    ) -> Iterator[Callable[[NDArray[Any]], None]]:
        """Write the member `key`: call what is yielded with blocks of rows that together have this shape."""
        written = 0
        with self.zip.open(f"{key}.npy", "w", force_zip64=True) as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                "fortran_order": False,
                "shape": tuple(shape),
            }
            np.lib.format.write_array_header_1_0(file, header)

            def write(block: NDArray[Any]) -> None:
                nonlocal written
                written += block.size
                file.write(np.ascontiguousarray(block, dtype=dtype).data.cast("B") if block.size else b"")

            yield write
        if written != int(np.prod(shape, dtype=np.int64)):
            raise ExchangeError(f"{key}: {written} numbers were written for the shape {tuple(shape)}")

    def add(self, key: str, array: NDArray[Any]) -> None:
        """A whole member at once."""
        with self.member(key, array.shape, array.dtype.type) as write:
            write(array)
