"""The few things the store asks of a place to keep files, and a local folder that has them.

A write either happened whole or did not happen. Names are relative to the root, with forward slashes. `remote` has the
same for S3.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import duckdb

from onoff_core.errors import StoreError

TEMPORARY = ".tmp-"
_BLOCK = 1 << 20
_READABLE = 0o644  # a scratch file is its owner's alone; who may look into the store's folder may read what is in it


@dataclass
class Replacement:
    """A copy of a file to change (nothing at `path` where there is no file yet). `kept` is set when it is in place."""

    path: Path
    kept: bool = False


class Files(Protocol):
    """What a store needs of its place."""

    locks: bool  # whether `lock` keeps other processes out; where it does not, conditional writes decide who was first

    @property
    def root(self) -> Any:
        """A `Path`, or what universal-pathlib has for it."""

    def path(self, name: str) -> Any: ...

    def location(self, name: str) -> str:
        """The full path or URL, as DuckDB, pandas and people read it."""

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int:
        """FileNotFoundError where it is not there."""

    def read_bytes(self, name: str) -> bytes: ...

    def find_bytes(self, name: str) -> bytes | None:
        """The content; None where there is no such file."""

    def open(self, name: str) -> BinaryIO:
        """FileNotFoundError where it is not there; a `StoreError` where it cannot be read."""

    def write_bytes(self, name: str, content: bytes) -> None: ...

    def create_bytes(self, name: str, content: bytes) -> bool:
        """Write if nothing is there; whether it did. Of several at once exactly one does."""

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """A scratch file to fill; at the end of the block it stands under its name, whole. On an error nothing does."""

    def replacing(self, name: str) -> AbstractContextManager[Replacement]:
        """A copy to change, which then takes the file's place, unless (`kept` false) somebody else was faster."""

    def fetch(self, name: str) -> tuple[Path, str] | None:
        """(a local file with the content, its version); None where there is none."""

    def version(self, name: str) -> str | None:
        """Differs whenever the file was replaced; None where there is none."""

    def children(self, name: str) -> list[str]:
        """The names in a folder, sorted, without hidden ones; empty where there is no such folder."""

    def folders(self, name: str) -> list[str]:
        """Those of the children that are folders."""

    def leftovers(self, name: str) -> list[str]:
        """Unfinished writes that died, in this very folder."""

    def remove(self, name: str) -> None: ...

    def rename(self, name: str, new: str) -> None: ...

    def lock(self, name: str) -> AbstractContextManager[None]: ...

    def try_lock(self, name: str) -> AbstractContextManager[bool]:
        """Hold a lock if nobody else does; says whether it is held."""

    def is_locked(self, name: str) -> bool:
        """Whether somebody holds a lock in this very folder. Where there are no locks nobody can tell: False."""

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a connection read `location`s."""


class LocalFiles:
    """A folder on a disk."""

    locks = True

    def __init__(self, root: Path) -> None:
        self._root = root

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
        """None where it is not there."""
        try:
            return os.stat(f"{self._root}/{name}")  # asked thousands of times, which a Path would make slow
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:  # what may not be looked at is not "not there"
            raise StoreError(f"{self.path(name)}: cannot be read ({error.strerror})") from error

    def read_bytes(self, name: str) -> bytes:
        try:
            return self.path(name).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be read ({error.strerror})") from error

    def find_bytes(self, name: str) -> bytes | None:
        return self.read_bytes(name) if self.exists(name) else None

    def open(self, name: str) -> BinaryIO:
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
            _sync(scratch)
            scratch.chmod(_READABLE)
            try:
                os.link(scratch, target)  # unlike a rename this fails where something is there
            except FileExistsError:
                return False
            _sync(target.parent)
        return True

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        with self._scratch(name) as scratch:
            yield scratch
            self._put(scratch, self.path(name))

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
            self._put(scratch, target)
            replacement.kept = True

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        target = self.path(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, scratch_name = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
            os.close(handle)
        except OSError as error:
            raise _not_writable(target.parent, error) from error
        scratch = Path(scratch_name)
        try:
            yield scratch
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({error.strerror or error}); nothing of it was kept. Free some space or "
                "mend the permissions, and run the same again: what is finished is not computed a second time"
            ) from error
        finally:
            scratch.unlink(missing_ok=True)

    def _put(self, scratch: Path, target: Path) -> None:
        _sync(scratch)
        scratch.chmod(_READABLE)
        os.replace(scratch, target)
        _sync(target.parent)

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
        """Remove a file or a folder with all in it."""
        path = self.path(name)
        try:
            if path.is_dir():
                shutil.rmtree(path.resolve())  # somebody may have moved it to another disk and left a link
                if path.is_symlink():
                    path.unlink()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot be removed ({error.strerror or error})") from error

    def rename(self, name: str, new: str) -> None:
        try:
            os.replace(self.path(name), self.path(new))
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be renamed ({error.strerror})") from error

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock among processes; the system lets go of it when its holder dies."""
        with self._locked(name, -1) as held:
            assert held
            yield

    @contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        with self._locked(name, 0) as held:
            yield held

    def is_locked(self, name: str) -> bool:
        for entry in self._entries(name):
            if entry.name.endswith(".lock"):
                with self.try_lock(f"{name}/{entry.name}") as free:
                    if not free:
                        return True
        return False

    @contextmanager
    def _locked(self, name: str, timeout: float) -> Iterator[bool]:
        import filelock  # only writers need it, and it takes long to import

        path = self.path(name)
        lock = filelock.FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
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

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """DuckDB reads local files by itself."""


def open_files(path: str) -> Files:
    """The place that `store.path` names."""
    if re.search(r"[*?\[]", path if "://" in path else os.path.abspath(path)):
        raise StoreError(
            f"store.path {path!r}: DuckDB takes * ? [ in a path for patterns and would read other folders' files too; "
            "choose a path without them, or a link to this one"
        )
    if "://" not in path:
        if os.path.islink(path) and not os.path.exists(path):
            raise StoreError(
                f"store.path {path!r}: is a link to {os.readlink(path)}, which is not there; is the disk mounted?"
            )
        if os.path.exists(path) and not os.path.isdir(path):
            raise StoreError(f"store.path {path!r}: is no folder; a store is a folder, or an s3:// URL")
        return LocalFiles(Path(path))
    from onoff_core.store.remote import S3Files

    return S3Files(path)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder outside the store for as long as the block."""
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


def _not_writable(path: Path, error: OSError) -> StoreError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    mend = "free some space" if full else "is store.path right?"
    return StoreError(f"{path}: cannot be written ({error.strerror}); {mend}")


def sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Have the disk hold a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
