"""Files on S3 whose errors are explained at every read, not only at opening.

A large file is read in parts, long after it was opened, and each part may fail. The errors of s3fs (botocore's are no
OSError) would end as a traceback, or be taken for a damaged file. Here every part is read under the same explanation.
"""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from fsspec import AbstractFileSystem

Explained = Callable[[str], AbstractContextManager[None]]  # takes a key; turns the errors of s3fs into a `StoreError`


class ExplainedFile(io.RawIOBase):
    """An open S3 file, for reading."""

    def __init__(self, file: Any, key: str, explained: Explained) -> None:
        self._file, self._key, self._explained = file, key, explained

    def read(self, size: int = -1, /) -> bytes:
        with self._explained(self._key):
            content: bytes = self._file.read(size)
            return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        place: int = self._file.seek(offset, whence)
        return place

    def tell(self) -> int:
        place: int = self._file.tell()
        return place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


class ExplainedFileSystem(AbstractFileSystem):
    """The operations that DuckDB needs to read from a file system; DuckDB's error then carries the explanation."""

    cachable = False

    def __init__(self, fs: Any, explained: Explained) -> None:
        super().__init__()
        self.protocol = fs.protocol
        self._fs, self._explained_by = fs, explained

    def open(self, path: str, mode: str = "rb", **options: Any) -> ExplainedFile:
        with self._explained_by(path):
            return ExplainedFile(self._fs.open(path, mode, **options), path, self._explained_by)

    def info(self, path: str, **options: Any) -> Any:
        with self._explained_by(path):
            return self._fs.info(path, **options)

    def exists(self, path: str, **options: Any) -> Any:
        with self._explained_by(path):
            return self._fs.exists(path, **options)

    def glob(self, path: str, **options: Any) -> Any:
        with self._explained_by(path):
            return self._fs.glob(path, **options)

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        with self._explained_by(path):
            return self._fs.ls(path, detail, **options)

    def modified(self, path: str) -> Any:
        with self._explained_by(path):
            return self._fs.modified(path)
