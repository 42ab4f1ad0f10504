"""One generation: one materialization of one asset for one partition under one fingerprint.

Its life: `begin` writes `begun.json`; fragments are added one by one; `complete` writes the manifest. A process that dies leaves
whole fragments, which the next one goes on from. Fragments never change.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onoff_core.errors import StoreError
from onoff_core.store.files import LocalFiles, sha256_of
from onoff_core.store.parquet import write_parquet
from onoff_core.tables import SCHEMA_VERSION, SCHEMAS


@dataclass(frozen=True)
class Fragment:
    """One file of a generation."""

    name: str
    num_rows: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a finished generation holds, and how it came to be."""

    schema_version: int
    asset: str
    partition: tuple[str, ...]  # (dataset, model), (dataset,) or (model,)
    fingerprint: str
    inputs: dict[str, str]  # asset -> fingerprint of the generation it was made from
    settings: dict[str, Any]  # what the fingerprint is of, for people
    fragments: tuple[Fragment, ...]
    completed_at: float  # seconds since 1970, UTC
    facts: dict[str, Any] = field(default_factory=dict)  # measured while it was made: seconds, tokens per second, seed

    @property
    def num_rows(self) -> int:
        return sum(fragment.num_rows for fragment in self.fragments)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @staticmethod
    def from_json(content: bytes, where: str) -> "Manifest":
        try:
            raw = json.loads(content)
            version = raw["schema_version"]
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{where}: written by a newer onoff (schema {version}, this one knows {SCHEMA_VERSION}); update onoff"
                )
            fragments = tuple(Fragment(**fragment) for fragment in raw.pop("fragments"))
            return Manifest(**{**raw, "partition": tuple(raw["partition"])}, fragments=fragments)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{where}: not a manifest ({error}); remove the folder to compute it again") from error


class Generation:
    """A generation's folder, finished or not."""

    def __init__(self, files: LocalFiles, asset: str, partition: tuple[str, ...], fingerprint: str) -> None:
        self.files, self.asset, self.partition, self.fingerprint = files, asset, partition, fingerprint
        self.folder = "/".join((asset, *partition, fingerprint))

    def __repr__(self) -> str:
        return f"Generation({self.folder})"

    @property
    def is_complete(self) -> bool:
        return self.files.exists(f"{self.folder}/manifest.json")

    @property
    def is_begun(self) -> bool:
        return self.files.exists(f"{self.folder}/begun.json")

    def manifest(self) -> Manifest:
        name = f"{self.folder}/manifest.json"
        return Manifest.from_json(self.files.read_bytes(name), str(self.files.path(name)))

    def begin(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Begin, or go on with what was begun: the facts of the first beginning (such as a drawn seed) hold."""
        name = f"{self.folder}/begun.json"
        if not self.files.exists(name):
            self.files.write_bytes(name, json.dumps(dict(facts)).encode())
        try:
            begun: dict[str, Any] = json.loads(self.files.read_bytes(name))
        except ValueError as error:
            raise StoreError(f"{self.files.path(name)}: damaged ({error}); remove the folder to begin again") from error
        return begun

    def fragment_indices(self) -> set[int]:
        """The numbers of the fragments that are there."""
        names = (
            name.removesuffix(".parquet") for name in self.files.children(self.folder) if name.endswith(".parquet")
        )
        return {int(name) for name in names if name.isdecimal()}

    def write_fragment(self, index: int, row_groups: Iterable[pa.Table]) -> None:
        """Add fragment `index`, whole or not at all. Each table becomes one row group as it comes, so a fragment may be streamed."""
        with self.files.writing(f"{self.folder}/{_fragment_name(index)}") as scratch:
            write_parquet(row_groups, SCHEMAS[self.asset], scratch)

    def read_fragment(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        path = self.files.path(f"{self.folder}/{_fragment_name(index)}")
        try:
            return pq.ParquetFile(path).read(columns=list(columns) if columns else None)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{path}: damaged ({error}); remove it and materialize {self.asset} again") from error

    def read_rows(self, index: int, where: Mapping[str, str | int], columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of a fragment whose columns have these values, in order.

        Only the row groups that may hold such rows are read, so one response's tokens are read without the others'.
        """
        path = self.files.path(f"{self.folder}/{_fragment_name(index)}")
        wanted = None if columns is None else list(dict.fromkeys([*columns, *where]))
        try:
            with pq.ParquetFile(path) as file:
                groups = [i for i in range(file.num_row_groups) if _may_hold(file.metadata.row_group(i), where)]
                table = file.read_row_groups(groups, columns=wanted)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{path}: damaged ({error}); remove it and materialize {self.asset} again") from error
        for name, value in where.items():
            table = table.filter(pc.equal(table[name], value))
        return table if columns is None else table.select(list(columns))

    def batches(self, index: int, columns: Sequence[str], num_rows: int) -> Iterator[pa.RecordBatch]:
        """A fragment's rows in order, at most so many at a time; memory holds no more of it than that."""
        path = self.files.path(f"{self.folder}/{_fragment_name(index)}")
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=num_rows, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{path}: damaged ({error}); remove it and materialize {self.asset} again") from error

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The fragments' tables in order, one at a time; all columns, or those named."""
        for index in sorted(self.fragment_indices()):
            yield self.read_fragment(index, columns)

    def read(self) -> pa.Table:
        """All rows; the columns as the schema has them, also where there are none."""
        tables = [table.cast(SCHEMAS[self.asset]) for table in self.tables()]
        return pa.concat_tables(tables) if tables else SCHEMAS[self.asset].empty_table()

    def complete(self, inputs: Mapping[str, str], settings: Mapping[str, Any], facts: Mapping[str, Any]) -> Manifest:
        """Write the manifest of all fragments there are."""
        fragments = []
        for index in sorted(self.fragment_indices()):
            path = self.files.path(f"{self.folder}/{_fragment_name(index)}")
            rows = pq.ParquetFile(path).metadata.num_rows
            fragments.append(Fragment(path.name, rows, path.stat().st_size, sha256_of(path)))
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            asset=self.asset,
            partition=self.partition,
            fingerprint=self.fingerprint,
            inputs=dict(inputs),
            settings=dict(settings),
            fragments=tuple(fragments),
            completed_at=time.time(),
            facts=dict(facts),
        )
        self.files.write_bytes(f"{self.folder}/manifest.json", manifest.to_json())
        return manifest


def _fragment_name(index: int) -> str:
    return f"{index:05d}.parquet"


def _may_hold(group: pq.RowGroupMetaData, where: Mapping[str, str | int]) -> bool:
    """Whether the row group's smallest and largest values leave room for these."""
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema in where and column.is_stats_set and column.statistics.has_min_max:
            value = where[column.path_in_schema]
            if not column.statistics.min <= value <= column.statistics.max:
                return False
    return True
