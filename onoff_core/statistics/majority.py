"""maj@k: how often the majority of k responses is right, over all subsets of k, exactly."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Votes = Sequence[int | None]  # one per response: its answer's class, 0 is the gold answer; None abstains


def maj_at_k(problems: Sequence[Votes], k: int) -> float | None:
    """The share of problems that a majority of k responses answers correctly, averaged over all C(n, k) subsets and
    over ties; None where a problem has fewer than k responses (Wang et al. 2022, "Self-Consistency Improves Chain of
    Thought Reasoning in Language Models", arXiv:2203.11171, for the vote).

    Averaging over all subsets is what resampling them estimates, without its noise, and does not depend on the order
    of the responses as the first k would.
    """
    if not problems or min(len(votes) for votes in problems) < k:
        return None
    return float(np.mean([_of_problem(votes, k) for votes in problems]))


def _of_problem(votes: Votes, k: int) -> float:
    counts = Counter(vote for vote in votes if vote is not None)
    correct = counts.pop(0, 0)
    return majority_share(correct, tuple(sorted(counts.values())), votes.count(None), k)


@lru_cache(maxsize=65536)
def majority_share(correct: int, others: tuple[int, ...], abstentions: int, k: int) -> float:
    """The chance that the correct class has the most votes in a random subset of k responses, a tie of t counting 1/t.

    `others` are the sizes of the other classes. Drawing k without replacement is drawing every class by independent
    binomials of chance k/n, given that they sum to k; so the distribution of the votes is a product of polynomials,
    divided by the chance of that sum, and all terms stay below 1. For each number j of correct votes a class with
    fewer than j responses cannot reach it and only fills up, like the abstentions.
    """
    n = correct + sum(others) + abstentions
    if k == 1:
        return correct / n  # the same to the last digit as the accuracy
    chance = k / n
    total = 0.0
    for j in range(1, min(correct, k) + 1):
        rivals = [size for size in others if size >= j]
        ways = _ways(rivals, n - correct - sum(rivals), j, k - j, chance)
        total += _binomial(correct, j, chance) * sum(way / (ties + 1) for ties, way in enumerate(ways[:, k - j]))
    return min(1.0, total / _binomial(n, k, chance))


def _ways(rivals: Sequence[int], fillers: int, j: int, votes: int, chance: float) -> NDArray[np.float64]:
    """(ties, votes) -> the chance that the rivals and fillers cast so many votes, none of the rivals more than j, and
    so many of them exactly j.
    """
    ways = np.zeros((len(rivals) + 1, votes + 1))
    for cast in range(min(fillers, votes) + 1):
        ways[0, cast] = _binomial(fillers, cast, chance)
    for size in rivals:
        grown = np.zeros_like(ways)
        for cast in range(min(j - 1, votes) + 1):
            grown[:, cast:] += ways[:, : votes + 1 - cast] * _binomial(size, cast, chance)
        if j <= votes:
            grown[1:, j:] += ways[:-1, : votes + 1 - j] * _binomial(size, j, chance)
        ways = grown
    return ways


@lru_cache(maxsize=65536)
def _binomial(n: int, successes: int, chance: float) -> float:
    """The chance of so many successes in n trials."""
    if chance >= 1:
        return float(successes == n)
    log_ways = math.lgamma(n + 1) - math.lgamma(successes + 1) - math.lgamma(n - successes + 1)
    return math.exp(log_ways + successes * math.log(chance) + (n - successes) * math.log1p(-chance))
