"""95 % intervals that are honest for some thirty problems, and never of zero width.

The textbook interval, mean +- 1.96 standard errors, has zero width when every problem has the same mean (all right,
all wrong), leaves [0, 1], and covers too little below a few hundred problems (Bowyer, Aitchison and Ivanova 2025,
"Don't Use the CLT in LLM Evals With Fewer Than a Few Hundred Datapoints", arXiv:2503.01747).
"""

import math
from dataclasses import dataclass

import numpy as np

from onoff_core.statistics.estimators import Floats

Z95 = 1.959963984540054
Interval = tuple[float, float]


def accuracy_interval(problem_means: Floats) -> Interval | None:
    """Wilson's score interval at the effective number of responses; None for fewer than two problems.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, with the sample size
    replaced by the effective one, n = m / D, as Korn and Graubard 1998 (Survey Methodology 24) do for Clopper and
    Pearson's interval, with their correction (z / t)^2 for the degrees of freedom of the m problems. Dean and Pagano
    2015 (Journal of Survey Statistics and Methodology 3) study intervals of this kind for clustered proportions.

    D compares the variance of the problem means with p(1 - p), what it would be were all samples of a problem alike:
    D = 1 when each problem is always right or always wrong. It is at most 1, since a mean in [0, 1] has no larger
    variance. Both variances are taken with z^2 / 2 more problems all right and as many all wrong, the pseudo-data
    behind Agresti and Coull's interval (1998, The American Statistician 52): without them D is 0/0 when all means are
    0 or all are 1, and 0 when all are equal, and the interval would have no width.
    """
    m = len(problem_means)
    if m < 2:
        return None
    p = float(problem_means.mean())
    extra = Z95**2 / 2
    center = (problem_means.sum() + extra) / (m + 2 * extra)
    spread = np.sum((problem_means - center) ** 2) + extra * (1 - center) ** 2 + extra * center**2
    design_effect = float(spread / (m + 2 * extra) / (center * (1 - center)))
    return wilson(p, m / design_effect * (Z95 / student_t_quantile(m - 1)) ** 2)


def wilson(p: float, n: float) -> Interval:
    """Wilson's score interval for the share p of n responses."""
    center = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    # p may be 0 or 1 exactly, where the bound is p itself but for rounding
    return (max(0.0, center - half) if p > 0 else 0.0), (min(1.0, center + half) if p < 1 else 1.0)


@dataclass(frozen=True)
class PairedDifference:
    """How much better the first of two models is on the problems both were given."""

    num_problems: int
    difference: float  # mean over problems of the difference of mean rewards
    standard_error: float | None  # clustered by problem
    interval: Interval | None  # 95 %; None for fewer than two problems


def paired_difference(first: dict[str, float], second: dict[str, float]) -> PairedDifference | None:
    """The paired difference of two models' mean rewards by problem; None where they have no problem in common.

    Pairing takes the difficulty of the problems out of the comparison (Miller 2024, arXiv:2411.00640). The
    interval is Agresti and Min's (2005, "Simple improved confidence intervals for comparing matched proportions",
    Statistics in Medicine 24): Wald's on the differences and two more problems, half of one won,
    half of one lost and one drawn, so that it has a width when all differences are equal; with Student's quantile for
    m - 1 degrees of freedom. Where nearly all problems are drawn it is too short: with 100 of them, each won with
    probability 0.02 and never lost, it covers the truth in 86.6 % of cases.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    differences = np.array([first[problem] - second[problem] for problem in common])
    m, mean = len(differences), float(differences.mean())
    if m < 2:
        return PairedDifference(m, mean, None, None)
    center = differences.sum() / (m + 2)
    spread = np.sum((differences - center) ** 2) + 0.5 * (1 - center) ** 2 + 0.5 * (1 + center) ** 2 + center**2
    half = student_t_quantile(m - 1) * math.sqrt(spread / (m + 2) / (m + 2))
    low, high = max(-1.0, float(center - half)), min(1.0, float(center + half))
    error = float(differences.std(ddof=1) / math.sqrt(m))
    return PairedDifference(m, mean, error, (min(low, mean), max(high, mean)))


def student_t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t.

    Exact for 1 and 2 degrees of freedom, else by Abramowitz and Stegun 26.7.5, within 0.2 % for 3 and far nearer above.
    """
    if degrees == 1:
        return math.tan(0.475 * math.pi)
    if degrees == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z, v = Z95, float(degrees)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v ** (power + 1) for power, term in enumerate(terms))
