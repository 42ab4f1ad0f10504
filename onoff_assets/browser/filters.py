"""What one walks through, in the order and with the filters that the table of responses, or of problems, has."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from onoff_assets.browser.noted import NAMES, notes_on, with_notes, with_notes_of_problems
from onoff_assets.browser.problem_rows import COLUMNS as OF_PROBLEMS
from onoff_assets.browser.problem_rows import PER_TOKEN, problem_table, with_numbers
from onoff_assets.browser.queries import Query, rows_of
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.response_rows import (
    COLUMNS,
    CONFIDENCE,
    NUMBERS,
    OF_WHOM,
    ResponseRows,
    numbers_job,
    response_rows,
    search_job,
)
from onoff_assets.browser.searching import Search

_LONGEST_WAIT = 30.0  # seconds, for numbers over all tokens, or a search


@dataclass(frozen=True)
class Walk:
    """The responses that one walks through: numbers of rows of `rows`, in the order in which the table lists them."""

    rows: ResponseRows
    order: list[int]
    table: pa.Table  # of `rows`, with the numbers over tokens where the query needs them


def walk_over(reader: Reader, keys: Sequence[Key], query: Query, first: Key | None = None) -> Walk:
    """The responses of these partitions that the query lets through, in its order; `first` as in `response_rows`.

    Numbers over tokens and texts are read only if the query needs them. What the query asks of a column that is not
    there, or not known in time, counts as not asked.
    """
    rows = response_rows(reader, keys, first)
    table = rows.table
    if query.columns & {*NUMBERS, *CONFIDENCE}:
        known = numbers_job(reader, rows).result(_LONGEST_WAIT)
        if known is not None:
            for name in known.column_names:
                table = table.append_column(name, known[name])
    if query.columns & set(NAMES):
        table = with_notes(table, notes_on(reader, rows.keys))
    mask = None
    search = Search(query.text, query.is_regex)
    if query.text and search.fault() is None:
        found = search_job(reader, rows, search).result(_LONGEST_WAIT)
        mask = None if found is None else found.mask
    order = rows_of(table, answerable(query, table), COLUMNS, mask)
    return Walk(rows, [int(row) for row in order], table)


def matching(reader: Reader, responses: Responses, query: Query) -> list[int]:
    """Row numbers of the responses of one partition that the query lets through, in its order."""
    key = responses.samples.partition
    return walk_over(reader, [(key[0], key[1])], query).order


def walk_over_problems(reader: Reader, responses: Responses, query: Query) -> tuple[list[str], list[int]]:
    """The problems of a partition in the data set's order, and the numbers of those that the query lets through, as the
    table of problems lists them. A query's numbers over tokens count as not asked where they are not known in time.
    """
    table = problem_table(reader, responses)
    key = (responses.samples.partition[0], responses.samples.partition[1])
    if query.columns & set(PER_TOKEN):
        known = numbers_job(reader, response_rows(reader, [key])).result(_LONGEST_WAIT)
        table = table if known is None else with_numbers(table, responses, known)
    if query.columns & {"num_starred", "notes"}:
        table = with_notes_of_problems(table, notes_on(reader, [key]))
    order = rows_of(table, answerable(query, table), OF_PROBLEMS, None)
    return table["problem_id"].to_pylist(), [int(row) for row in order]


def answerable(query: Query, table: pa.Table) -> Query:
    """The query without what it asks of columns that the table has not, or does not show: whose a response is, where
    there is one partition."""
    single = {name for name in OF_WHOM if name in table.column_names and len(pc.unique(table[name])) < 2}
    there = set(table.column_names) - single
    return replace(
        query,
        sort=query.sort if query.sort in there else None,
        ranges=tuple(one for one in query.ranges if one[0] in there),
        choices=tuple(one for one in query.choices if one[0] in there),
        holds=tuple(one for one in query.holds if one[0] in there),
    )


def neighbours(rows: Sequence[int], row: int) -> tuple[int | None, int | None]:
    """The rows before and after this one in their order. Of one that is not among them: those around its number."""
    if row in rows:
        at = rows.index(row)
        return (rows[at - 1] if at else None), (rows[at + 1] if at + 1 < len(rows) else None)
    before = [other for other in rows if other < row]
    after = [other for other in rows if other > row]
    return max(before, default=None), min(after, default=None)


def random_wrong(table: pa.Table, rows: Sequence[int], row: int, chance: random.Random) -> int | None:
    """A random one of the matching responses with reward 0; this one only if there is no other."""
    rewards = table["reward"].to_pylist()
    wrong = [other for other in rows if rewards[other] == 0]
    others = [other for other in wrong if other != row]
    return chance.choice(others or wrong) if wrong else None
