"""Answers chosen among k responses by a vote or by one response, and how often they are right, over subsets of k.

    majority    the answer that most responses give (Wang et al. 2022, arXiv:2203.11171)
    weighted    each response's vote counts as much as its weight by a measure
    top_N       the surest N % of the responses that have an answer vote, weighted (DeepConf's confidence filtering)
    best_of     the surest response that has an answer decides

A response without an answer, or whose grading ran out of time, has no vote. Where answers tie, each counts its share.
`majority` and `best_of` are exact over all subsets. The others are so where there are at most `subsets` of them; else
they are averaged over so many drawn with a fixed seed. What is drawn is the *difference* to the majority on the same
subset, which is added to the exact majority: so most of the noise of drawing goes.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from onoff_core.confidence.measures import Floats, Ints
from onoff_core.statistics.majority import Ballot, majority_share

Bools = NDArray[np.bool_]

NO_VOTE = -1
FILTERS = {"top_10": 0.1, "top_50": 0.5, "top_90": 0.9}
BY_MEASURE = ("weighted", *FILTERS, "best_of")
RULES = ("majority", *BY_MEASURE)


@dataclass(frozen=True)
class Voters:
    """The responses to one problem that have a reward."""

    problem_id: str
    classes: Ints  # (n,) of their answers; 0 is the gold answer, NO_VOTE: none
    num_tokens: Ints  # (n,) drawn

    @property
    def num(self) -> int:
        return len(self.classes)

    @property
    def answered(self) -> Bools:
        """(n,) which of them have a vote."""
        return self.classes != NO_VOTE

    @property
    def ballot(self) -> Ballot:
        others = np.bincount(self.classes[self.classes > 0])
        sizes = tuple(sorted(int(size) for size in others[others > 0]))
        return Ballot(int((self.classes == 0).sum()), sizes, int((self.classes == NO_VOTE).sum()))


@dataclass(frozen=True)
class Share:
    """How often a rule is right on one problem."""

    right: float  # in [0, 1]
    variance: float  # of `right`, for drawing subsets; 0: all of them


@lru_cache(maxsize=64)
def _all_subsets(n: int, k: int) -> Bools:
    chosen = np.array(list(combinations(range(n), k)), dtype=np.int64)
    return members_of(chosen, n)


def members_of(chosen: Ints, n: int) -> Bools:
    """(n, subsets) whether each response is in each subset, of (subsets, k) numbers of those that are."""
    inside = np.zeros((n, len(chosen)), dtype=bool)
    inside[chosen.T, np.arange(len(chosen))] = True
    return inside


def subsets_of(n: int, k: int, most: int, seed: int) -> Bools:
    """(n, subsets) which responses are in each: all C(n, k) where these are at most `most`, else so many drawn."""
    if math.comb(n, k) <= most:
        return _all_subsets(n, k)
    order = np.random.default_rng(seed).random((most, n)).argsort(axis=1)
    return members_of(order[:, :k], n)


def vote(inside: Bools, classes: Ints, weights: Floats) -> Floats:
    """(subsets,) the share that class 0 has of being chosen: 1 where its votes weigh most, 1/t where t answers tie.

    inside: (n, subsets) who votes; classes: (n,) none of them NO_VOTE; weights: (n,) at least 0.
    """
    different, number = np.unique(classes, return_inverse=True)
    if not len(different) or different[0] != 0:
        return np.zeros(inside.shape[1])
    places, count = np.arange(len(classes)), len(different)
    of_class = np.zeros((2 * count, len(classes)))
    of_class[number, places] = weights
    of_class[count + number, places] = 1
    sums = of_class @ inside.astype(np.float64)  # (the weight of each class, then its voters; subsets)
    there = sums[count:] > 0
    of_each = np.where(there, sums[:count], -1.0)
    tied = there & (of_each >= of_each.max(axis=0) * (1 - 1e-9))
    result: Floats = tied[0] / np.maximum(1, tied.sum(axis=0))
    return result


def surest(inside: Bools, values: Floats, shares: Sequence[float]) -> list[Bools]:
    """Who of each subset is among its surest share, for each share: at or above the (1 - share) quantile of the
    subset's values, by linear interpolation, as DeepConf has it; of m responses that is 1 + floor(share (m - 1)), and
    what ties with them. inside: (n, subsets); values: (n,) falling.
    """
    if not len(values):
        return [inside for _ in shares]
    _, groups = np.unique(-values, return_inverse=True)
    before = np.cumsum(inside, axis=0, dtype=np.int32)
    found = []
    for share in shares:
        count = (1 + np.floor(share * (before[-1] - 1) + 1e-9)).astype(np.int32)
        last = np.minimum((before < count).sum(axis=0), len(values) - 1)
        found.append(inside & (groups[:, None] <= groups[last]))
    return found


@dataclass(frozen=True)
class Electorate:
    """Subsets of k <= n of a problem's responses."""

    voters: Voters
    k: int
    most: int  # subsets

    @property
    def is_exact(self) -> bool:
        return math.comb(self.voters.num, self.k) <= self.most

    @cached_property
    def majority(self) -> float:
        """How often the majority is right, over all subsets."""
        return majority_share(self.voters.ballot, self.k)

    @cached_property
    def _inside(self) -> Bools:
        """(answered, subsets)"""
        seed = zlib.crc32(self.voters.problem_id.encode())
        return subsets_of(self.voters.num, self.k, self.most, seed)[self.voters.answered]

    @cached_property
    def _classes(self) -> Ints:
        return self.voters.classes[self.voters.answered]

    @cached_property
    def _majorities(self) -> Floats:
        """(subsets,) whether the majority is right, in these."""
        return vote(self._inside, self._classes, np.ones(len(self._classes)))

    def shares(self, values: Floats, weights: Floats) -> dict[str, Share]:
        """How often each rule by a measure is right; `values`: (n,) higher is surer; `weights`: (n,) of the votes."""
        answered = self.voters.answered
        order = np.argsort(-values[answered], kind="stable")
        falling, heavy = values[answered][order], weights[answered][order]
        inside, classes = self._inside[order], self._classes[order]
        kept = dict(zip(FILTERS, surest(inside, falling, list(FILTERS.values())), strict=True))
        members = {"weighted": inside, **kept}
        found = {rule: self._share(vote(one, classes, heavy)) for rule, one in members.items()}
        return {**found, "best_of": Share(best_of_share(self.voters, values, self.k), 0.0)}

    def _share(self, right: Floats) -> Share:
        if self.is_exact:
            return Share(float(right.mean()), 0.0)
        differences = right - self._majorities
        found = self.majority + float(differences.mean())
        return Share(min(1.0, max(0.0, found)), float(differences.var(ddof=1)) / len(differences))


