"""Put a data set into a folder: its splits as Parquet or JSON Lines, and the data card beside them.

The folder is one that `datasets.load_dataset(FOLDER)` reads: the card's head says which file is which split.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from onoff_core import atomic
from onoff_core.errors import ExchangeError
from onoff_core.exchange.files import WRITTEN_BY
from onoff_core.machine import cannot_write

FileKind = Literal["parquet", "jsonl"]
CARD_NAME = "README.md"
_BATCH = 1000  # rows in memory at once


@dataclass(frozen=True)
class Split:
    """A file of the folder."""

    name: str  # train, control
    stem: str  # of its file
    schema: pa.Schema
    rows: Iterable[dict[str, Any]]


def file_names(stems: Sequence[str], kind: FileKind) -> list[str]:
    """The names of all files of a folder with these splits."""
    return [*(f"{stem}.{kind}" for stem in stems), CARD_NAME]


def check_free(folder: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Raise `ExchangeError` where one of the files is there already; before anything is computed."""
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise ExchangeError(
            f"{folder / there[0]} is there already; name another --output, or let --overwrite replace what is there"
        )


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A scratch folder to fill. After the block its files stand in the folder, the card last, in the place of what had
    their names; on an error nothing has changed.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".export-"))
        try:
            yield scratch
            for path in sorted(scratch.iterdir(), key=lambda path: path.name == CARD_NAME):
                atomic.put(path, folder / path.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise ExchangeError(cannot_write(folder, error)) from error


def write_split(folder: Path, split: Split, kind: FileKind, lineage: Any) -> tuple[str, int]:
    """Write one file; its name, and its number of rows. Parquet names the lineage in its metadata under `onoff`."""
    name = f"{split.stem}.{kind}"
    count = _write_parquet(folder / name, split, lineage) if kind == "parquet" else _write_lines(folder / name, split)
    return name, count


def _write_parquet(path: Path, split: Split, lineage: Any) -> int:
    metadata = {"onoff": json.dumps({"written_by": WRITTEN_BY, **lineage}, ensure_ascii=False)}
    count = 0
    with pq.ParquetWriter(path, split.schema.with_metadata(metadata), compression="zstd") as writer:
        for table in _tables(split):
            writer.write_table(table)
            count += table.num_rows
    return count


def _write_lines(path: Path, split: Split) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for table in _tables(split):
            for row in table.to_pylist():
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += table.num_rows
    return count


def _tables(split: Split) -> Iterator[pa.Table]:
    batch: list[dict[str, Any]] = []
    for row in split.rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield pa.Table.from_pylist(batch, schema=split.schema)
            batch = []
    if batch:
        yield pa.Table.from_pylist(batch, schema=split.schema)
