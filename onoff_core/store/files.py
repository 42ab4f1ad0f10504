"""The few things the store asks of a place to keep files: whole-file writes that either happened or did not, listing, locks."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from onoff_core.errors import StoreError

_TEMPORARY = ".tmp-"


class LocalFiles:
    """A folder on a disk. Paths are relative to it, with forward slashes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def read_bytes(self, name: str) -> bytes:
        try:
            return self.path(name).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be read ({error.strerror})") from error

    def write_bytes(self, name: str, content: bytes) -> None:
        with self.writing(name) as scratch:
            scratch.write_bytes(content)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A scratch file to fill; at the end of the block it is on disk under its name, whole. On an error nothing is there."""
        target = self.path(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, scratch_name = tempfile.mkstemp(dir=target.parent, prefix=_TEMPORARY)
            os.close(handle)
        except OSError as error:
            raise StoreError(f"{target.parent}: cannot be written ({error.strerror}); is store.path right?") from error
        scratch = Path(scratch_name)
        try:
            yield scratch
            with scratch.open("rb") as file:
                os.fsync(file.fileno())
            scratch.chmod(0o644)
            os.replace(scratch, target)
            _sync_folder(target.parent)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({error.strerror or error}); nothing of it was kept"
            ) from error
        finally:
            scratch.unlink(missing_ok=True)

    def children(self, name: str) -> list[str]:
        """The names in a folder, sorted, without unfinished writes; empty where there is no such folder."""
        try:
            return sorted(entry for entry in os.listdir(self.path(name)) if not entry.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.path(name)}: cannot be listed ({error.strerror})") from error

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all in it."""
        path = self.path(name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock among processes; the system lets go of it when its holder dies."""
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(path):
                yield
        except PermissionError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror}); is store.path right?") from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
