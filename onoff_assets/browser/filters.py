"""The responses to walk through, in the order and with the filters that the table of responses has in the address."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from onoff_assets.browser.noted import NAMES, notes_on, with_notes
from onoff_assets.browser.queries import Query, rows_of
from onoff_assets.browser.reading import Reader, Responses
from onoff_assets.browser.response_rows import COLUMNS, CONFIDENCE, NUMBERS, numbers_job, response_rows, search_job
from onoff_assets.browser.searching import Search

_LONGEST_WAIT = 30.0  # seconds, for numbers over all tokens, or a search


def matching(reader: Reader, responses: Responses, query: Query) -> list[int]:
    """Row numbers of the responses that the query lets through, in its order.

    Numbers over tokens and texts are read only if the query needs them. What the query asks of a column that is not
    there, or not known in time, counts as not asked.
    """
    key = responses.samples.partition
    rows = response_rows(reader, [(key[0], key[1])])
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
    return [int(row) for row in rows_of(table, answerable(query, table), COLUMNS, mask)]


def answerable(query: Query, table: pa.Table) -> Query:
    """The query without what it asks of columns that the table has not."""
    there = set(table.column_names)
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
