"""A built-in data set of arithmetic word problems: licence-free, without a download, answers correct by construction.

Four levels, met in turn, so that the first few problems already span them: 1 one addition or subtraction below 20; 2
one product or exact quotient; 3 two steps below 100; 4 two steps with larger numbers. A split is a seed; the same
split is the same problems on every machine (`random.Random` is stable across versions for the methods used here).
"""

import random
from collections.abc import Callable

from onoff_core.errors import DatasetError
from onoff_core.problems.problem import Problem

NUM_PROBLEMS = 240
_SEEDS = {"test": 20250, "train": 20251}
_NAMES = ("Ana", "Ben", "Chen", "Dina", "Eli", "Farah", "Goran", "Hana", "Ivan", "Jun", "Kofi", "Lena")
_THINGS = ("apples", "books", "coins", "marbles", "pencils", "shells", "stamps", "stickers", "tickets", "cards")

Step = tuple[str, int, str]  # question, answer, solution


def arithmetic_problems(split: str) -> tuple[Problem, ...]:
    """The problems of a split, `test` or `train`."""
    if split not in _SEEDS:
        raise DatasetError(f"arithmetic: no split {split!r}; there are: {', '.join(_SEEDS)}")
    draw = random.Random(_SEEDS[split])
    problems: list[Problem] = []
    seen: set[str] = set()
    while len(problems) < NUM_PROBLEMS:
        index = len(problems)
        level = index % len(_LEVELS)
        forms = _LEVELS[level]
        question, answer, solution = forms[draw.randrange(len(forms))](draw)
        if question in seen:
            continue
        seen.add(question)
        problems.append(
            Problem(
                problem_id=f"{split}-{index}",
                question=question,
                answer=str(answer),
                solution=f"{solution} The answer is \\boxed{{{answer}}}.",
                level=str(level + 1),
            )
        )
    return tuple(problems)


def _who(draw: random.Random) -> tuple[str, str]:
    return _NAMES[draw.randrange(len(_NAMES))], _THINGS[draw.randrange(len(_THINGS))]


def _gain(draw: random.Random) -> Step:
    (name, things), a, b = _who(draw), draw.randint(3, 12), draw.randint(2, 9)
    question = f"{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?"
    return question, a + b, f"{a} + {b} = {a + b}."


def _loss(draw: random.Random) -> Step:
    (name, things), a, b = _who(draw), draw.randint(10, 20), draw.randint(2, 9)
    question = f"{name} has {a} {things} and gives away {b}. How many {things} are left?"
    return question, a - b, f"{a} - {b} = {a - b}."


def _groups(draw: random.Random) -> Step:
    (_, things), a, b = _who(draw), draw.randint(3, 9), draw.randint(3, 9)
    question = f"There are {a} boxes with {b} {things} in each. How many {things} are there in all?"
    return question, a * b, f"{a} * {b} = {a * b}."


def _share(draw: random.Random) -> Step:
    (name, things), b, each = _who(draw), draw.randint(3, 8), draw.randint(3, 9)
    question = f"{name} shares {b * each} {things} equally among {b} friends. How many {things} does each friend get?"
    return question, each, f"{b * each} / {b} = {each}."


def _gain_then_loss(draw: random.Random) -> Step:
    (name, things), a, b, c = _who(draw), draw.randint(20, 60), draw.randint(5, 30), draw.randint(5, 20)
    question = f"{name} has {a} {things}, gets {b} more and then loses {c}. How many {things} does {name} have now?"
    return question, a + b - c, f"{a} + {b} = {a + b}, and {a + b} - {c} = {a + b - c}."


def _groups_and_more(draw: random.Random) -> Step:
    (name, things), a, b, c = _who(draw), draw.randint(3, 9), draw.randint(4, 9), draw.randint(2, 19)
    question = f"{name} buys {a} packs of {b} {things} and finds {c} more. How many {things} does {name} have?"
    return question, a * b + c, f"{a} * {b} = {a * b}, and {a * b} + {c} = {a * b + c}."


def _trips(draw: random.Random) -> Step:
    (_, things), a, b, c = _who(draw), draw.randint(11, 29), draw.randint(3, 12), draw.randint(13, 90)
    question = (
        f"A van carries {a} crates of {b} {things} on every trip. After one trip, {c} {things} are sold. "
        f"How many {things} of that trip are left?"
        if a * b > c
        else f"A van carries {a} crates of {b} {things}, and {c} loose {things}. How many {things} does it carry?"
    )
    answer = a * b - c if a * b > c else a * b + c
    sign = "-" if a * b > c else "+"
    return question, answer, f"{a} * {b} = {a * b}, and {a * b} {sign} {c} = {answer}."


def _two_days(draw: random.Random) -> Step:
    (name, things), a, factor, c = _who(draw), draw.randint(24, 95), draw.randint(2, 4), draw.randint(11, 60)
    question = (
        f"{name} sells {a} {things} on Monday, {factor} times as many on Tuesday and {c} on Wednesday. "
        f"How many {things} does {name} sell in the three days?"
    )
    total = a + factor * a + c
    return question, total, f"{factor} * {a} = {factor * a}, and {a} + {factor * a} + {c} = {total}."


_LEVELS: tuple[tuple[Callable[[random.Random], Step], ...], ...] = (
    (_gain, _loss),
    (_groups, _share),
    (_gain_then_loss, _groups_and_more),
    (_trips, _two_days),
)