def best_of_share(voters: Voters, values: Floats, k: int) -> float:
    """The chance that the surest of k responses that has an answer is right, over all subsets; ties averaged.

    With the responses in falling order, and those without an answer last, one at place i (from 0) leads
    C(n - i - 1, k - 1) of the C(n, k) subsets; a group of equal ones leads those of C(n - i, k) without
    C(n - i - size, k), each of them as often.
    """
    n, answered = voters.num, voters.answered
    levels, groups, sizes = np.unique(-values[answered], return_inverse=True, return_counts=True)
    rights = np.bincount(groups, voters.classes[answered] == 0, len(levels))
    found, before = 0.0, 0
    for size, right in zip(sizes.tolist(), rights.tolist(), strict=True):
        leads = math.comb(n - before, k) - math.comb(n - before - size, k)
        found += right / size * (leads / math.comb(n, k))
        before += size
    return found


@dataclass(frozen=True)
class Choice:
    """One rule at one k over all problems; (m,) each."""

    right: Floats
    majority: Floats
    monte_carlo_error: float  # standard error of the mean of `right`


Weighed = tuple[Floats, Floats]  # of a problem's responses by a measure: how sure they look, and their weights


def choose(
    problems: Sequence[Voters], by_measure: Mapping[str, Sequence[Weighed]], k: int, subsets: int
) -> dict[tuple[str, str | None], Choice]:
    """(rule, measure) -> what comes of it at k <= the fewest responses of a problem; majority goes by no measure.

    `by_measure`: of each measure, a pair for every problem.
    """
    shares: dict[tuple[str, str | None], list[Share]] = {("majority", None): []}
    for number, voters in enumerate(problems):
        electorate = Electorate(voters, k, subsets)
        shares["majority", None].append(Share(electorate.majority, 0.0))
        for measure, weighed in by_measure.items():
            for rule, share in electorate.shares(*weighed[number]).items():
                shares.setdefault((rule, measure), []).append(share)
    majority = np.array([share.right for share in shares["majority", None]])
    return {
        names: Choice(
            np.array([share.right for share in of]),
            majority,
            math.sqrt(sum(share.variance for share in of)) / len(of),
        )
        for names, of in shares.items()
    }
