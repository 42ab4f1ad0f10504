r"""Rows of problems for training, in three forms.

plain  the problem with its pass rate and where that comes from
verl   `data_source`, `prompt` (messages), `ability`, `reward_model: {style, ground_truth}`, `extra_info`, as the page
       "Prepare Data for Post-Training" of verl's documentation (docs/preparation/prepare_data.rst) has it
trl    `prompt` as messages, and `solution`, the column that TRL's `accuracy_reward` reads (trl/rewards/
       accuracy_rewards.py): the gold answer in \boxed{}, for its parser finds no bare LaTeX. TRL gives all other
       columns to a reward function by name. Its page "Dataset formats and types" has the form (prompt-only).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from onoff_core.exchange.rl.selection import TRAIN, Choice, mean_share
from onoff_core.exchange.rl.sources import Source
from onoff_core.tasks import messages_of

Row = dict[str, Any]

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
BY_MODEL = pa.list_(
    pa.struct(
        [
            ("model", pa.string()),
            ("pass_rate", pa.float64()),
            ("pass_rate_low", pa.float64()),
            ("pass_rate_high", pa.float64()),
            ("num_graded", pa.int32()),
            ("num_correct", pa.int32()),
            ("num_unknown", pa.int32()),
            ("samples", pa.string()),
            ("rewards", pa.string()),
            ("statistics", pa.string()),
        ]
    )
)
_IDENTITY = [("problem_id", pa.string()), ("dataset", pa.string())]
_RATES = [
    ("pass_rate", pa.float64()),
    ("pass_rate_low", pa.float64()),
    ("pass_rate_high", pa.float64()),
    ("band", pa.string()),
    ("problems", pa.string()),
    ("by_model", BY_MODEL),
]
_PLAIN = pa.schema(
    [
        *_IDENTITY,
        *((name, pa.string()) for name in ("question", "answer", "solution", "subject", "level")),
        *_RATES,
    ]
)
_TRL = pa.schema(
    [
        ("prompt", MESSAGES),
        ("solution", pa.string()),
        ("answer", pa.string()),
        *_IDENTITY,
        *((name, pa.string()) for name in ("reference_solution", "subject", "level")),
        *_RATES,
    ]
)
_VERL = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", MESSAGES),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("split", pa.string()),
                    ("index", pa.int64()),
                    *_IDENTITY,
                    ("question", pa.string()),
                    *_RATES,
                ]
            ),
        ),
    ]
)


@dataclass(frozen=True)
class Shape:
    """A form that rows have."""

    schema: pa.Schema
    row: Callable[["ProblemRows", Mapping[str, Any], int, str], Row]


@dataclass(frozen=True)
class ProblemRows:
    """What is the same for all rows."""

    dataset: str
    problems: Mapping[str, Mapping[str, Any]]  # rows of the table `problems`, by id
    sources: Sequence[Source]
    choice: Choice
    data_source: str  # verl chooses its reward function by it

    def rows(self, problem_ids: Sequence[str], shape: str, split: str) -> Iterator[Row]:
        for index, problem_id in enumerate(problem_ids):
            yield SHAPES[shape].row(self, self.problems[problem_id], index, split)

    def rates(self, problem_id: str, split: str) -> Row:
        """The pass rate, with its interval where it is that of one model, and each model's with its results."""
        rates = [source.pass_rates[problem_id] for source in self.sources]
        alone = rates[0] if len(rates) == 1 else None
        return {
            "pass_rate": mean_share(rates),
            "pass_rate_low": None if alone is None else alone.low,
            "pass_rate_high": None if alone is None else alone.high,
            "band": None if self.choice.band is None or split != TRAIN else str(self.choice.band),
            "problems": self.sources[0].problems,
            "by_model": [
                {
                    "model": source.model,
                    "pass_rate": rate.share,
                    "pass_rate_low": rate.low,
                    "pass_rate_high": rate.high,
                    "num_graded": rate.num_graded,
                    "num_correct": rate.num_correct,
                    "num_unknown": rate.num_unknown,
                    "samples": source.samples.fingerprint,
                    "rewards": source.rewards.fingerprint,
                    "statistics": source.statistics.fingerprint,
                }
                for source, rate in zip(self.sources, rates, strict=True)
            ],
        }

    def prompt(self, question: str) -> list[dict[str, str]]:
        """The messages that the first model was given."""
        return messages_of(question, self.sources[0].known_task)


