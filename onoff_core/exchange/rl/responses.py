"""Responses with their verdicts, read together a fragment at a time."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rl.sources import Source

Row = dict[str, Any]


def responses_by_problem(
    source: Source, problem_ids: Collection[str], columns: Sequence[str]
) -> Iterator[tuple[str, list[Row]]]:
    """(problem id, its responses), in the store's order: the named columns of `samples` as far as they are there, and
    those of `rewards`. Raises `ExchangeError` where the two are not of the same responses.
    """
    wanted = set(problem_ids)
    for problem_id, rows in groupby(_responses(source, columns), key=lambda row: row["problem_id"]):
        if problem_id in wanted:
            yield problem_id, list(rows)


def _responses(source: Source, columns: Sequence[str]) -> Iterator[Row]:
    for index in sorted(source.samples.fragment_indices()):
        there = set(source.samples.column_names(index))  # older stores lack columns that came later
        table = source.samples.read_fragment(index, [name for name in columns if name in there])
        samples, verdicts = table.to_pylist(), source.rewards.read_fragment(index).to_pylist()
        if [_identity(row) for row in samples] != [_identity(row) for row in verdicts]:
            raise ExchangeError(
                f"fragment {index} of {source.rewards.folder} is not of the same responses as {source.samples.folder}; "
                "run: onoff verify"
            )
        absent = dict.fromkeys(name for name in columns if name not in there)
        for sample, verdict in zip(samples, verdicts, strict=True):
            yield {**absent, **verdict, **sample}


def _identity(row: Row) -> tuple[str, int]:
    return row["problem_id"], row["sample_index"]
