"""Write files that are whole or not there, and NPZ members row by row."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onoff_core.errors import ExchangeError

# Probabilities hardly compress, zeros of a dense array do at any level: 6 (numpy's) is slower and saves nothing more.
_LEVEL = 1


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A scratch file to fill; after the block it stands in the target's place, and on an error nothing has changed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        os.close(handle)
    except OSError as error:
        raise ExchangeError(f"{target}: cannot be written ({error.strerror})") from error
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)
        os.replace(scratch, target)
    except OSError as error:
        raise ExchangeError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        scratch.unlink(missing_ok=True)


class NpzWriter:
    """A compressed NPZ whose members are written one after the other, each block by block; the same arrays make the
    same file.
    """

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)

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
