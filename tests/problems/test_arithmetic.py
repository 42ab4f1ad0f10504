"""The built-in problems: answers found again by a second way, which reads the question and knows no generator."""

import re
from pathlib import Path

import pytest

from onoff_core.boxes import last_boxed
from onoff_core.errors import DatasetError
from onoff_core.problems import load_problems, problems_version
from onoff_core.study import DatasetSettings

# Each form of question as a reader would work it out: pattern -> answer from the numbers in it.
FORMS = [
    (r"\w+ has (\d+) \w+ and gets (\d+) more\. How many", lambda a, b: a + b),
    (r"\w+ has (\d+) \w+ and gives away (\d+)\. How many", lambda a, b: a - b),
    (r"There are (\d+) boxes with (\d+) \w+ in each\. How many", lambda a, b: a * b),
    (r"\w+ shares (\d+) \w+ equally among (\d+) friends\. How many", lambda a, b: a / b),
    (r"\w+ has (\d+) \w+, gets (\d+) more and then loses (\d+)\. How many", lambda a, b, c: a + b - c),
    (r"\w+ buys (\d+) packs of (\d+) \w+ and finds (\d+) more\. How many", lambda a, b, c: a * b + c),
    (r"A van carries (\d+) crates of (\d+) \w+ on every trip\. After one trip, (\d+)", lambda a, b, c: a * b - c),
    (r"A van carries (\d+) crates of (\d+) \w+, and (\d+) loose", lambda a, b, c: a * b + c),
    (
        r"\w+ sells (\d+) \w+ on Monday, (\d+) times as many on Tuesday and (\d+) on Wednesday",
        lambda a, b, c: a + a * b + c,
    ),
]


@pytest.mark.parametrize("split", ["test", "train"])
def test_every_answer_is_what_the_question_says(split: str) -> None:
    problems = load_problems("arithmetic", DatasetSettings(split=split), Path())
    assert len(problems) >= 200
    for problem in problems:
        matches = [(work_out, found) for form, work_out in FORMS if (found := re.match(form, problem.question))]
        assert len(matches) == 1, problem.question
        work_out, found = matches[0]
        assert work_out(*map(int, found.groups())) == int(problem.answer) > 0, problem.question
        assert problem.solution is not None
        assert last_boxed(problem.solution) == problem.answer


def test_the_solutions_steps_are_true() -> None:
    for problem in load_problems("arithmetic", DatasetSettings(), Path()):
        steps = re.findall(r"(\d+(?: [-+*/] \d+)+) = (\d+)", problem.solution or "")
        assert 1 <= len(steps) <= 2
        for left, right in steps:
            assert eval(left) == int(right)  # digits and operators only, by the pattern above


def test_levels_are_graded_and_mixed() -> None:
    problems = load_problems("arithmetic", DatasetSettings(num_examples=8), Path())
    assert [problem.level for problem in problems] == ["1", "2", "3", "4"] * 2
    steps = {p.level: (p.solution or "").count("=") for p in problems}
    assert steps == {"1": 1, "2": 1, "3": 2, "4": 2}


def test_questions_and_ids_are_unique_and_splits_differ() -> None:
    test, train = (load_problems("arithmetic", DatasetSettings(split=split), Path()) for split in ("test", "train"))
    assert len({p.question for p in test}) == len({p.problem_id for p in test}) == len(test)
    shared = {p.question for p in test} & {p.question for p in train}
    assert len(shared) < len(test) // 4  # one-step problems below 20 are few, so some meet


def test_the_same_on_every_machine() -> None:
    problems = load_problems("arithmetic", DatasetSettings(), Path())
    assert problems_version(problems) == "58f94b59e5e269ab"


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(DatasetError, match="arithmetic: no split 'dev'; there are: test, train"):
        load_problems("arithmetic", DatasetSettings(split="dev"), Path())
