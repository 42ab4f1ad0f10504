"""Two models problem by problem: how far apart their pass rates are, and on which problems they change sides."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from onoff_core.statistics import ProblemResponses
from onoff_core.statistics.intervals import Interval, clopper_pearson, difference_interval


@dataclass(frozen=True)
class ProblemDifference:
    """One problem and the responses of two models to it."""

    first: ProblemResponses
    second: ProblemResponses

    @property
    def problem_id(self) -> str:
        return self.first.problem_id

    @property
    def difference(self) -> float:
        """The first model's pass rate minus the second's."""
        return self.first.pass_rate - self.second.pass_rate

    @property
    def flips(self) -> bool:
        """Whether one model is correct at least half of the time, and the other is not."""
        return (self.first.pass_rate >= 0.5) != (self.second.pass_rate >= 0.5)

    def interval(self) -> Interval:
        """95 %, were the responses to this very problem drawn again."""
        return _interval(*((of.ballot.correct, of.num_graded) for of in (self.first, self.second)))


def problem_differences(
    first: Mapping[str, ProblemResponses], second: Mapping[str, ProblemResponses]
) -> list[ProblemDifference]:
    """The problems that both have verdicts on, the farthest apart first; equal ones as the first model has them."""
    both = [ProblemDifference(of, second[problem]) for problem, of in first.items() if problem in second]
    there = [row for row in both if row.first.num_graded and row.second.num_graded]
    return sorted(there, key=lambda row: -abs(row.difference))


@lru_cache(maxsize=65536)
def _interval(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """Of two (correct, graded): Newcombe's, from Clopper and Pearson's of each, which `problem_statistics` has too."""
    (one, other) = ((correct / n, clopper_pearson(correct / n, n)) for correct, n in (first, second))
    return difference_interval(one, other)