def _plain(of: ProblemRows, problem: Mapping[str, Any], index: int, split: str) -> Row:
    return {**problem, "dataset": of.dataset, **of.rates(problem["problem_id"], split)}


def _trl(of: ProblemRows, problem: Mapping[str, Any], index: int, split: str) -> Row:
    return {
        "prompt": of.prompt(problem["question"]),
        "solution": f"\\boxed{{{problem['answer']}}}",
        "answer": problem["answer"],
        "problem_id": problem["problem_id"],
        "dataset": of.dataset,
        "reference_solution": problem["solution"],
        "subject": problem["subject"],
        "level": problem["level"],
        **of.rates(problem["problem_id"], split),
    }


def _verl(of: ProblemRows, problem: Mapping[str, Any], index: int, split: str) -> Row:
    return {
        "data_source": of.data_source,
        "prompt": of.prompt(problem["question"]),
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": problem["answer"]},
        "extra_info": {
            "split": split,
            "index": index,
            "problem_id": problem["problem_id"],
            "dataset": of.dataset,
            "question": problem["question"],
            **of.rates(problem["problem_id"], split),
        },
    }


SHAPES = {"plain": Shape(_PLAIN, _plain), "trl": Shape(_TRL, _trl), "verl": Shape(_VERL, _verl)}
# By how data_source begins, where the rules of verl's `default_compute_score` (verl/utils/reward_score/__init__.py)
# look for the answer to a math problem.
VERL_LOOKS_FOR = {
    "lighteval/MATH": r"\boxed{...}",
    "DigitalLearningGmbH/MATH-lighteval": r"\boxed{...}",
    "numina_": r"\boxed{...}",
    "openai/gsm8k": "#### ...",
    "math_dapo": "Answer: ...",
    "aime": "Answer: ...",
}


def columns_of(shape: str) -> dict[str, str]:
    """What the columns of a shape mean, for a data card."""
    return {name: _MEANINGS.get((shape, name), _MEANINGS.get(("", name), "")) for name in SHAPES[shape].schema.names}


_MEANINGS = {
    ("", "problem_id"): "unique within the data set",
    ("", "dataset"): "its name in the study",
    ("", "question"): "as the data set has it",
    ("", "answer"): "the gold answer, LaTeX",
    ("", "solution"): "a reference solution; null: the data set has none",
    ("trl", "solution"): r"the gold answer in \boxed{}, as TRL's accuracy_reward reads it",
    ("", "reference_solution"): "a reference solution; null: the data set has none",
    ("", "subject"): "the publisher's",
    ("", "level"): "the publisher's difficulty",
    ("", "pass_rate"): "share of right responses among those with a verdict; of several models, the mean of theirs",
    ("", "pass_rate_low"): "95 % interval (Clopper-Pearson), this problem drawn again; null: of several models",
    ("", "pass_rate_high"): "95 % interval (Clopper-Pearson), this problem drawn again; null: of several models",
    ("", "band"): "the pass rates that it was chosen by; null: it was not chosen by its pass rate",
    ("", "problems"): "the version of the data set's problems",
    ("", "by_model"): "each model's pass rate, counts, and the results (samples, rewards, statistics) they are of",
    ("", "prompt"): "the messages that the model was given",
    ("", "data_source"): "by which verl chooses its reward function",
    ("", "ability"): "always math",
    ("", "reward_model"): "style rule, and the gold answer as ground_truth",
    ("", "extra_info"): "split, index, problem_id, question, pass rate with interval and where it comes from",
}
