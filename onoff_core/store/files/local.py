"""A folder on a disk, as a place for a store."""

import errno
import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb

from onoff_core import atomic
from onoff_core.errors import StoreError
from onoff_core.store.files.protocol import Replacement

logger = logging.getLogger(__name__)

TEMPORARY = ".tmp-"
_HELD = "-held"  # ends the name of a lock's file that is there only as long as the lock is held


class LocalFiles:
    """A folder on a disk."""

    locks = True

    def __init__(self, root: Path) -> None:
        self._root = root
        self._said: set[str] = set()  # folders outside the store that a warning has named
        self._flock: bool | None = None  # whether there are locks that end with their holder; None: not known yet

    @property
    def root(self) -> Path:
        return self._root

    def path(self, name: str) -> Path:
        return self._root / name

    def location(self, name: str) -> str:
        return str(self.path(name).absolute())

    def exists(self, name: str) -> bool:
        return self._status(name) is not None

    def size(self, name: str) -> int:
        status = self._status(name)
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path(name)))
        return status.st_size

    def _status(self, name: str) -> os.stat_result | None:
        """The file's status; None if there is no such file."""
        try:
            return os.stat(f"{self._root}/{name}")  # asked thousands of times, which a Path would make slow
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:  # a file without permission is not a missing file
            raise StoreError(f"{self.path(name)}: cannot be read ({error.strerror})") from error

    def linked(self, name: str) -> str | None:
        real = os.path.realpath(f"{self._root}/{name}")
        return None if real == os.path.normpath(f"{os.path.realpath(self._root)}/{name}") else real

    def outside(self, name: str) -> str | None:
        real, root = self.linked(name), os.path.realpath(self._root)
        return None if real is None or real == root or real.startswith(root.rstrip("/") + "/") else real

    def _refuse_outside(self, folder: Path) -> None:
        """Raise an error for a folder outside the store: nothing is ever written or removed there."""
        real = self.outside(os.path.relpath(folder, self._root))
        if real is not None:
            raise StoreError(
                f"{folder}: leads through a link out of the store, to {real}; nothing is written or removed there. Put "
                "the folder back, mount the other disk in its place, or let the whole store's folder be the link"
            )

    def _say_outside(self, name: str) -> None:
        """Warn before a folder outside the store is read; a single file there is not read at all."""
        real = self.outside(name)
        if real is None:
            return
        if self.path(name).is_symlink():
            raise StoreError(
                f"{self.path(name)}: a link out of the store, to {real}; not read. Put the file itself in its place"
            )
        folder = os.path.dirname(real)
        if folder not in self._said:
            self._said.add(folder)
            logger.warning("%s is read through a link, from %s outside the store", self.path(name).parent, folder)

    def _refuse_device(self, name: str) -> None:
        """A pipe, a socket or a device would let its reader wait for ever."""
        status = self._status(name)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{self.path(name)}: cannot be read (it is no file); remove it")

    def read_bytes(self, name: str) -> bytes:
        self._say_outside(name)
        self._refuse_device(name)
        try:
            return self.path(name).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be read ({error.strerror})") from error

    def find_bytes(self, name: str) -> bytes | None:
        return self.read_bytes(name) if self.exists(name) else None

    def open(self, name: str) -> BinaryIO:
        self._say_outside(name)
        self._refuse_device(name)
        try:
            return self.path(name).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be read ({error.strerror})") from error

    def write_bytes(self, name: str, content: bytes) -> None:
        with self.writing(name) as scratch:
            scratch.write_bytes(content)

    def create_bytes(self, name: str, content: bytes) -> bool:
        target = self.path(name)
        with self._scratch(name) as scratch:
            scratch.write_bytes(content)
            return atomic.put_if_absent(scratch, target)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        with self._scratch(name) as scratch:
            yield scratch
            atomic.put(scratch, self.path(name))

    @contextmanager
    def replacing(self, name: str) -> Iterator[Replacement]:
        target = self.path(name)
        with self._scratch(name) as scratch:
            if target.exists():
                shutil.copyfile(target, scratch)
            else:
                scratch.unlink()
            replacement = Replacement(scratch)
            yield replacement
            atomic.put(scratch, target)
            replacement.kept = True

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        target = self.path(name)
        self._refuse_outside(target.parent)
        try:
            scratch = atomic.scratch_beside(target, TEMPORARY)
        except OSError as error:
            raise _not_writable(target.parent, error) from error
        try:
            yield scratch
        except OSError as error:
            mend = _MENDS.get(error.errno or 0, "free some space or mend the permissions")
            raise StoreError(
                f"{target}: cannot be written ({error.strerror or error}); nothing of it was kept. "
                f"{mend[0].upper()}{mend[1:]}, and run the same again: what is finished is not computed a second time"
            ) from error
        finally:
            for left in (scratch, scratch.with_name(f"{scratch.name}.wal")):  # DuckDB's log, if it could not finish
                try:
                    left.unlink(missing_ok=True)
                except OSError as error:  # such as a disk that can only be read by now; nobody reads scratch files
                    logger.warning("%s stays (%s)", left, error.strerror)

    def fetch(self, name: str) -> tuple[Path, str] | None:
        version = self.version(name)
        return None if version is None else (self.path(name), version)

    def version(self, name: str) -> str | None:
        status = self._status(name)
        if status is None:
            return None
        return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"

    def children(self, name: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(name) if not entry.name.startswith("."))

    def folders(self, name: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(name) if not entry.name.startswith(".") and entry.is_dir())

    def leftovers(self, name: str) -> list[str]:
        return sorted(entry.name for entry in self._entries(name) if entry.name.startswith(TEMPORARY))

    def _entries(self, name: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(f"{self._root}/{name}") as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be listed ({error.strerror})") from error

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with its content; of a link, the link alone."""
        path = self.path(name)
        self._refuse_outside(path.parent)
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot be removed ({error.strerror or error})") from error

    def copy(self, name: str, new: str) -> None:
        source, target = self.path(name), self.path(new)
        self._say_outside(name)
        with self._scratch(new) as scratch:
            scratch.unlink()
            try:
                os.link(os.path.realpath(source), scratch)
            except OSError:  # such as a file system without links
                shutil.copyfile(source, scratch)
            atomic.put(scratch, target)

    def rename(self, name: str, new: str) -> None:
        for path in (self.path(name), self.path(new)):
            self._refuse_outside(path.parent)
        try:
            os.replace(self.path(name), self.path(new))
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be renamed ({error.strerror})") from error

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that excludes other processes; the system releases it when its holder dies."""
        with self._locked(name, -1) as held:
            assert held
            yield

    @contextmanager
    def try_lock(self, name: str, seconds: float = 0.0) -> Iterator[bool]:
        with self._locked(name, seconds) as held:
            yield held

    def is_locked(self, name: str) -> bool:
        if self.outside(name):  # nobody writes there
            return False
        for entry in self._entries(name):
            if entry.name.endswith((".lock", f".lock{_HELD}")):
                with self.try_lock(f"{name}/{entry.name.removesuffix(_HELD)}") as free:
                    if not free:
                        return True
        return False

    @contextmanager
    def _locked(self, name: str, timeout: float) -> Iterator[bool]:
        import filelock  # only writers need it, and it takes long to import

        path = self.path(name)
        self._refuse_outside(path.parent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            has_flock = self._has_flock(path)
            # The other kind is held as long as its file is there, so it cannot be the one that a flock leaves behind.
            lock = filelock.FileLock(path) if has_flock else filelock.SoftFileLock(path.with_name(path.name + _HELD))
            lock.acquire(timeout=timeout, poll_interval=0.02)
        except filelock.Timeout:
            yield False
            return
        except OSError as error:
            raise _not_writable(path, error) from error
        try:
            yield True
        finally:
            lock.release()

    def _has_flock(self, path: Path) -> bool:
        """Whether the file system has locks that end with their holder; `path` is a lock's file."""
        if self._flock is None:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno == errno.ENOSYS:
                    logger.warning(
                        "%s: its file system has no locks that end with their holder (flock). After a run that died on "
                        "another machine, remove the files that end with .lock%s by hand, or others wait for it",
                        self._root,
                        _HELD,
                    )
                    self._flock = False
                elif error.errno not in (errno.EAGAIN, errno.EACCES):  # somebody holds it
                    raise
            else:
                self._flock = True
            finally:
                os.close(descriptor)
        return self._flock is not False

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """DuckDB reads local files by itself."""


_NO_LOCKS = (
    "this file system has no locks (flock), which keep two runs apart: mount it with them, or name another store.path"
)
_MENDS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "the disk can only be read: mount it for writing, or name another store.path",
    errno.EIO: "look at the disk",
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
}


def _not_writable(path: Path, error: OSError) -> StoreError:
    mend = _MENDS.get(error.errno or 0, "is store.path right, and may this user write there?")
    return StoreError(f"{path}: cannot be written ({error.strerror}); {mend}")
