"""maj@k: how often the majority of k responses is right, over all subsets of k, exactly."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Votes = Sequence[int | None]  # one per response: its answer's class, 0 is the gold answer; None abstains
Complex = NDArray[np.complex128]

_NEGLIGIBLE = 1e-15  # chance of a number of correct votes that is left out


class Ballot(NamedTuple):
    """The responses of one problem as a vote sees them."""

    correct: int
    others: tuple[int, ...]  # sizes of the other classes, rising
    abstentions: int  # responses without an answer

    @property
    def num_votes(self) -> int:
        return self.correct + sum(self.others) + self.abstentions


def ballot_of(votes: Votes) -> Ballot:
    """The sizes of a problem's answer classes."""
    counts = Counter(vote for vote in votes if vote is not None)
    correct = counts.pop(0, 0)
    return Ballot(correct, tuple(sorted(counts.values())), sum(vote is None for vote in votes))


def maj_at_k(problems: Sequence[Votes], k: int) -> float | None:
    """The share of problems that a majority of k responses answers correctly, averaged over all C(n, k) subsets and
    over ties; None where a problem has fewer than k responses (Wang et al. 2022, "Self-Consistency Improves Chain of
    Thought Reasoning in Language Models", arXiv:2203.11171, for the vote).

    Averaging over all subsets is what resampling them estimates, without its noise, and does not depend on the order
    of the responses as the first k would.
    """
    if not problems or min(len(votes) for votes in problems) < k:
        return None
    return float(np.mean([majority_share(ballot_of(votes), k) for votes in problems]))


@lru_cache(maxsize=65536)
def majority_share(ballot: Ballot, k: int) -> float:
    """The chance that the correct class has the most votes of k responses drawn at random, a tie of t counting 1/t."""
    correct, others, _ = ballot
    if k == 1:
        return correct / ballot.num_votes  # the same to the last digit as the accuracy
    if correct == 0:
        return 0.0
    if k == ballot.num_votes:
        most = max(others, default=0)
        return 1 / (1 + others.count(correct)) if correct >= most else 0.0
    return _Subsets(ballot, k).share(ballot)


@lru_cache(maxsize=65536)
def majority_jackknife(ballot: Ballot, k: int) -> float:
    """The jackknife's estimate of the variance of `majority_share` were the responses drawn again; k < n.

    (n - 1) / n times the sum of squares of what each response, left out, changes. It errs upwards on average (Efron and
    Stein 1981, "The Jackknife Estimate of Variance", Annals of Statistics 9, for every symmetric statistic).
    """
    n, whole = ballot.num_votes, majority_share(ballot, k)
    if ballot.correct == 0:
        return 0.0
    if k == n - 1 or k == 1:
        without = {left: majority_share(left, k) for left, _ in _each_left_out(ballot)}
    else:
        subsets = _Subsets(ballot, k)
        without = {left: subsets.share(left) for left, _ in _each_left_out(ballot)}
    return (n - 1) / n * sum(times * (without[left] - whole) ** 2 for left, times in _each_left_out(ballot))


def _each_left_out(ballot: Ballot) -> list[tuple[Ballot, int]]:
    """The ballots without one response, and how many responses leave that ballot."""
    correct, others, abstentions = ballot
    found = []
    if correct:
        found.append((Ballot(correct - 1, others, abstentions), correct))
    if abstentions:
        found.append((Ballot(correct, others, abstentions - 1), abstentions))
    for size, times in Counter(others).items():
        rest = list(others)
        rest.remove(size)
        rest += [size - 1] if size > 1 else []
        found.append((Ballot(correct, tuple(sorted(rest)), abstentions), size * times))
    return found


