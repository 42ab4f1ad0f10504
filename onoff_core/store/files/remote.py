"""An S3 bucket, or a folder in one, as a place for a store. Needs the extra `s3` (s3fs, universal-pathlib).

S3 puts an object whole or not at all, but has neither renames nor locks. A write that must happen only once is
therefore a conditional put (`If-None-Match: *`), the one condition that S3 and the servers like it agree on:

- a fragment or `begun.json` that is there stays: of two writers of one generation the second *joins* the first, and
  where both computed the same fragment the first one's is kept;
- the catalog's versions are numbered objects in `.catalog/`. Version n + 1 is made from version n and put only if
  nobody else put n + 1; a writer that comes second starts again from there. `catalog.duckdb` is a copy for other tools.

Endpoint, region and keys come from the environment, as for every AWS tool (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...).
"""

import atexit
import io
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb

from onoff_core.errors import StoreError
from onoff_core.store.files.protocol import Replacement
from onoff_core.store.files.scratch import make_scratch_folder, scratch_folder

_READ_AT_ONCE = 4 << 20  # bytes; up to that size one request is faster than several for parts
_VERSIONS = ".catalog"
_VERSION_NAME = re.compile(r"\d{9}\.duckdb")
_EMPTIED_AFTER = 5  # newer versions; a reader that fetches an older one just then fetches again
_FORGOTTEN_AFTER = 500  # newer versions; until then an emptied one keeps its number in use


