"""An interval of the accuracy that stays valid however often it is looked at: a confidence sequence.

The question is "same problems" of `intervals`: how would the model do on these very problems, were the responses drawn
again? The problems are fixed, response j of problem i is right with its own probability p_i, independent of all others,
and the accuracy theta is the mean of the p_i. More responses narrow this interval alone, not that on other problems.

With x_ij in {0, 1}, h_ij in [0, 1] known before response j is drawn, and psi(l) = -ln(1 - l) - l for 0 <= l < 1,

    exp(l sum (x_ij - p_i) - psi(l) sum (x_ij - h_ij)^2)

is a supermartingale that begins at 1: Howard, Ramdas, McAuliffe and Sekhon 2021 ("Time-Uniform, Nonparametric,
Nonasymptotic Confidence Sequences", Annals of Statistics 49, theorem 4, after Fan, Grama and Liu 2015, "Exponential
Inequalities for Martingales with Applications", Electronic Journal of Probability 20). So is a mean of these over
several l (the method of mixtures: Robbins 1970, "Statistical Methods Related to the Law of the Iterated Logarithm",
Annals of Mathematical Statistics 41). By Ville's inequality it exceeds 2 / alpha at any time with probability alpha / 2
at most; the same holds for 1 - x. Each response is compared with h of its own problem, so what counts is the spread
within problems: problems that are always or never solved add next to nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onoff_core.statistics.distributions import solve
from onoff_core.statistics.intervals import LEVEL, Interval

Floats = NDArray[np.float64]
_RATIO = 1.5  # between neighbouring l: the best one of them is never far from one that is there
_LARGEST = 0.9  # l, which has to stay below 1
_EXPECTED = 11.0  # twice the log of what the supermartingale has to reach, mixing included


@dataclass(frozen=True)
class Sequence95:
    """What the sequence is tuned to, before the first response: it holds whatever this is, and is narrowest there."""

    half_width: float  # that is wanted
    least: int  # responses per problem at the first look
    most: int

    def interval(self, rewards: NDArray[np.int8]) -> Interval | None:
        """The 95 % interval of the accuracy on these problems after (num_problems, num_samples) rewards, 0 or 1, the
        samples in the order in which they were drawn; None without a problem.
        """
        if not rewards.size:
            return None
        x = rewards.astype(float)
        reach = _reach(float(((x - _expected(x)) ** 2).sum()), self._mixture(len(x)), 1 - LEVEL) / x.size
        accuracy = float(x.mean())
        return max(0.0, accuracy - reach), min(1.0, accuracy + reach)

    def _mixture(self, num_problems: int) -> Floats:
        """(k,) the l that are mixed. For a stop after n responses in all best is about _EXPECTED / (half_width n)."""
        ends = [_EXPECTED / (self.half_width * num_problems * samples) for samples in (self.most, self.least)]
        low, high = (min(_LARGEST, end) for end in ends)
        steps = max(1, math.ceil(math.log(high / low) / math.log(_RATIO)) + 1)
        return np.geomspace(low, high, steps)


def _expected(x: Floats) -> Floats:
    """(num_problems, num_samples) what was to be expected of each response by those before it: its problem's, with the
    mean of all problems as one more.
    """
    before = np.concatenate([np.zeros((len(x), 1)), x.cumsum(1)[:, :-1]], 1)
    counts = np.arange(x.shape[1])
    overall = np.where(counts > 0, before.mean(0) / np.maximum(counts, 1), 0.5)
    expected: Floats = (before + overall) / (counts + 1)
    return expected


def _reach(variance: float, mixture: Floats, alpha: float) -> float:
    """How far sum (x - p) may be from 0: where the mean of the supermartingales is 2 / alpha."""
    psi = -np.log1p(-mixture) - mixture
    wanted = math.log(2 / alpha) + math.log(len(mixture))

    def missing(distance: float) -> float:
        exponents = mixture * distance - psi * variance
        top = float(exponents.max())
        return wanted - top - math.log(float(np.exp(exponents - top).sum()))

    # At this distance the largest l alone reaches it.
    return solve(missing, 0.0, (wanted + float(psi[-1]) * variance) / float(mixture[-1]))


def rounds_of(least: int, most: int) -> list[int]:
    """After how many responses per problem the interval is looked at: each round draws a quarter of what there is, and
    `least` at least.
    """
    found = [least]
    while found[-1] < most:
        found.append(min(most, found[-1] + max(least, found[-1] // 4)))
    return found


def as_matrix(rewards: Mapping[str, Mapping[int, int | None]]) -> NDArray[np.int8]:
    """(num_problems, num_samples), by sample index, of the problems that have all their rewards: a gold answer that
    cannot be read says nothing of the model. `rewards`: by problem and sample index.
    """
    num_samples = max(map(len, rewards.values()), default=0)
    known = [
        [reward for _, reward in sorted(by_sample.items())]
        for by_sample in rewards.values()
        if len(by_sample) == num_samples and None not in by_sample.values()
    ]
    return np.array(known, np.int8).reshape(len(known), num_samples if known else 0)
