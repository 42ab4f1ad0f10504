"""Put a data set into a folder: its splits as Parquet or JSON Lines, and the data card beside them.

The folder is one that `datasets.load_dataset(FOLDER)` reads: the card's head says which file is which split.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from onoff_core import atomic
from onoff_core.errors import ExchangeError
from onoff_core.exchange.files import WRITTEN_BY

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


def write_split(folder: Path, split: Split, kind: FileKind, lineage: Any) -> tuple[Path, int]:
    """Write one file, whole or not at all; where it is, and its number of rows. Parquet names the lineage in its
    metadata under `onoff`.
    """
    target = folder / f"{split.stem}.{kind}"
    try:
        with atomic.replacing(target, f".{target.name}-") as scratch:
            if kind == "parquet":
                count = _write_parquet(scratch, split, lineage)
            else:
                count = _write_lines(scratch, split)
    except OSError as error:
        raise ExchangeError(f"{target}: cannot be written ({error.strerror or error})") from error
    return target, count


def write_card(folder: Path, text: str) -> Path:
    """The data card; last, so that a folder with a card is whole."""
    target = folder / CARD_NAME
    try:
        with atomic.replacing(target, f".{CARD_NAME}-") as scratch:
            scratch.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExchangeError(f"{target}: cannot be written ({error.strerror or error})") from error
    return target


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
