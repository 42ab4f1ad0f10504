"""The few operations that a store needs of the place where it keeps its files.

A write either happened whole or did not happen. Names are relative to the root, with forward slashes. `local` does this
for a folder, `remote` for S3.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import duckdb


@dataclass
class Replacement:
    """A copy of a file to change (nothing at `path` where there is no file yet). `kept` is set when it is in place."""

    path: Path
    kept: bool = False


class Files(Protocol):
    """The place of a store."""

    locks: bool  # whether `lock` keeps other processes out; where it does not, conditional writes decide who was first

    @property
    def root(self) -> Any:
        """A `Path`, or universal-pathlib's equivalent."""

    def path(self, name: str) -> Any: ...

    def location(self, name: str) -> str:
        """The full path or URL, as DuckDB, pandas and people read it."""

    def linked(self, name: str) -> str | None:
        """Where a name really lies, if a link below the root is on the way; None if there is none."""

    def outside(self, name: str) -> str | None:
        """Where a name leads to through links, if that is outside the store; None if it is inside."""

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
        """Write if nothing is there, and return whether it did. Of several writers at once exactly one does."""

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """A scratch file to fill; at the end of the block it gets this name, whole. On an error it is dropped."""

    def replacing(self, name: str) -> AbstractContextManager[Replacement]:
        """A copy to change, which then takes the file's place, unless (`kept` false) another writer was faster."""

    def fetch(self, name: str) -> tuple[Path, str] | None:
        """(a local file with the content, its version); None where there is none."""

    def version(self, name: str) -> str | None:
        """A text that differs whenever the file was replaced; None if there is no file."""

    def children(self, name: str) -> list[str]:
        """The names in a folder, sorted, without hidden ones; empty where there is no such folder."""

    def folders(self, name: str) -> list[str]:
        """Those of the children that are folders."""

    def leftovers(self, name: str) -> list[str]:
        """Scratch files of writers that died, in this folder itself."""

    def remove(self, name: str) -> None: ...

    def copy(self, name: str, new: str) -> None:
        """Have an immutable file under another name as well, without its bytes twice where that can be."""

    def rename(self, name: str, new: str) -> None: ...

    def lock(self, name: str) -> AbstractContextManager[None]: ...

    def try_lock(self, name: str, seconds: float = 0.0) -> AbstractContextManager[bool]:
        """Hold a lock if nobody else does for so long; says whether it is held."""

    def is_locked(self, name: str) -> bool:
        """Whether somebody holds a lock in this folder itself; False where there are no locks."""

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a connection read `location`s."""
