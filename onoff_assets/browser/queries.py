"""What a table of the browser is asked for: an order, filters and a text, as they stand in the address; and its answer.

In the address each filter has its column's name: `tokens=100-500` (either end may be left out), `status=wrong,timeout`,
`problem_id=algebra` (holds that text); `sort=-entropy` is falling, `text=...` is looked for
in the responses, and `regex=1` makes it a regular expression. `columns=level,-gold` shows one that would not be shown,
and hides another. No text of a user becomes code here: filters are compared as values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_assets.browser.text import visible

Kind = Literal["number", "text", "choice", "links"]  # a choice may be a list: any of its values matches
Rows = NDArray[np.int64]
_LONGEST = 2000  # characters of a value in an address


@dataclass(frozen=True)
class Column:
    """One column of a table: how it is named, shown, sorted and filtered."""

    name: str  # of the Arrow table
    label: str
    kind: Kind
    meaning: str
    digits: int = 0  # behind the point
    width: float = 6.0  # rem
    in_given_order: bool = False  # sorted by the rows' own order, such as the data set's, and not by its text
    short: str = ""  # its name in the address, where that is another one
    need: int = 3  # 1: shown in every table; 2: where there is room, before those of 3
    line: int = 0  # of a narrow window's cards; 0: on none of them
    grows: bool = False  # takes the room that is left
    words: bool = False  # its values are names such as `no_answer`, which are shown as words
    mono: bool = False  # in the font of code; numbers without separators, as ids are

    @property
    def in_address(self) -> str:
        return self.short or self.name

    def shown(self, value: str) -> str:
        return value.replace("_", " ") if self.words else value


@dataclass(frozen=True)
class Query:
    """An order and filters; the empty query shows every row as it comes."""

    sort: str | None = None
    falling: bool = False
    ranges: tuple[tuple[str, float | None, float | None], ...] = ()
    choices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    holds: tuple[tuple[str, str], ...] = ()  # a text column holds this, whatever its case
    text: str = ""  # looked for in the responses
    is_regex: bool = False

    def address(self, columns: Sequence[Column]) -> dict[str, str]:
        """Its names and values in an address; `columns` are those that it is a query of."""
        names = {column.name: column.in_address for column in columns}
        found: dict[str, str] = {}
        if self.sort is not None:
            found["sort"] = ("-" if self.falling else "") + names[self.sort]
        found |= {names[name]: _as_range(low, high) for name, low, high in self.ranges}
        found |= {names[name]: ",".join(map(packed, values)) for name, values in self.choices}
        found |= {names[name]: text for name, text in self.holds}
        if self.text:
            found["text"] = self.text
            found |= {"regex": "1"} if self.is_regex else {}
        return found

    @property
    def columns(self) -> set[str]:
        """The columns that it needs."""
        named = [*(one[0] for one in self.ranges), *(one[0] for one in self.choices), *(one[0] for one in self.holds)]
        return {*named, *([self.sort] if self.sort else [])}


def read_columns(address: Mapping[str, str]) -> dict[str, bool]:
    """The columns that somebody chose to see or to hide, by their names in the address."""
    names = [name for name in address.get("columns", "")[:_LONGEST].split(",") if name.strip("-")]
    return {name.removeprefix("-"): not name.startswith("-") for name in names}


def names_in_address(columns: Iterable[Column]) -> tuple[str, ...]:
    """Every name by which a query of these columns may stand in the address."""
    return ("sort", "text", "regex", *(column.in_address for column in columns))


def read_query(
    address: Mapping[str, str], columns: Sequence[Column], searches: bool = False
) -> tuple[Query, list[str]]:
    """The query, and a message for each part that cannot be read. What is of another page's columns is left out.

    `searches`: whether a text is looked for.
    """
    by_name = {column.name: column for column in columns}
    messages: list[str] = []
    ranges, choices, holds = [], [], []
    for name, column in by_name.items():
        value = address.get(column.in_address, "")[:_LONGEST]
        if not value:
            continue
        if column.kind == "number":
            ends = _ends(value)
            if ends is None:
                messages.append(f"The link's {column.in_address} '{visible(value, 40)}' is no range such as 10-50.")
            else:
                ranges.append((name, *ends))
        elif column.kind == "choice":
            choices.append((name, tuple(_unpacked(one) for one in value.split(","))))
        elif column.kind == "text":
            holds.append((name, value))
    sort = address.get("sort", "")
    sortable = {column.in_address: column.name for column in columns if column.kind != "links"}
    wanted = sortable.get(sort.removeprefix("-"))
    text = address.get("text", "")[:_LONGEST] if searches else ""
    query = Query(
        wanted, wanted is not None and sort.startswith("-"), tuple(ranges), tuple(choices), tuple(holds), text,
        bool(text) and address.get("regex") == "1",
    )  # fmt: skip
    return query, messages


def _ends(value: str) -> tuple[float | None, float | None] | None:
    """Of `10-50`, of `-3.5..-2` where a number may be negative, and of one number."""
    low, dash, high = value.partition(".." if ".." in value else "-")
    try:
        ends = tuple(float(end) if end.strip() else None for end in (low, high if dash else low))
    except ValueError:
        return None
    if any(end is not None and not np.isfinite(end) for end in ends) or ends == (None, None):
        return None
    return ends[0], ends[1]


def _as_range(low: float | None, high: float | None) -> str:
    between = ".." if any(end is not None and end < 0 for end in (low, high)) else "-"
    return f"{_end(low)}{between}{_end(high)}"


def _end(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def packed(value: str) -> str:
    """A choice as it stands in the address, where a comma is between two."""
    return value.replace("%", "%25").replace(",", "%2C")


def _unpacked(value: str) -> str:
    return value.replace("%2C", ",").replace("%25", "%")


def rows_of(table: pa.Table, query: Query, columns: Sequence[Column], holds_text: NDArray[np.bool_] | None) -> Rows:
    """The numbers of the rows that the filters let through, in the order asked for.

    A value that is not there matches no filter and stands last in both orders. Rows that are equal keep their order.
    `holds_text`: which rows hold the query's text; None where there is none to hold.
    """
    keep = np.ones(table.num_rows, dtype=bool)
    for name, low, high in query.ranges:
        values = _numbers(table, name)
        keep &= ~np.isnan(values)
        keep &= (values >= low) if low is not None else True
        keep &= (values <= high) if high is not None else True
    for name, chosen in query.choices:
        keep &= _is_one_of(table[name], chosen)
    for name, text in query.holds:
        keep &= _holds(table[name], text)
    if holds_text is not None:
        keep &= holds_text
    rows = np.flatnonzero(keep)
    return rows if query.sort is None else _sorted(table, rows, query, columns)


def _holds(values: pa.ChunkedArray, text: str) -> NDArray[np.bool_]:
    if not pa.types.is_dictionary(values.type):
        return _true(pc.match_substring(values, text, ignore_case=True))
    whole = values.combine_chunks()
    return _true(pc.match_substring(whole.dictionary, text, ignore_case=True).take(whole.indices))


def _is_one_of(values: pa.ChunkedArray, chosen: Sequence[str]) -> NDArray[np.bool_]:
    if not pa.types.is_list(values.type):
        return _true(pc.is_in(values, pa.array(chosen, pa.string())))
    mask = np.zeros(len(values), dtype=bool)
    lists = values.combine_chunks()
    of = pc.list_parent_indices(lists).to_numpy()
    mask[of[_true(pc.is_in(pc.list_flatten(lists), pa.array(chosen, pa.string())))]] = True
    return mask


def _sorted(table: pa.Table, rows: Rows, query: Query, columns: Sequence[Column]) -> Rows:
    column = next(column for column in columns if column.name == query.sort)
    if column.in_given_order:
        return rows[::-1] if query.falling else rows
    if column.kind == "number":
        values = _numbers(table, column.name)[rows]
        return rows[np.argsort(-values if query.falling else values, kind="stable")]  # nan is last
    values = plain_column(table, column.name).take(pa.array(rows))
    if pa.types.is_list(values.type):
        values = pc.list_value_length(values)
    order = pc.sort_indices(
        pa.table({"value": values}),
        sort_keys=[("value", "descending" if query.falling else "ascending")],
    ).to_numpy()
    return np.asarray(rows[order.astype(np.int64)], dtype=np.int64)


def plain_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column whose values stand in their rows, also where each is kept once for many rows."""
    values = table[name]
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """nan where there is no value."""
    return np.asarray(pc.cast(table[name], pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _true(mask: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)


def extent(table: pa.Table, column: Column) -> tuple[float, float] | None:
    """The smallest and the largest number of a column; None where it has none."""
    values = _numbers(table, column.name)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else None


def options(table: pa.Table, column: Column, most: int = 200) -> list[str]:
    """The different values of a column, in order."""
    values = table[column.name]
    found = pc.unique(pc.list_flatten(values) if pa.types.is_list(values.type) else values).to_pylist()
    return sorted({str(value) for value in found if value is not None})[:most]
