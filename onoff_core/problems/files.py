"""Rows of a local file, by its ending: .parquet, .jsonl or .ndjson, .json, .csv, .tsv; each also as .gz or .zst.

Also a folder that `save_to_disk` of the `datasets` library wrote. The case of an ending does not matter. Every fault
is a `DatasetError` that names the file.
"""

import codecs
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from onoff_core.errors import DatasetError
from onoff_core.growth import read_all, read_table
from onoff_core.problems.arrow import rows_of_table
from onoff_core.problems.saved import is_saved, read_saved

Rows = list[dict[str, Any]]

COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}  # ending: its name in Arrow
_LONGEST_FIELD = 2**31 - 1  # of CSV; Python's own limit is 131,072 characters
_SEPARATORS = (";", "\t", "|", ",")


@dataclass(frozen=True)
class Reading:
    """How the text of a file is to be read."""

    split: str = "test"
    encoding: str | None = None  # None: UTF-8
    separator: str | None = None  # of CSV; None: a comma, and a tab in .tsv


def kind_of(name: str) -> tuple[str, str | None] | None:
    """(kind, compression or None) of a file's name: `("jsonl", "gz")` of `Test.JSONL.gz`; None: of no kind known."""
    parts = name.lower().split(".")
    compression = parts.pop() if parts[-1] in COMPRESSIONS else None
    return (parts[-1], compression) if len(parts) > 1 and parts[-1] in KINDS else None


def stem_of(name: str) -> str:
    """A file's name without the ending that says its kind."""
    kind = kind_of(name)
    return name if kind is None else name[: -len(".".join(part for part in kind if part)) - 1]


def check_kind(path: Path) -> None:
    """Raise a `DatasetError` where there is no such file, or of no kind that can be read."""
    if path.is_dir():
        if not is_saved(path):
            raise DatasetError(f"{path}: is a folder; write data_dir for a folder with a file a split")
    elif kind_of(path.name) is None:
        endings = ", ".join(f".{kind}" for kind in sorted(KINDS))
        raise DatasetError(f"{path}: unknown kind of file; there are: {endings}, each also as .gz or .zst")
    elif not path.is_file():
        raise DatasetError(f"{path}: no such file")


def read_rows(path: Path, reading: Reading | None = None) -> Rows:
    """All rows of a file, or of the split of a folder of `save_to_disk`."""
    reading = reading or Reading()
    check_kind(path)
    if path.is_dir():
        return read_saved(path, reading.split)
    kind, compression = kind_of(path.name) or ("", None)
    try:
        content = path.read_bytes() if compression is None else _decompressed(path, COMPRESSIONS[compression])
        return KINDS[kind](content, reading)
    except (pa.ArrowException, csv.Error, OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read as {kind}: {error}") from error


def _decompressed(path: Path, compression: str) -> bytes:
    with pa.input_stream(str(path), compression=compression) as stream:
        return read_all(stream, path.stat().st_size)


def _text(content: bytes, encoding: str | None) -> str:
    """The text of a file; where it is not in the encoding asked for, the error names the one it seems to be in."""
    if encoding is not None:
        try:
            return content.decode(encoding).removeprefix("\ufeff")
        except UnicodeError as error:
            raise ValueError(f"is not {encoding} ({error}); write another encoding") from error
    seems = utf_16_or_32(content)
    if seems is not None:
        raise ValueError(f"is {seems.upper()}, not UTF-8; write encoding: {seems}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is not UTF-8 (byte 0x{content[error.start]:02x}); if the file is Latin-1, as older western "
            "European programs write it, write encoding: latin-1 (or cp1252, as Windows does)"
        ) from error


def utf_16_or_32(content: bytes) -> str | None:
    """By the mark at the beginning (that of UTF-32 begins as that of UTF-16), else by the zeros between letters."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    first = content[:2000]
    even, odd = first[::2].count(0), first[1::2].count(0)
    if max(even, odd) * 4 < len(first) or not first:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


def _parquet(content: bytes, reading: Reading) -> Rows:
    return rows_of_table(read_table(io.BytesIO(content)))


def _json_lines(content: bytes, reading: Reading) -> Rows:
    rows = []
    for number, line in enumerate(_text(content, reading.encoding).split("\n"), start=1):
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


def _json(content: bytes, reading: Reading) -> Rows:
    """A list of objects; or an object with such a list under `data` or the split's name, or with one such list."""
    whole = json.loads(_text(content, reading.encoding))
    lists = {name: value for name, value in whole.items() if _is_rows(value)} if isinstance(whole, dict) else {}
    named = next((name for name in (reading.split, "data") if name in lists), None)
    if named is None and len(lists) == 1:
        named = next(iter(lists))
    rows = lists[named] if named is not None else whole
    if not _is_rows(rows):
        several = f"; it has {', '.join(lists)}" if lists else ""
        raise ValueError(f"must be a list of objects, or hold one under 'data' or {reading.split!r}{several}")
    return list(rows)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _csv(content: bytes, reading: Reading) -> Rows:
    return _separated(_text(content, reading.encoding), reading.separator or ",")


def _tsv(content: bytes, reading: Reading) -> Rows:
    return _separated(_text(content, reading.encoding), reading.separator or "\t")


def _separated(text: str, separator: str) -> Rows:
    csv.field_size_limit(_LONGEST_FIELD)
    _check_separator(text, separator)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
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


def _check_separator(text: str, separator: str) -> None:
    """Say which mark separates the columns where the one that is expected does not."""
    first = text.partition("\n")[0].strip("\r")
    other = next((mark for mark in _SEPARATORS if _num_columns(first, mark) > 1), None)
    if other is not None and _num_columns(first, separator) <= 1:
        raise ValueError(f"its header is one column, {first!r}; write separator: {json.dumps(other)}")


def _num_columns(line: str, separator: str) -> int:
    """0: the line's quotes do not go with this separator."""
    try:
        return len(next(csv.reader([line], strict=True, delimiter=separator), []))
    except csv.Error:
        return 0


KINDS: dict[str, Callable[[bytes, Reading], Rows]] = {
    "parquet": _parquet,
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "json": _json,
    "csv": _csv,
    "tsv": _tsv,
}
