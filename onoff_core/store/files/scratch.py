"""Folders for scratch files, outside the store."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onoff_core.errors import StoreError


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder outside the store, removed after the block."""
    folder = make_scratch_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_scratch_folder() -> Path:
    """A folder outside the store, which the caller has to remove."""
    try:
        return Path(tempfile.mkdtemp(prefix="onoff-"))
    except OSError as error:
        raise StoreError(
            f"no folder for scratch files ({error.strerror}); free some space, or set TMPDIR to a folder that "
            "can be written"
        ) from error
