"""Grade many responses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onoff_core.rewards.verdict import Verdict
from onoff_core.tasks import extract_answer


@dataclass(frozen=True)
class GradingTask:
    """One response and the answer it should have given."""

    response: str
    gold: str


def grade(
    tasks: Sequence[GradingTask], format_type: str, on_graded: Callable[[int], None] = lambda count: None
) -> list[Verdict]:
    """A verdict for every task, in order. `on_graded` is told how many more are done."""
    verdicts = []
    for task in tasks:
        verdicts.append(_grade_one(task, format_type))
        on_graded(1)
    return verdicts


def _grade_one(task: GradingTask, format_type: str) -> Verdict:
    from onoff_core.rewards.math import is_equal, parse_answer

    extracted = extract_answer(task.response, format_type)
    gold = parse_answer(task.gold)
    if not gold:
        return Verdict("gold_unparsed", extracted)
    if extracted is None:
        return Verdict("no_answer", None)
    return Verdict("correct" if is_equal(gold, parse_answer(extracted)) else "wrong", extracted)
