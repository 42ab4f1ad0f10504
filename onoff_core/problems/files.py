"""Rows of a local file: .parquet, .jsonl, .json, .csv."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from onoff_core.errors import DatasetError

Rows = list[dict[str, Any]]


def check_kind(path: Path) -> None:
    """Raise a `DatasetError` where there is no such file, or of no kind that can be read."""
    if path.is_dir():
        raise DatasetError(f"{path}: is a folder; write data_dir for a folder with a file a split")
    if path.suffix not in _READERS:
        raise DatasetError(f"{path}: unknown kind of file; there are: {', '.join(sorted(_READERS))}")
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")


def read_rows(path: Path) -> Rows:
    """All rows of a file, by its ending."""
    check_kind(path)
    try:
        return _READERS[path.suffix](path)
    except (pa.ArrowException, csv.Error, OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from error


def _parquet(path: Path) -> Rows:
    rows: Rows = pq.ParquetFile(path).read().to_pylist()
    return rows


def _json_lines(path: Path) -> Rows:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not an object")
        rows.append(row)
    return rows


def _json(path: Path) -> Rows:
    rows = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("must be a list of objects")
    return rows


def _csv(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        header = reader.fieldnames or []
        twice = [name for number, name in enumerate(header) if name in header[:number]]
        if twice:
            raise ValueError(f"the header names {twice[0]!r} twice")
        rows: Rows = []
        for row in reader:
            if None in row:
                raise ValueError(f"line {reader.line_num} has more cells than the header")
            rows.append(row)
        return rows


_READERS: dict[str, Callable[[Path], Rows]] = {
    ".parquet": _parquet,
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
}