class _Subsets:
    """Subsets of k of a ballot, and of the ballots that lack one response of it.

    Drawing k without replacement is drawing every class by independent binomials of one chance, here k/n, given that
    they sum to k; so the votes are distributed as a product of polynomials, divided by the chance of that sum, and all
    terms stay below 1. For each number j of correct votes a class with fewer than j responses cannot reach it and only
    fills up, like the abstentions. A class that casts exactly j votes ties: those terms carry a u, and the integral of
    u^t over [0, 1] is the 1 / (t + 1) that the correct class has of t ties (Gauss and Legendre's nodes are exact).
    The polynomials are multiplied by their values at roots of unity; the coefficient of the k - j votes of the others
    is read off by the inverse transform.
    """

    def __init__(self, ballot: Ballot, k: int) -> None:
        n, self._k, self._chance = ballot.num_votes, k, k / ballot.num_votes
        most = min(ballot.correct, k)
        reached = np.array([j for j in range(1, most + 1) if _drawn(ballot, j, k) > _NEGLIGIBLE], dtype=int)
        self._js = reached  # (J,)
        length = n - ballot.correct + 1
        self._roots = np.exp(-2j * math.pi * np.arange(length // 2 + 1) / length)  # (F,)
        halves = np.full(len(self._roots), 2.0)  # a real polynomial's other half is the conjugate
        halves[0] = 1
        if length % 2 == 0:
            halves[-1] = 1
        exponents = np.outer(k - self._js, np.arange(len(self._roots)))
        self._read = halves / length * np.exp(2j * math.pi * (exponents % length) / length)  # (J, F)
        self._factors: dict[int, tuple[Complex, Complex]] = {}
        self._powers: dict[tuple[int, int, int, float], Complex] = {}
        ties = [min(sum(size >= j for size in ballot.others), (k - j) // j) for j in self._js]
        self._nodes = np.array(ties, dtype=int) // 2 + 1  # (J,) that integrate u^ties exactly

    def share(self, ballot: Ballot) -> float:
        """`majority_share` of the ballot, which is the one of the constructor or lacks one response of it."""
        sizes = Counter(ballot.others)
        ways = np.zeros(len(self._js))
        for nodes in set(self._nodes.tolist()):
            rows = np.flatnonzero(self._nodes == nodes)
            points, weights = np.polynomial.legendre.leggauss(nodes)
            for point, weight in zip(points, weights, strict=True):
                product = (1 - self._chance + self._chance * self._roots) ** ballot.abstentions * self._read[rows]
                for size, times in sizes.items():
                    product *= self._power(size, times, nodes, (point + 1) / 2)
                ways[rows] += weight / 2 * product.real.sum(axis=1)
        correct = np.array([binomial(ballot.correct, int(j), self._chance) for j in self._js])
        share = float(correct @ ways) / binomial(ballot.num_votes, self._k, self._chance)
        return min(1.0, max(0.0, share))

    def _power(self, size: int, times: int, nodes: int, u: float) -> Complex:
        """(rows, F) classes of one size, so many of them: none casts more than j votes, each tie counts u."""
        key = (size, times, nodes, u)
        if key not in self._powers:
            below, equal = self._factor(size)
            rows = self._nodes == nodes
            self._powers[key] = (below[rows] + u * equal[rows]) ** times
        return self._powers[key]

    def _factor(self, size: int) -> tuple[Complex, Complex]:
        """(J, F) twice: a class of this size casts fewer than j votes; it casts exactly j."""
        if size not in self._factors:
            casts = np.arange(size + 1)
            chances = np.array([binomial(size, int(cast), self._chance) for cast in casts])
            terms = chances[:, None] * self._roots[None, :] ** casts[:, None]  # (size + 1, F)
            sums = np.vstack([np.zeros_like(terms[:1]), np.cumsum(terms, axis=0)])
            equal = np.vstack([terms, np.zeros_like(terms[:1])])
            self._factors[size] = (sums[np.minimum(self._js, size + 1)], equal[np.minimum(self._js, size + 1)])
        return self._factors[size]


def _drawn(ballot: Ballot, j: int, k: int) -> float:
    """The chance of j correct among k: hypergeometric."""
    n, chance = ballot.num_votes, k / ballot.num_votes
    others = binomial(n - ballot.correct, k - j, chance)
    return binomial(ballot.correct, j, chance) * others / binomial(n, k, chance)


@lru_cache(maxsize=65536)
def binomial(n: int, successes: int, chance: float) -> float:
    """The chance of so many successes in n trials."""
    if successes > n or chance >= 1:
        return float(successes == n)
    log_ways = math.lgamma(n + 1) - math.lgamma(successes + 1) - math.lgamma(n - successes + 1)
    return math.exp(log_ways + successes * math.log(chance) + (n - successes) * math.log1p(-chance))
