"""Mean entropies of the tokens of correct and of wrong responses, over all tokens and by position, with intervals.

Tokens of one response, and responses to one problem, are alike: the intervals take the problem as what is drawn.
"""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_core.cross.statistics import ratio_interval_of
from onoff_core.statistics.distributions import student_t_quantile

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class MeanEntropy:
    """Of the tokens of one kind of responses; `mean` in nats, None where there are no tokens."""

    num_responses: int
    num_problems: int
    num_tokens: int
    mean: float | None
    interval: Interval | None  # 95 %, on other problems like these; None for fewer than two problems


@dataclass(frozen=True)
class EntropyDifference:
    """Mean entropy of the tokens of one kind of responses minus that of another, nats."""

    value: float
    num_problems: int  # that it rests on
    interval: Interval | None  # 95 %, on other problems like these; None for fewer than two problems


class EntropySums:
    """Adds up entropies by problem, kind of response and place, a fragment at a time."""

    def __init__(self, problem_ids: pa.ChunkedArray, kinds: NDArray[np.int64], num_kinds: int, num_places: int) -> None:
        """`problem_ids`, `kinds`: of each response."""
        problems = pc.unique(problem_ids)
        self._problem_of, self._kinds = pc.index_in(problem_ids, problems).to_numpy().astype(np.int64), kinds
        self._counts = np.zeros((len(problems), num_kinds, num_places), np.int64)
        self._totals = np.zeros(self._counts.shape)

    def add(self, rows: NDArray[np.int64], places: NDArray[np.int64], entropies: Floats) -> None:
        """Tokens: the row of each one's response, its place, and its entropy in nats."""
        if not len(rows):
            return
        problem = self._problem_of[rows]
        first = int(problem.min())
        part = slice(first, int(problem.max()) + 1)  # a fragment has few problems, next to each other
        shape = self._counts[part].shape
        cell = np.ravel_multi_index((problem - first, self._kinds[rows], places), shape)
        size = int(np.prod(shape))
        self._counts[part] += np.bincount(cell, minlength=size).reshape(shape)
        self._totals[part] += np.bincount(cell, weights=entropies, minlength=size).reshape(shape)

    @property
    def num_tokens(self) -> int:
        return int(self._counts.sum())

    @property
    def mean(self) -> float | None:
        """Over all tokens, nats."""
        return float(self._totals.sum() / self.num_tokens) if self.num_tokens else None

    @property
    def count(self) -> NDArray[np.int64]:
        """(kinds, places) tokens."""
        return np.asarray(self._counts.sum(axis=0), dtype=np.int64)

    def means(self) -> Floats:
        """(kinds, places) nats; nan where there is no token."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self._totals.sum(axis=0) / self._counts.sum(axis=0), dtype=np.float64)

    def ends(self) -> tuple[Floats, Floats]:
        """Lower and upper ends of the means' intervals, nan where there is none."""
        ends = np.full((2, *self._counts.shape[1:]), np.nan)
        for kind, place in np.argwhere(self._counts.any(axis=0)):
            found = _interval(self._totals[:, kind, place], self._counts[:, kind, place])
            if found is not None:
                ends[:, kind, place] = found
        return ends[0], ends[1]

    def by_reward(self) -> tuple[MeanEntropy, ...]:
        """Of each kind."""
        counts, totals = self._counts.sum(axis=2), self._totals.sum(axis=2)
        made = []
        for kind, num_responses in enumerate(np.bincount(self._kinds, minlength=counts.shape[1]).tolist()):
            number, there = int(counts[:, kind].sum()), int((counts[:, kind] > 0).sum())
            mean = float(totals[:, kind].sum() / number) if number else None
            made.append(MeanEntropy(num_responses, there, number, mean, _interval(totals[:, kind], counts[:, kind])))
        return tuple(made)

    def difference(self, kind: int, other: int) -> EntropyDifference | None:
        """Of the means over all tokens, `kind` minus `other`; None where one of them has no token.

        The variance by linearisation, as of one mean in `ratio_interval_of`, with the problem as the cluster: a
        problem that has tokens of both kinds moves both means. Student's t has one degree of freedom less than there
        are problems of the rarer kind, of which there may be few.
        """
        counts, totals = self._counts.sum(axis=2)[:, [kind, other]], self._totals.sum(axis=2)[:, [kind, other]]
        there = counts.any(axis=1)
        counts, totals = counts[there], totals[there]
        if not counts.any(axis=0).all():
            return None
        means = totals.sum(axis=0) / counts.sum(axis=0)
        moved = (totals - means * counts) / counts.sum(axis=0)  # what each problem adds to the error of each mean
        m, fewest = len(counts), int((counts > 0).sum(axis=0).min())
        variance = m / max(1, m - 1) * float(((moved[:, 0] - moved[:, 1]) ** 2).sum())
        return _difference(float(means[0] - means[1]), m, variance, fewest - 1)

    def difference_within(self, kind: int, other: int) -> EntropyDifference | None:
        """The mean over the problems that have both of the difference of the means of their tokens, `kind` minus
        `other`; None where no problem has both. What a problem is like, it is like for both.
        """
        counts, totals = self._counts.sum(axis=2)[:, [kind, other]], self._totals.sum(axis=2)[:, [kind, other]]
        both = counts.all(axis=1)
        if not both.any():
            return None
        means = totals[both] / counts[both]
        found = means[:, 0] - means[:, 1]
        m = len(found)
        variance = float(((found - found.mean()) ** 2).sum()) / (m * max(1, m - 1))
        return _difference(float(found.mean()), m, variance, m - 1)


def _difference(value: float, num_problems: int, variance: float, degrees: int) -> EntropyDifference:
    if degrees < 1:
        return EntropyDifference(value, num_problems, None)
    half = student_t_quantile(degrees) * math.sqrt(variance)
    return EntropyDifference(value, num_problems, (value - half, value + half))


def _interval(totals: Floats, counts: NDArray[np.int64]) -> Interval | None:
    """Of the mean entropy of a token, from the sums of each problem."""
    there = counts > 0
    return ratio_interval_of(totals[there], counts[there].astype(np.float64))
