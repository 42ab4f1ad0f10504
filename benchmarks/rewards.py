"""Grading 10,000 ordinary responses: our pool against one plain loop over math-verify in one process.

The responses are made up: eight to a problem, a few hundred characters of reasoning, answers of the kinds that MATH
has in about its shares (whole numbers, fractions, roots, expressions, pairs, intervals, words), half of them right,
often in another spelling. Our time includes starting the processes. The loop is as a user of the library would write
it: parse the gold answer, parse the response, verify, with the library's own time-outs.
"""

import logging
import random

from benchmarks.figures import Figure, interleaved, seconds
from onoff_core.rewards import GradingTask, grade

NUM_RESPONSES, NUM_SAMPLES = 10_000, 8
TARGET = 1.7
_SENTENCES = (
    "First we write down what is given.",
    "Let $x$ be the unknown, so that $2x + 3 = y$ holds.",
    r"Then $\frac{a}{b} = \frac{c}{d}$ gives the next step.",
    "This simplifies, and we check the case of equality.",
    r"By symmetry the other root is $-\sqrt{x^2 + 1}$.",
)
_WORDS = ("even", "odd", "circle", "ellipse", "Monday", "Evelyn")


def tasks(num_responses: int) -> list[GradingTask]:
    """Responses with their gold answers, the same in every run."""
    draw = random.Random(7)
    made = []
    for index in range(num_responses):
        if index % NUM_SAMPLES == 0:
            kind, seed = draw.randrange(20), draw.randrange(10**9)
        gold, spelling = _answers(kind, random.Random(seed))
        wrong = _answers(kind, random.Random(draw.randrange(10**9)))[1]
        reasoning = " ".join(draw.choice(_SENTENCES) for _ in range(draw.randint(4, 16)))
        answer = spelling if draw.random() < 0.5 else wrong
        made.append(GradingTask(f"{reasoning} The answer is $\\boxed{{{answer}}}$.", gold, f"p{index // NUM_SAMPLES}"))
    return made


def _answers(kind: int, draw: random.Random) -> tuple[str, str]:
    """An answer, and another way to write it."""
    a, b, c = draw.randint(2, 300), draw.randint(2, 60), draw.randint(2, 19)
    if kind < 10:
        return str(a), f"{a}.0" if a % 5 == 0 else str(a)
    if kind < 13:
        return f"\\frac{{{a}}}{{{b}}}", f"\\dfrac{{{a * c}}}{{{b * c}}}"
    if kind < 15:
        return f"{a}\\sqrt{{{b}}}", f"{a} \\sqrt{b if b < 10 else '{' + str(b) + '}'}"
    if kind == 15:
        return f"{a}x^2+{b}x-{c}", f"{b}x - {c} + {a}x^2"
    if kind == 16:
        return f"\\left( {a}, -{b} \\right)", f"({a},-{b})"
    if kind == 17:
        return f"[-{a},{b})", f"[-{a}, {b})"
    if kind == 18:
        return f"{a}+{b}i", f"{b}i + {a}"
    word = draw.choice(_WORDS)
    return f"\\text{{{word}}}", word


def run(repeats: int, num_responses: int = NUM_RESPONSES) -> list[Figure]:
    work = tasks(num_responses)
    taken = interleaved(
        {
            "onoff": lambda: seconds(lambda: grade(work, "boxed")),
            "math-verify loop": lambda: seconds(lambda: _plain_loop(work)),
        },
        repeats,
        logging.getLogger("onoff").info,
    )
    ours, loop = num_responses / taken["onoff"], num_responses / taken["math-verify loop"]
    return [
        Figure("onoff", ours, "responses/s", "math-verify loop", ours / loop, f">= {TARGET}"),
        Figure("math-verify loop", loop, "responses/s"),
    ]


def _plain_loop(work: list[GradingTask]) -> list[bool]:
    import math_verify

    return [math_verify.verify(math_verify.parse(f"${task.gold}$"), math_verify.parse(task.response)) for task in work]
