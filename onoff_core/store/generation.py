"""One generation: one materialization of one asset for one partition under one fingerprint.

Its life: `begin` writes `begun.json`; fragments are added one by one; `complete` writes the manifest. A process that
dies leaves whole fragments, and the next one goes on from them. Fragments never change; a damaged one is set aside
(`set_aside_damaged`) and made again. Readers of a complete generation see the fragments in its manifest, no others.
"""

import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from onoff_core.errors import StoreError
from onoff_core.growth import GrowthError
from onoff_core.store.files import Files, sha256_of
from onoff_core.store.manifest import END_OF_TIME, Fragment, Manifest, plain_object
from onoff_core.store.parquet import (
    RowGroups,
    batches_of,
    column_names_of,
    conform,
    num_rows_of,
    read_matching,
    read_parquet,
    write_parquet,
)
from onoff_core.tables import CONFIDENCE_TABLES, SCHEMA_VERSION, SCHEMAS

_FRAGMENT_NAME = re.compile(r"\d{5,}\.parquet")
ASIDE_SUFFIX = ".damaged"
DROPPED = "dropped.json"  # in place of a manifest: it was complete, and its rows were removed on purpose
# Tables that are made with an asset of another name.
_MADE_WITH = {
    "problems": "samples",
    "vocabulary": "samples",
    "problem_statistics": "statistics",
    "comparisons": "statistics",
    "cross_responses": "cross_scores",
    "cross_statistics": "cross_scores",
    "continuations": "branches",
    "branch_positions": "branches",
    "branch_problems": "branches",
    "rollout_mismatch": "token_distributions",
    "rollout_mismatch_statistics": "token_distributions",
    "second_opinion_statistics": "second_opinions",
    "thinking_budgets": "statistics",
    "response_parts": "token_distributions",
    "part_statistics": "token_distributions",
    **dict.fromkeys(CONFIDENCE_TABLES, "confidence"),
}


