"""One problem, and the version of a set of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Problem:
    """A math problem with its gold answer."""

    problem_id: str  # unique within its data set and stable from one reading to the next
    question: str
    answer: str  # the gold answer, usually LaTeX without `$` and without a box
    solution: str | None = None  # a reference solution, where the data set has one
    subject: str | None = None
    level: str | None = None


def problems_version(problems: Sequence[Problem]) -> str:
    """A hash of the content and order of the problems: equal exactly when they are."""
    canonical = json.dumps([asdict(problem) for problem in problems], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
