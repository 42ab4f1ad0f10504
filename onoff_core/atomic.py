"""Write a file whole or not at all.

A scratch file beside the target is filled, synced to the disk, and renamed. So every reader sees the former content or
the new one, even if the machine loses power. Everything here raises `OSError`; callers tell their users what it means.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What a file system answers that has no links, modes, or syncing of folders.
_UNSUPPORTED = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_READABLE = 0o644  # mkstemp lets only the owner read; a finished file is for all who can open the folder


@contextmanager
def replacing(target: Path, prefix: str) -> Iterator[Path]:
    """A scratch file to fill; after the block it replaces the target. On an error nothing has changed."""
    scratch = scratch_beside(target, prefix)
    try:
        yield scratch
        put(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


def scratch_beside(target: Path, prefix: str) -> Path:
    """A new empty file in the target's folder, which is made if it is missing. The caller removes the file."""
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
    """Like `put`, but only if there is no target yet; whether it did. Of several writers at once exactly one does."""
    _make_lasting(scratch)
    try:
        os.link(scratch, target)  # unlike a rename this fails where something is there
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        # A file system without hard links (exFAT, many that are mounted by programs). Looking first leaves an instant
        # for another writer; callers there hold a lock, or write under a name of their own.
        if target.exists():
            return False
        os.replace(scratch, target)
    sync(target.parent)
    return True


def _make_lasting(scratch: Path) -> None:
    """Write the content to the disk, and let every user read it who can open the folder."""
    sync(scratch)
    try:
        scratch.chmod(_READABLE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # else its modes are those that it was mounted with
            raise


def sync(path: Path) -> None:
    """Wait until the disk holds a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED or not path.is_dir():  # some can sync files alone
            raise
    finally:
        os.close(descriptor)