class Generation:
    """A generation's folder, finished or not."""

    def __init__(
        self, files: Files, asset: str, partition: tuple[str, ...], fingerprint: str, facts: Mapping[str, Any]
    ) -> None:
        self.files, self.asset, self.partition, self.fingerprint = files, asset, partition, fingerprint
        self.facts = facts  # go into the manifest that `complete` writes
        self.folder = "/".join((asset, *partition, fingerprint))
        self.completed_here = False  # whether this object wrote the manifest, which the catalog has to learn
        self._written: dict[int, Fragment] = {}

    def __repr__(self) -> str:
        return f"Generation({self.folder})"

    @property
    def is_complete(self) -> bool:
        return self.files.exists(f"{self.folder}/manifest.json")

    @property
    def is_dropped(self) -> bool:
        return not self.is_complete and self.files.exists(f"{self.folder}/{DROPPED}")

    @property
    def is_begun(self) -> bool:
        return self.files.exists(f"{self.folder}/begun.json")

    def manifest(self) -> Manifest:
        name = f"{self.folder}/manifest.json"
        where = self.files.location(name)
        manifest = Manifest.from_json(self.files.read_bytes(name), where)
        named = "/".join((manifest.asset, *manifest.partition, manifest.fingerprint))
        if named != self.folder:
            raise StoreError(
                f"{where}: says that it is of {named}; put the folder back where it was, or remove the manifest and "
                "materialize the partition again"
            )
        return manifest

    def begin(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Begin, or go on. Returns the facts of the first beginning (such as a drawn seed), which stay."""
        name = f"{self.folder}/begun.json"
        self.files.create_bytes(name, json.dumps(dict(facts)).encode())
        try:
            begun: dict[str, Any] = plain_object(self.files.read_bytes(name))
            if not isinstance(begun.get("attempts", 0), int):
                raise ValueError("attempts is no number")
        except ValueError as error:
            raise StoreError(
                f"{self.files.location(name)}: damaged ({error}); remove the folder to begin again"
            ) from error
        return begun

    def begun_with(self) -> dict[str, Any]:
        """The facts of the first beginning, for readers: nothing is begun by asking. None are there where it is not
        begun, or where they cannot be read.
        """
        content = self.files.find_bytes(f"{self.folder}/begun.json")
        try:
            return {} if content is None else plain_object(content)
        except ValueError:
            return {}

    def begin_anew(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Begin with these facts in place of those of the first beginning; for one who writes all of it again."""
        begun = {**self.begin(facts), **facts}
        self.files.write_bytes(f"{self.folder}/begun.json", json.dumps(begun).encode())
        return begun

    def count_attempt(self) -> int:
        """Count one more attempt at making it, and say how many there were. For the one who writes it."""
        name = f"{self.folder}/begun.json"
        begun = self.begin({})
        attempts: int = begun.get("attempts", 0) + 1
        self.files.write_bytes(name, json.dumps({**begun, "attempts": attempts}).encode())
        return attempts

    def fragment_indices(self) -> set[int]:
        """The indices of the fragments that are there; for a complete generation, of those in its manifest."""
        there = {int(name.removesuffix(".parquet")) for name in self._fragment_names()}
        if not there or not self.is_complete:
            return there
        return there & {fragment.index for fragment in self.manifest().fragments}

    def _fragment_names(self) -> list[str]:
        return [name for name in self.files.children(self.folder) if _FRAGMENT_NAME.fullmatch(name)]

    def write_fragment(self, index: int, row_groups: Iterable[pa.Table]) -> None:
        """Add fragment `index`, whole or not at all; it is on the disk when this returns.

        Each table is written as it comes, as one row group, so a fragment may be larger than memory.
        """
        name = _fragment_name(index)
        with self.files.writing(f"{self.folder}/{name}") as scratch:
            write_parquet(row_groups, SCHEMAS[self.asset], scratch)
            with scratch.open("rb") as file:
                checksum = sha256_of(file)
                file.seek(0)
                written = Fragment(name, num_rows_of(file), scratch.stat().st_size, checksum)
        if self.files.locks:  # elsewhere another writer's fragment may have come first and be the one that is kept
            self._written[index] = written

    def read_fragment(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        return self._read(_fragment_name(index), columns, None)

    def read_rows(self, index: int, where: Mapping[str, str | int], columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of a fragment whose columns have these values, in order.

        Only the row groups that may hold such rows are read: one response's tokens without the others', and of a
        response with several row groups, one token without most others.
        """
        path = f"{self.folder}/{_fragment_name(index)}"
        try:
            with self.files.open(path) as file:
                return read_matching(file, where, columns)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{self.files.location(path)}: damaged or not there ({error}); {self._mend}") from error

    @contextmanager
    def row_groups(self, index: int) -> Iterator[RowGroups]:
        """A fragment that is read a response at a time, as it was written."""
        path = f"{self.folder}/{_fragment_name(index)}"
        try:
            with self.files.open(path) as file:
                yield RowGroups(file)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{self.files.location(path)}: damaged or not there ({error}); {self._mend}") from error

    def column_names(self, index: int) -> list[str]:
        """The columns of a fragment, from its footer."""
        path = f"{self.folder}/{_fragment_name(index)}"
        try:
            with self.files.open(path) as file:
                return column_names_of(file)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{self.files.location(path)}: damaged or not there ({error}); {self._mend}") from error

    def _read(self, name: str, columns: Sequence[str] | None, expected_rows: int | None) -> pa.Table:
        path = f"{self.folder}/{name}"
        try:
            with self.files.open(path) as file:
                table = read_parquet(file, columns)
        except (pa.ArrowException, OSError, GrowthError) as error:
            reason = "not there" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
            raise StoreError(f"{self.files.location(path)}: {reason}; {self._mend}") from error
        if expected_rows is not None and table.num_rows != expected_rows:
            raise StoreError(
                f"{self.files.location(path)}: holds {table.num_rows} rows, its manifest says {expected_rows}; "
                f"{self._mend}"
            )
        return table

    @property
    def _mend(self) -> str:
        made_with = _MADE_WITH.get(self.asset, self.asset)
        return f"materialize {made_with} of {'|'.join(self.partition[:2])} again: only what is damaged is made anew"

    def batches(self, index: int, columns: Sequence[str], num_rows: int) -> Iterator[pa.RecordBatch]:
        """A fragment's rows in order, in batches of at most `num_rows`; memory holds one batch."""
        path = f"{self.folder}/{_fragment_name(index)}"
        try:
            with self.files.open(path) as file:
                yield from batches_of(file, num_rows, columns)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{self.files.location(path)}: damaged or not there ({error}); {self._mend}") from error

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The fragments' tables in order, one at a time; all columns, or those named."""
        if self.is_complete:
            for fragment in self.manifest().fragments:
                yield self._read(fragment.name, columns, fragment.num_rows)
        else:
            for index in sorted(self.fragment_indices()):
                yield self.read_fragment(index, columns)

    def read(self) -> pa.Table:
        """All rows, with the columns of the schema, even if there are no fragments."""
        schema = SCHEMAS[self.asset]
        tables = [conform(table, schema, self.files.location(self.folder)) for table in self.tables()]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def complete(
        self,
        inputs: Mapping[str, str],
        settings: Mapping[str, Any],
        facts: Mapping[str, Any],
        indices: Collection[int] | None = None,
    ) -> Manifest:
        """Write the manifest of the fragments with these indices (None: of all that are there)."""
        wanted = {int(name.removesuffix(".parquet")) for name in self._fragment_names()} if indices is None else indices
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            asset=self.asset,
            partition=self.partition,
            fingerprint=self.fingerprint,
            inputs=dict(inputs),
            settings=dict(settings),
            fragments=tuple(self._fragment(index) for index in sorted(wanted)),
            completed_at=min(max(time.time(), 0.0), END_OF_TIME),  # a clock that is far off must not spoil the result
            facts={**self.facts, **facts},
        )
        self.files.write_bytes(f"{self.folder}/manifest.json", manifest.to_json())
        self.completed_here = True
        if self.files.exists(f"{self.folder}/{DROPPED}"):
            self.files.remove(f"{self.folder}/{DROPPED}")
        return manifest

    def _fragment(self, index: int) -> Fragment:
        name = _fragment_name(index)
        path = f"{self.folder}/{name}"
        written = self._written.get(index)
        if written is not None:
            if not self.files.exists(path) or self.files.size(path) != written.num_bytes:
                raise StoreError(
                    f"{self.files.location(path)}: was written, and is gone or another file now; was the store removed "
                    f"or replaced during the run? {self._mend[0].upper()}{self._mend[1:]}"
                )
            return written
        try:
            with self.files.open(path) as file:
                rows = num_rows_of(file)
            with self.files.open(path) as file:
                return Fragment(name, rows, self.files.size(path), sha256_of(file))
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{self.files.location(path)}: damaged or not there ({error}); {self._mend}") from error

    def damage(self) -> dict[str, str]:
        """What is wrong with each damaged fragment, by its name.

        A complete generation is read whole and compared with its manifest's sizes, checksums and row counts. In an
        unfinished one each file has to be a whole Parquet file with this table's columns.
        """
        if self.is_complete:
            checked = {
                fragment.name: self._damage_of(fragment.name, fragment) for fragment in self.manifest().fragments
            }
        else:
            checked = {name: self._damage_of(name, None) for name in self._fragment_names()}
        return {name: wrong for name, wrong in checked.items() if wrong is not None}

    def _damage_of(self, name: str, expected: Fragment | None) -> str | None:
        path = f"{self.folder}/{name}"
        try:
            if expected is not None:
                if (size := self.files.size(path)) != expected.num_bytes:
                    return f"{size} bytes, the manifest says {expected.num_bytes}"
                with self.files.open(path) as file:
                    if sha256_of(file) != expected.sha256:
                        return "its checksum is not the manifest's"
            with self.files.open(path) as file:
                rows, there = num_rows_of(file), column_names_of(file)
        except FileNotFoundError:
            return "not there"
        except (pa.ArrowException, OSError) as error:
            return f"not readable ({error})"
        lacking = [field.name for field in SCHEMAS[self.asset] if not field.nullable and field.name not in there]
        if expected is None and lacking:
            return f"a foreign file: it has no column {lacking[0]}"
        if expected is not None and rows != expected.num_rows:
            return f"{rows} rows, the manifest says {expected.num_rows}"
        return None

    def set_aside_damaged(self) -> dict[str, str]:
        """Rename damaged fragments, so that they are missing and are made again. Returns what was wrong, by name.

        Only the writer of this generation may call it. If the manifest and a fragment differ in the number of rows, the
        fragment is set aside too, since nothing tells which of the two is wrong.
        """
        damaged = self.damage()
        for name in damaged:
            if self.files.exists(f"{self.folder}/{name}"):
                self._set_aside(name)
        return damaged

    def set_aside(self, index: int) -> None:
        """Rename one fragment, so that it is made again. Only for the one who writes this generation."""
        self._set_aside(_fragment_name(index))

    def set_aside_all(self) -> None:
        """Rename every fragment, so that all is made again. Only for the one who writes this generation."""
        for name in self._fragment_names():
            self._set_aside(name)

    def _set_aside(self, name: str) -> None:
        self.files.rename(f"{self.folder}/{name}", f"{self.folder}/{name}{ASIDE_SUFFIX}")


def _fragment_name(index: int) -> str:
    return f"{index:05d}.parquet"
