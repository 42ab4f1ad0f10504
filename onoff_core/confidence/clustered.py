"""Intervals of what is pooled over responses, clustered by problem: on other problems like these.

The responses to one problem are not independent, so problems are weighted, never responses: Dirichlet(1, ..., 1), the
Bayesian bootstrap (Rubin 1981, "The Bayesian Bootstrap", Annals of Statistics 9) in the place of drawing problems with
replacement, since no draw lacks all right or all wrong responses. As in `statistics.intervals.other_problems_interval`
one more problem is added, the worst there can be for the lower end and the best for the upper one: so an interval has a
width where all problems agree. Drawn with a fixed seed.
"""

from functools import lru_cache

import numpy as np

from onoff_core.confidence.measures import Floats

Interval = tuple[float, float]
_DRAWS, _SEED = 2000, 1
_LEVEL = 0.95
TAIL = (1 - _LEVEL) / 2


@lru_cache(maxsize=4)
def problem_weights(num_problems: int) -> tuple[Floats, Floats]:
    """(draws, m) weights of the problems, and (draws,) of the one that is added; each draw sums to 1."""
    drawn = np.random.default_rng(_SEED).standard_exponential((_DRAWS, num_problems + 1))
    drawn /= drawn.sum(axis=1, keepdims=True)
    return drawn[:, 1:], drawn[:, 0]


def share_interval(sums: Floats, counts: Floats) -> Interval | None:
    """The interval of sum(sums) / sum(counts), a share of responses: (m,) of each problem, 0 <= sums <= counts.

    The added problem has as many responses as the others on average. None for fewer than two problems with some.
    """
    there = counts > 0
    if there.sum() < 2:
        return None
    sums, counts = sums[there], counts[there]
    weights, added = problem_weights(len(counts))
    extra = added * counts.mean()
    totals, rights = weights @ counts + extra, weights @ sums
    return _ends(rights / totals, (rights + extra) / totals)


def _ends(low: Floats, high: Floats) -> Interval:
    """Of shares; sums may be a last digit off."""
    return max(0.0, float(np.quantile(low, TAIL))), min(1.0, float(np.quantile(high, 1 - TAIL)))


def pairs_interval(won: Floats, rights: Floats, wrongs: Floats) -> Interval | None:
    """The interval of the share of pairs won, of all pairs of a right and a wrong response: AUROC.

    `won` (m, m): of the right responses of problem i and the wrong ones of j, how many pairs the right one wins;
    `rights`, `wrongs` (m,): how many there are. The added problem has both, as many as the others on average: its right
    ones lose to all and its wrong ones beat all, or the reverse. None for fewer than two problems.
    """
    if len(rights) < 2:
        return None
    weights, added = problem_weights(len(rights))
    right, wrong = weights @ rights, weights @ wrongs
    more_right, more_wrong = added * rights.mean(), added * wrongs.mean()
    real = np.einsum("bm,bm->b", weights @ won, weights)
    pairs = (right + more_right) * (wrong + more_wrong)
    return _ends(real / pairs, (real + pairs - right * wrong) / pairs)
