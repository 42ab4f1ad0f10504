"""The figures that a benchmark gives, each with the reference that it was measured against."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    reference: str | None = None  # the name of the figure it is compared with
    ratio: float | None = (
        None  # value / reference, in the direction in which more is better, where there is a reference
    )
    target: str | None = None  # what was promised, such as ">= 2.5"


def interleaved(
    measures: Mapping[str, Callable[[], float]], repeats: int, say: Callable[[str], None] = lambda line: None
) -> dict[str, float]:
    """The median of `repeats` measurements of each, taken in turn, so that a drift of the machine's speed meets all
    alike.
    """
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(repeats):
        for name, measure in measures.items():
            taken[name].append(measure())
            say(f"{name}: {taken[name][-1]:.4g} (run {number + 1} of {repeats})")
    return {name: statistics.median(values) for name, values in taken.items()}


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes, by the wall clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
