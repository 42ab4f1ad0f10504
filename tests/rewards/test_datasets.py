"""The gold answers of every data set, where the evaluation data is there."""

import random
from pathlib import Path

import pytest

from onoff_core.boxes import last_boxed
from onoff_core.problems import Problem, load_problems
from onoff_core.rewards import GradingTask, Verdict, grade, whole_gold
from onoff_core.study import DatasetSettings

# Asked for one of two points, MATH's solution names both, which is no answer to that: (Either point is acceptable.)
_ANSWERS_BOTH = "(Either point is"


def problems_of(shared_data: Path, name: str, **place: str) -> tuple[Problem, ...]:
    return load_problems(name, DatasetSettings(**place), shared_data)


def graded_against_itself(problems: tuple[Problem, ...]) -> list[Verdict]:
    """Each reference solution against its own answer, or all of it where the data has a part; the answer in a box where
    there is no boxed solution.
    """
    tasks = []
    for problem in problems:
        has_box = problem.solution is not None and last_boxed(problem.solution) is not None
        response = problem.solution if has_box else f"\\boxed{{{problem.answer}}}"
        tasks.append(GradingTask(response or "", whole_gold(problem.answer, problem.solution), problem.problem_id))
    return grade(tasks, "boxed")


@pytest.mark.parametrize(
    ("name", "place", "count"),
    [
        ("aime2025", {"data_dir": "verl/aime2025"}, 30),
        ("aime2025", {"path": "plain/aime25-test.jsonl"}, 30),
        ("amc23", {"data_dir": "verl/amc23"}, 40),
        ("amc23", {"path": "plain/amc23-test.jsonl"}, 40),
        ("gsm8k_level1", {"data_dir": "verl/gsm8k_level1"}, 500),
        ("math500", {"path": "plain/math500-test.jsonl"}, 500),
        ("gsm8k", {"path": "plain/gsm8k-test.jsonl"}, 1319),
        ("math", {"data_dir": "verl/math"}, 5000),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_every_reference_answer_grades_as_correct(
    shared_data: Path, name: str, place: dict[str, str], count: int
) -> None:
    problems = problems_of(shared_data, name, **place)
    verdicts = graded_against_itself(problems)
    both = [problem for problem in problems if _ANSWERS_BOTH in (problem.solution or "")]
    failing = [
        (problem.problem_id, problem.answer, verdict.status)
        for problem, verdict in zip(problems, verdicts, strict=True)
        if verdict.status != "correct" and problem not in both
    ]
    assert len(verdicts) == count
    assert not failing
    assert len(both) <= 2


def test_mismatched_answers_are_refused(shared_data: Path) -> None:
    """A thousand pairs of different MATH-500 answers drawn at random."""
    answers = [problem.answer for problem in problems_of(shared_data, "math500", path="plain/math500-test.jsonl")]
    draw = random.Random(20250)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < 1000:
        gold, other = draw.choice(answers), draw.choice(answers)
        if gold != other:
            pairs.append((gold, other))
    verdicts = grade([GradingTask(f"\\boxed{{{other}}}", gold) for gold, other in pairs], "boxed")
    accepted = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.status != "wrong"]
    assert not accepted
