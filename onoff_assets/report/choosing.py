"""Which responses a report shows: those that are named, or of each partition a right and a wrong one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from onoff_assets.report.gathering import Reported
from onoff_core.errors import PartitionError
from onoff_core.study.study import suggestion

# Of each named response: the problem's id, which may hold commas, and the sample's number.
_NAMED = re.compile(r"(.+?)#(\d{1,9})(?:,|$)", re.DOTALL)
DEFAULT_RULE = (
    "Of each partition one right and one wrong response are shown, of the problem whose share of right responses is "
    "nearest to one half (the first such problem, its first right and its first wrong response)."
)
NAMED_RULE = "The responses shown were named by the author of this report."


@dataclass(frozen=True)
class Chosen:
    """A response that is shown."""

    of: Reported
    problem_id: str
    sample_index: int


def named_responses(text: str) -> list[tuple[str, int]]:
    """(problem_id, sample_index) of each in `problem#sample,problem#sample`."""
    found = [(match[1], int(match[2])) for match in _NAMED.finditer(text)]
    if "".join(match[0] for match in _NAMED.finditer(text)) != text or not found:
        raise PartitionError(f"--responses {text!r}: write problem#sample,problem#sample, such as 'p0#3,p7#0'")
    return list(dict.fromkeys(found))


def choose_named(there: Sequence[Reported], named: Sequence[tuple[str, int]]) -> list[Chosen]:
    """Each named response of each partition that has it; a `PartitionError` for one that none has."""
    chosen = []
    for problem_id, sample_index in named:
        found = [Chosen(one, problem_id, sample_index) for one in there if _has(one, problem_id, sample_index)]
        if not found:
            raise PartitionError(_not_there(there, problem_id, sample_index))
        chosen += found
    return chosen


def _has(one: Reported, problem_id: str, sample_index: int) -> bool:
    return sample_index in one.responses.of_problem(problem_id)["sample_index"].to_pylist()


def _not_there(there: Sequence[Reported], problem_id: str, sample_index: int) -> str:
    problems = list(dict.fromkeys(problem for one in there for problem in one.responses.problem_ids))
    keys = ", ".join(one.key for one in there)
    if problem_id in problems:
        indices = sorted({i for one in there for i in one.responses.of_problem(problem_id)["sample_index"].to_pylist()})
        return (
            f"--responses: problem {problem_id!r} of {keys} has no sample {sample_index}; there are: "
            f"{', '.join(map(str, indices[:40]))}"
        )
    more = ", ..." if len(problems) > 20 else ""
    return f"--responses: {keys} has no problem {problem_id!r}{suggestion(problem_id, problems[:20])}{more}"


def choose_two(one: Reported) -> list[Chosen]:
    """By `DEFAULT_RULE`; where no problem has both, the first right and the first wrong response of any."""
    table = one.responses.table.select(["problem_id", "sample_index", "reward"])
    by_problem: dict[str, list[tuple[int, int]]] = {}
    for row in table.to_pylist():
        if row["reward"] is not None:
            by_problem.setdefault(row["problem_id"], []).append((row["sample_index"], row["reward"]))
    if not by_problem:
        return []
    best = min(by_problem, key=lambda problem: abs(_share(by_problem[problem]) - 0.5))
    places = [(best, *row) for row in by_problem[best]]
    if 0 < _share(by_problem[best]) < 1:
        found = [next(place for place in places if place[2] == reward) for reward in (1, 0)]
    else:
        everywhere = [(problem, *row) for problem, rows in by_problem.items() for row in rows]
        found = [place for reward in (1, 0) if (place := next((p for p in everywhere if p[2] == reward), None))]
    return [Chosen(one, problem, index) for problem, index, _ in found]


def _share(rows: Sequence[tuple[int, int]]) -> float:
    return sum(reward for _, reward in rows) / len(rows)
