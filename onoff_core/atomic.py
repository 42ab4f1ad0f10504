"""Write a file whole or not at all.

A scratch file beside the target is filled, synced to the disk, and renamed: whoever reads the target sees the former
content or the new one, also where the machine loses power. Everything here raises `OSError`; callers say what it means
to their users.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READABLE = 0o644  # a scratch file is its owner's alone; who may look into the folder may read what is in it


@contextmanager
def replacing(target: Path, prefix: str) -> Iterator[Path]:
    """A scratch file to fill; after the block it stands in the target's place, and on an error nothing has changed."""
    scratch = scratch_beside(target, prefix)
    try:
        yield scratch
        put(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


def scratch_beside(target: Path, prefix: str) -> Path:
    """A new empty file in the target's folder, which is made where it is not there. The caller removes it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix)
    os.close(handle)
    return Path(name)


def put(scratch: Path, target: Path) -> None:
    """Let a scratch file of the same folder take the target's place."""
    _make_lasting(scratch)
    os.replace(scratch, target)
    sync(target.parent)


def put_if_absent(scratch: Path, target: Path) -> bool:
    """The same where nothing is there yet; whether it was so. Of several writers at once exactly one does it."""
    _make_lasting(scratch)
    try:
        os.link(scratch, target)  # unlike a rename this fails where something is there
    except FileExistsError:
        return False
    sync(target.parent)
    return True


def _make_lasting(scratch: Path) -> None:
    """Have the disk hold the content, for every user who may look into the folder."""
    sync(scratch)
    scratch.chmod(_READABLE)


def sync(path: Path) -> None:
    """Have the disk hold a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
