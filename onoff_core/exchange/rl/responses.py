"""Responses with their verdicts, read together problem by problem."""

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rl.sources import Source
from onoff_core.store.by_problem import ByProblem, Placed
from onoff_core.tables import SCHEMAS

Row = dict[str, Any]


def responses_by_problem(
    source: Source, problem_ids: Collection[str], columns: Sequence[str]
) -> Iterator[tuple[str, list[Row]]]:
    """(problem id, its responses), in the store's order: the named columns of `samples` as far as they are there, and
    those of `rewards`. Raises `ExchangeError` where the two are not of the same responses.
    """
    wanted, names = set(problem_ids), SCHEMAS["rewards"].names
    responses, verdicts = ByProblem(source.samples, columns), ByProblem(source.rewards, names)
    nothing: list[Placed] = []
    for of_problem, graded in zip_longest(responses.problems(), verdicts.problems(), fillvalue=nothing):
        if [_identity(one.row) for one in of_problem] != [_identity(one.row) for one in graded]:
            raise ExchangeError(
                f"fragment {(of_problem or graded)[0].fragment} of {source.rewards.folder} is not of the same "
                f"responses as {source.samples.folder}; run: onoff verify"
            )
        problem_id = of_problem[0].row["problem_id"]
        if problem_id in wanted:
            absent = dict.fromkeys(columns)  # older stores lack columns that came later
            yield problem_id, [{**absent, **v.row, **r.row} for r, v in zip(of_problem, graded, strict=True)]


def _identity(row: Row) -> tuple[str, int]:
    return row["problem_id"], row["sample_index"]