class S3Files:
    """Objects below `s3://bucket/folder`."""

    locks = False

    def __init__(self, url: str) -> None:
        if not re.match(r"s3://[^/]", url):
            raise StoreError(
                f"store.path {url!r}: a folder or an s3:// URL (s3://bucket/folder) is what a store can live in"
            )
        try:
            from upath import UPath

            self._root = UPath(url, use_listings_cache=False)
            self._fs: Any = self._root.fs
        except ImportError as error:
            raise StoreError(f"store.path {url!r} needs the extra s3: pip install 'onoff[s3]' ({error})") from error
        self._fetched: tuple[Path, str] | None = None

    @property
    def root(self) -> Any:
        return self._root

    def path(self, name: str) -> Any:
        return self._root / name

    def location(self, name: str) -> str:
        return f"{str(self._root).rstrip('/')}/{name}"

    def _key(self, name: str) -> str:
        return self.location(name).removeprefix("s3://")

    def linked(self, name: str) -> str | None:
        return None  # there are no links

    def outside(self, name: str) -> str | None:
        return None

    def exists(self, name: str) -> bool:
        with self._explained(name, "read"):
            return bool(self._fs.exists(self._key(name)))

    def size(self, name: str) -> int:
        with self._explained(name, "read", FileNotFoundError):
            return int(self._fs.info(self._key(name))["size"])

    def read_bytes(self, name: str) -> bytes:
        with self._explained(name, "read"):
            content: bytes = self._fs.cat_file(self._key(name))
            return content

    def find_bytes(self, name: str) -> bytes | None:
        with self._explained(name, "read"):
            try:
                content: bytes = self._fs.cat_file(self._key(name))
            except FileNotFoundError:
                return None
            return content

    def open(self, name: str) -> BinaryIO:
        with self._explained(name, "read", FileNotFoundError):
            if self._fs.size(self._key(name)) <= _READ_AT_ONCE:
                return io.BytesIO(self._fs.cat_file(self._key(name)))
            from onoff_core.store.files.remote_reading import ExplainedFile

            file = ExplainedFile(self._fs.open(self._key(name), "rb"), self._key(name), self._explained_part)
            return cast(BinaryIO, file)

    def write_bytes(self, name: str, content: bytes) -> None:
        with self._explained(name, "written"):
            self._fs.pipe_file(self._key(name), content)

    def create_bytes(self, name: str, content: bytes) -> bool:
        with self._explained(name, "written"):
            return self._created(lambda: self._fs.pipe_file(self._key(name), content, mode="create"))

    def _created(self, put: Any) -> bool:
        try:
            put()
        except OSError as error:
            if isinstance(error, FileExistsError) or "pre-condition" in str(error).lower():
                return False
            raise
        return True

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        with scratch_folder() as folder, self._explained(name, "written"):
            scratch = folder / Path(name).name
            scratch.touch()
            yield scratch
            self._created(lambda: self._fs.put_file(str(scratch), self._key(name), mode="create"))

    @contextmanager
    def replacing(self, name: str) -> Iterator[Replacement]:
        with scratch_folder() as folder:
            scratch = folder / name
            latest = self._latest()
            if latest:
                self._download(f"{_VERSIONS}/{_version_name(latest)}", scratch)
            replacement = Replacement(scratch)
            yield replacement
            target = f"{_VERSIONS}/{_version_name(latest + 1)}"
            with self._explained(name, "written"):
                put = self._created(lambda: self._fs.put_file(str(scratch), self._key(target), mode="create"))
                # Where the answer to a put is lost, the client puts again and finds its own there.
                put = put or self._fs.cat_file(self._key(target)) == scratch.read_bytes()
                if put and self._latest() == latest + 1:
                    self._fs.put_file(str(scratch), self._key(name))
            if put:
                self._tidy(latest + 1)
            replacement.kept = put

    def _latest(self) -> int:
        """The number of the newest version; 0 if there is none."""
        return max(self._versions(), default=0)

    def _versions(self) -> list[int]:
        names = [child for child in self.children(_VERSIONS) if _VERSION_NAME.fullmatch(child)]
        return [int(name.removesuffix(".duckdb")) for name in names]

    def _tidy(self, latest: int) -> None:
        for number in self._versions():
            age, name = latest - number, f"{_VERSIONS}/{_version_name(number)}"
            if age > _FORGOTTEN_AFTER:
                self.remove(name)
            elif age > _EMPTIED_AFTER and self.size(name):
                self.write_bytes(name, b"")

    def fetch(self, name: str) -> tuple[Path, str] | None:
        while (version := self.version(name)) is not None:
            if self._fetched is not None and self._fetched[1] == version:
                return self._fetched
            folder = make_scratch_folder()
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            copy = folder / name
            self._download(f"{_VERSIONS}/{version}", copy)
            if copy.stat().st_size:  # not emptied meanwhile, because newer ones came
                self._fetched = (copy, version)
        return None

    def version(self, name: str) -> str | None:
        """None also if somebody removed `catalog.duckdb`, so that a new one is made."""
        latest = self._latest()
        return _version_name(latest) if latest and self.exists(name) else None

    def _download(self, name: str, target: Path) -> None:
        with self._explained(name, "read"):
            self._fs.get_file(self._key(name), str(target))

    def children(self, name: str) -> list[str]:
        return sorted(child for child, _ in self._entries(name) if not child.startswith("."))

    def folders(self, name: str) -> list[str]:
        return sorted(child for child, kind in self._entries(name) if kind == "directory" and not child.startswith("."))

    def leftovers(self, name: str) -> list[str]:
        return []

    def _entries(self, name: str) -> list[tuple[str, str]]:
        with self._explained(name, "listed"):
            try:
                listed = self._fs.ls(self._key(name), detail=True)
            except FileNotFoundError:
                return []
        own = self._key(name)
        return [
            (entry["name"].rsplit("/", 1)[-1], entry["type"])
            for entry in listed
            if entry["name"].rstrip("/") != own.rstrip("/")
        ]

    def remove(self, name: str) -> None:
        with self._explained(name, "removed"):
            for key in self._fs.find(self._key(name)):
                self._fs.rm_file(key)

    def copy(self, name: str, new: str) -> None:
        with self._explained(name, "copied"):
            self._fs.cp_file(self._key(name), self._key(new))

    def rename(self, name: str, new: str) -> None:
        with self._explained(name, "renamed"):
            self._fs.cp_file(self._key(name), self._key(new))
            self._fs.rm_file(self._key(name))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        yield  # conditional puts decide instead

    @contextmanager
    def try_lock(self, name: str, seconds: float = 0.0) -> Iterator[bool]:
        yield True

    def is_locked(self, name: str) -> bool:
        return False

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        from onoff_core.store.files.remote_reading import ExplainedFileSystem

        connection.register_filesystem(ExplainedFileSystem(self._fs, self._explained_part))

    def _explained_part(self, key: str) -> AbstractContextManager[None]:
        """The same for a reader that knows only a key, and reads at any time; `FileNotFoundError` passes as it is."""
        name = key.removeprefix("s3://").removeprefix(self._key(""))
        return self._explained(name, "read", FileNotFoundError)

    @contextmanager
    def _explained(self, name: str, verb: str, *but: type[Exception]) -> Iterator[None]:
        from aiohttp import ClientError  # a body that ended early, once s3fs has given up
        from botocore.exceptions import BotoCoreError

        try:
            yield
        except but:
            raise
        except (OSError, BotoCoreError, ClientError) as error:
            raise StoreError(
                f"{self.location(name)}: cannot be {verb} ({error}); are store.path and the AWS_ environment right?"
            ) from error


def _version_name(number: int) -> str:
    return f"{number:09d}.duckdb"
