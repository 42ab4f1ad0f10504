"""The data sets this project knows by name: where each is published and how its rows are to be read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """Which columns of a publisher's rows hold what."""

    question: str
    answer: str | None  # None: the answer is the last box of the solution
    solution: str | None = None
    problem_id: str | None = None
    subject: str | None = None
    level: str | None = None
    answer_mark: str | None = None  # the answer follows the last such mark in its column


@dataclass(frozen=True)
class KnownDataset:
    """A data set by name."""

    hub: str
    columns: tuple[Columns, ...]  # the forms in which it is published; the first that fits a file is used
    hub_configs: tuple[str | None, ...] = (None,)  # read one after the other
    splits: tuple[str, ...] = ("test",)


_MATH500 = Columns("problem", "answer", "solution", "unique_id", "subject", "level")

KNOWN: Mapping[str, KnownDataset] = {
    "aime2025": KnownDataset(
        hub="math-ai/aime25",
        columns=(
            Columns("problem", "answer", problem_id="id"),
            Columns("problem", "expected_answer", "reference_solution", "id"),
        ),
    ),
    "amc23": KnownDataset(hub="math-ai/amc23", columns=(Columns("question", "answer", problem_id="id"),)),
    # Despite its name, the research scripts' gsm8k_level1 test split holds the problems of MATH-500.
    "gsm8k_level1": KnownDataset(hub="HuggingFaceH4/MATH-500", columns=(_MATH500,)),
    "gsm8k": KnownDataset(
        hub="openai/gsm8k",
        columns=(Columns("question", "answer", "answer", answer_mark="####"),),
        hub_configs=("main",),
        splits=("test", "train"),
    ),
    "math500": KnownDataset(hub="HuggingFaceH4/MATH-500", columns=(_MATH500,)),
    "math": KnownDataset(
        hub="EleutherAI/hendrycks_math",
        columns=(Columns("problem", None, "solution", subject="type", level="level"),),
        hub_configs=(
            "algebra",
            "counting_and_probability",
            "geometry",
            "intermediate_algebra",
            "number_theory",
            "prealgebra",
            "precalculus",
        ),
        splits=("test", "train"),
    ),
}
ARITHMETIC = "arithmetic"
