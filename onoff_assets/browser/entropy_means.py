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
class Difference:
    """Of two kinds' means, nats."""

    estimate: float
    interval: Interval | None  # 95 %, on other problems like these; None where a kind has fewer than two problems
    num_problems: int  # with tokens of either kind


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

    def difference(self, first: int, second: int) -> Difference | None:
        """The mean of one kind less that of another; None where either has no tokens."""
        counts, totals = self._counts.sum(axis=2).astype(np.float64), self._totals.sum(axis=2)
        if not counts[:, first].any() or not counts[:, second].any():
            return None
        means = totals.sum(axis=0) / np.maximum(1, counts.sum(axis=0))
        there = (counts[:, first] > 0) | (counts[:, second] > 0)
        interval = _interval_of_difference(totals[there][:, [first, second]], counts[there][:, [first, second]])
        return Difference(float(means[first] - means[second]), interval, int(there.sum()))


def _interval_of_difference(totals: Floats, counts: Floats) -> Interval | None:
    """Of the difference of two ratios, from (problems, 2) sums.

    Each ratio's linearised residuals as in `ratio_interval_of`, subtracted within the problem, so that what a problem
    does to both is not counted as noise. Student's t has one degree of freedom less than the kind with fewer problems
    has problems, for with few of them that kind alone makes the error.
    """
    problems = (counts > 0).sum(axis=0)
    if problems.min() < 2:
        return None
    ratios = totals.sum(axis=0) / counts.sum(axis=0)
    residuals = (totals - ratios * counts) / counts.sum(axis=0) * np.sqrt(problems / (problems - 1))
    error = math.sqrt(float(((residuals[:, 0] - residuals[:, 1]) ** 2).sum()))
    half = student_t_quantile(int(problems.min()) - 1) * error
    middle = float(ratios[0] - ratios[1])
    return middle - half, middle + half


def _interval(totals: Floats, counts: NDArray[np.int64]) -> Interval | None:
    """Of the mean entropy of a token, from the sums of each problem."""
    there = counts > 0
    return ratio_interval_of(totals[there], counts[there].astype(np.float64))
