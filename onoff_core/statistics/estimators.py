"""Point estimates over problems, each with its source. Numbers in, numbers out; None where there is no data for one."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def accuracy(problem_means: Floats) -> float | None:
    """The mean over problems of each problem's mean reward."""
    return float(problem_means.mean()) if len(problem_means) else None


def clustered_standard_error(problem_means: Floats) -> float | None:
    """The standard error of `accuracy`, clustered by problem; None for fewer than two problems.

    The samples of one problem are not independent, so the problem is the unit: s / sqrt(m) over the m problem means
    (Miller 2024, "Adding Error Bars to Evals", arXiv:2411.00640, for clusters of equal weight).
    """
    m = len(problem_means)
    return float(problem_means.std(ddof=1) / math.sqrt(m)) if m > 1 else None


def pass_at_k(correct: Sequence[int], samples: Sequence[int], k: int) -> float | None:
    """The unbiased estimator of pass@k, averaged over problems; None where a problem has fewer than k samples."""
    if not samples or min(samples) < k:
        return None
    return float(np.mean([pass_share(c, n, k) for c, n in zip(correct, samples, strict=True)]))


@lru_cache(maxsize=65536)
def pass_share(correct: int, n: int, k: int) -> float:
    """One problem's pass@k: the chance that k of its n samples, drawn at random, hold a correct one.

    1 - C(n - c, k) / C(n, k) (Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv:2107.03374,
    equation 1). Whole-number binomials are exact for every n.
    """
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def powers_up_to(n: int) -> list[int]:
    """1, 2, 4, ... and not beyond n."""
    return [2**i for i in range(n.bit_length())]
