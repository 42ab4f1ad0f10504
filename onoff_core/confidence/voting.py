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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from onoff_core.confidence.measures import Floats, Ints
from onoff_core.statistics.majority import Ballot, majority_share

Bools = NDArray[np.bool_]

NO_VOTE = -1
FILTERS = {"top_10": 0.1, "top_50": 0.5, "top_90": 0.9}
RULES = ("majority", "weighted", *FILTERS, "best_of")


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
    def ballot(self) -> Ballot:
        answered = self.classes[self.classes > 0]
        others = np.bincount(answered)
        sizes = tuple(sorted(int(size) for size in others[others > 0]))
        return Ballot(int((self.classes == 0).sum()), sizes, int((self.classes == NO_VOTE).sum()))


@dataclass(frozen=True)
class Share:
    """How often a rule is right on one problem."""

    right: float  # in [0, 1]
    majority: float  # how often the majority is, over the same subsets
    variance: float  # of `right`, for drawing subsets; 0: all of them


@lru_cache(maxsize=4096)
def subsets_of(n: int, k: int, most: int, seed: int) -> Bools:
    """(subsets, n) which responses are in each: all C(n, k) where these are at most `most`, else so many drawn."""
    if math.comb(n, k) <= most:
        chosen = np.array(list(combinations(range(n), k)), dtype=np.int64)
        inside = np.zeros((len(chosen), n), dtype=bool)
        np.put_along_axis(inside, chosen, True, axis=1)
        return inside
    order = np.random.default_rng(seed).random((most, n)).argsort(axis=1).argsort(axis=1)
    drawn: Bools = order < k
    return drawn


def vote(inside: Bools, classes: Ints, weights: Floats) -> Floats:
    """(subsets,) the share that class 0 has of being chosen: 1 where its votes weigh most, 1/t where t answers tie.

    inside: (subsets, n) who votes; classes: (n,) none of them NO_VOTE; weights: (n,) at least 0.
    """
    _, number = np.unique(classes, return_inverse=True)
    of_class = np.zeros((len(classes), int(number.max(initial=-1)) + 1))
    of_class[np.arange(len(classes)), number] = 1
    sums = inside @ (of_class * weights[:, None])  # (subsets, classes)
    there = (inside @ of_class) > 0
    most = np.where(there, sums, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    tied = there & (sums >= most - 1e-9 * np.abs(most))
    gold = np.flatnonzero(classes == 0)
    if not len(gold):
        return np.zeros(len(inside))
    result: Floats = tied[:, number[gold[0]]] / np.maximum(1, tied.sum(axis=1))
    return result


def kept_of(inside: Bools, values: Floats, share: float) -> Bools:
    """Who of each subset is among its surest share: at or above the (1 - share) quantile of the subset's values, by
    linear interpolation, as DeepConf has it; of m responses that is 1 + floor(share (m - 1)), and what ties with them.
    """
    if not len(values):
        return inside
    order = np.argsort(-values, kind="stable")
    _, groups = np.unique(-values[order], return_inverse=True)
    sorted_inside = inside[:, order]
    count = 1 + np.floor(share * (inside.sum(axis=1) - 1) + 1e-9)
    last = np.minimum((np.cumsum(sorted_inside, axis=1) < count[:, None]).sum(axis=1), len(values) - 1)
    kept = np.zeros_like(inside)
    kept[:, order] = sorted_inside & (groups[None, :] <= groups[last][:, None])
    return kept


def share_of(rule: str, voters: Voters, values: Floats, weights: Floats, k: int, subsets: int) -> Share:
    """How often a rule is right on a problem, over subsets of k <= n of its responses.

    `values`: (n,) higher is surer; `weights`: (n,) of the votes.
    """
    majority = majority_share(voters.ballot, k)
    if rule == "majority":
        return Share(majority, majority, 0.0)
    if rule == "best_of":
        return Share(best_of_share(voters, values, k), majority, 0.0)
    answered = voters.classes != NO_VOTE
    classes, values, weights = voters.classes[answered], values[answered], weights[answered]
    all_inside = subsets_of(voters.num, k, subsets, zlib.crc32(voters.problem_id.encode()))
    inside = all_inside[:, answered]
    chosen = inside if rule == "weighted" else kept_of(inside, values, FILTERS[rule])
    right = vote(chosen, classes, weights)
    if math.comb(voters.num, k) <= subsets:
        return Share(float(right.mean()), majority, 0.0)
    differences = right - vote(inside, classes, np.ones(len(classes)))
    found = majority + float(differences.mean())
    return Share(min(1.0, max(0.0, found)), majority, float(differences.var(ddof=1)) / len(differences))


def best_of_share(voters: Voters, values: Floats, k: int) -> float:
    """The chance that the surest of k responses that has an answer is right, over all subsets; ties averaged.

    With the responses in falling order, and those without an answer last, one at place i (from 0) leads
    C(n - i - 1, k - 1) of the C(n, k) subsets; a group of equal ones leads those of C(n - i, k) without
    C(n - i - size, k), each of them as often.
    """
    n = voters.num
    answered = voters.classes != NO_VOTE
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


def choose(
    rule: str, problems: Sequence[Voters], values: Sequence[Floats], weights: Sequence[Floats], k: int, subsets: int
) -> Choice:
    """A rule at k <= the fewest responses of a problem."""
    shares = [
        share_of(rule, voters, surest, weight, k, subsets)
        for voters, surest, weight in zip(problems, values, weights, strict=True)
    ]
    return Choice(
        np.array([share.right for share in shares]),
        np.array([share.majority for share in shares]),
        math.sqrt(sum(share.variance for share in shares)) / len(shares),
    )
