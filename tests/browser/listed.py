"""A store of several models and data sets with right, wrong, long and cut-off responses, for the tables."""

import random

from benchmarks.synthetic import STOP, MadeUp, MadeUpProblem, encode, write_partition
from onoff_core.store import Store, publish_catalog

MODELS = {"small": 0.25, "medium": 0.5, "large": 0.75}  # how often each is right
DATASETS = ("algebra", "geometry")
PHRASES = (
    " so the answer is",
    " let x = 2, then",
    " the answer is so then",
    ".\n\n let x",
    " Wait, let me check 3 × 4:",
)


def problems_of(dataset: str, skill: float, number: int, samples: int) -> list[MadeUpProblem]:
    """Problems that get harder; the last is never solved by anybody."""
    chance = random.Random(f"{dataset}|{skill}")
    made = []
    for i in range(number):
        ease = 0.0 if i == number - 1 else min(1.0, max(0.0, skill + 0.5 * (0.5 - i / number)))
        responses = []
        for _ in range(samples):
            words = "".join(chance.choice(PHRASES) for _ in range(chance.randint(2, 14)))
            if chance.random() < 0.08:
                responses.append(MadeUp(encode(words * 3), 0, None, finish_reason="length", status="no_answer"))
                continue
            right = chance.random() < ease
            answer = "2" if right else str(chance.choice([3, 4, 5]))
            responses.append(MadeUp([*encode(f"{words} {answer}"), STOP], int(right), answer))
        question = f"What is ${i + 1} + {i + 1}$, written in lowest terms?"
        made.append(MadeUpProblem(f"{dataset}-{i}", responses, question=question))
    return made


def write_listed(store: Store, number: int = 12, samples: int = 8) -> None:
    """Every model on every data set."""
    for dataset in DATASETS:
        for at, (model, skill) in enumerate(MODELS.items()):
            problems = problems_of(dataset, skill, number, samples)
            write_partition(store, dataset, model, problems, seed=at, fingerprint=f"{at}" * 16)
    publish_catalog(store)
