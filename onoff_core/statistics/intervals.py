"""Intervals for two questions, which differ and are never to be mixed.

other problems   How would the model do on other problems like these? The problems are drawn, and their responses; the
                 problem is the unit. Half of the width stays however many responses are drawn.
same problems    How would it do on these very problems, were the responses drawn again? Only the sampling is left.

Each holds the truth in 93 % of cases or more where 95 % is promised: docs/statistics.md has the table, and what else
was tried. The textbook's, mean +- 1.96 standard errors, does not below a few hundred problems (Bowyer, Aitchison and
Ivanova 2025, "Don't Use the CLT in LLM Evals With Fewer Than a Few Hundred Datapoints", arXiv:2503.01747).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onoff_core.statistics.distributions import (
    Z95,
    Floats,
    beta_tail,
    dirichlet_mean_tail,
    over,
    solve,
    student_t_quantile,
)

Interval = tuple[float, float]
LEVEL = 0.95


def other_problems_interval(values: Floats, level: float = LEVEL) -> Interval | None:
    """The interval of the mean over all problems of which these were drawn; None for fewer than two problems.

    `values` (m,) are one number in [0, 1] a problem: its mean reward, its pass@k, its maj@k. No shape of their
    distribution is assumed. A mean t is too high where P(sum W_i x_i >= t) is below (1 - level) / 2 for the
    values and one more, 1, under weights W ~ Dirichlet(1, ..., 1); too low likewise, with 0 for 1. It is the bound of
    Gaffke 2005 ("Three Test Statistics for a Nonparametric One-Sided Hypothesis on the Mean of a Nonnegative Variable",
    Mathematical Methods of Statistics 14) in the form of Learned-Miller and Thomas 2019 ("A New Confidence Interval for
    the Mean of a Bounded Random Variable", arXiv:1905.06208): never seen to cover less than it says, nor proven not to.
    For values 0 and 1 it is Clopper and Pearson's; with many problems it comes to the textbook's.
    """
    if len(values) < 2:
        return None
    x, counts = _distinct(values)
    mean, alpha = float(values.mean()), (1 - level) / 2
    low = solve(lambda t: -over(lower_tail(x, counts, t), alpha), 0.0, mean) if mean > 0 else 0.0
    high = solve(lambda t: over(upper_tail(x, counts, t), alpha), mean, 1.0) if mean < 1 else 1.0
    return low, high


def upper_tail(values: Floats, counts: Floats, mean: float) -> float:
    """How well so high a mean goes with the values, of which there are so many each; below alpha it is refused."""
    return dirichlet_mean_tail(*_with_one_more(values, counts, 1.0), mean)


def lower_tail(values: Floats, counts: Floats, mean: float) -> float:
    """How well so low a mean goes with the values."""
    return upper_tail(1 - values, counts, 1 - mean)


accuracy_interval = other_problems_interval


def same_problems_interval(values: Floats, variances: Floats, num_samples: Floats, k: int) -> Interval:
    """The interval of the mean over these very problems, were their responses drawn again.

    `values` (m,) as above; `variances` (m,) what the jackknife says of each one's variance under drawing again,
    infinite where it can say nothing (k = n); `num_samples` (m,) responses of each.

    Clopper and Pearson's interval for the effective number of responses, as Korn and Graubard 1998 ("Confidence
    Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data", Survey
    Methodology 24) have it, with their correction (z / t)^2 for degrees of freedom. The estimate is a mean of
    U-statistics of k responses, whose variance is at most that of N = sum n_i / k independent ones (Hoeffding 1948, "A
    Class of Statistics with Asymptotically Normal Distribution", Annals of Mathematical Statistics 19, theorem 5.2),
    and which the jackknife estimates, upwards if at all (Efron and Stein 1981). Where the values differ by less than
    that, their own variance, of which drawing again is a part, is taken instead. The effective number is N over the
    design effect D, the variance times N over p (1 - p), both with z^2 / 2 more responses right and as many wrong
    (Agresti and Coull 1998, The American Statistician 52), so that D exists where all agree; it is at most 1.
    """
    return clopper_pearson(float(values.mean()), effective_responses(values, variances, num_samples, k))


def effective_responses(values: Floats, variances: Floats, num_samples: Floats, k: int) -> float:
    """How many independent responses would tell as much; see `same_problems_interval`."""
    m, p = len(values), float(values.mean())
    blocks = float(num_samples.sum()) / k
    between = float(values.var(ddof=1)) / m if m > 1 else math.inf
    variance = min(float(variances.sum()) / m**2, between, p * (1 - p) / blocks)
    extra = Z95**2 / 2
    center = (blocks * p + extra) / (blocks + 2 * extra)
    spread = blocks**2 * variance + extra * (1 - center) ** 2 + extra * center**2
    design_effect = min(1.0, spread / (blocks + 2 * extra) / (center * (1 - center)))
    degrees = max(m - 1, int(blocks) - m, 1)
    return float(blocks / design_effect * (Z95 / student_t_quantile(degrees)) ** 2)


def clopper_pearson(share: float, n: float, level: float = LEVEL) -> Interval:
    """Clopper and Pearson's interval for a share of n responses, whole numbers or not (1934, "The Use of Confidence or
    Fiducial Limits Illustrated in the Case of the Binomial", Biometrika 26).
    """
    alpha, right, wrong = (1 - level) / 2, share * n, (1 - share) * n
    low = solve(lambda t: -over(beta_tail(wrong + 1, right, 1 - t), alpha), 0.0, share) if share > 0 else 0.0
    high = solve(lambda t: over(beta_tail(right + 1, wrong, t), alpha), share, 1.0) if share < 1 else 1.0
    return low, high


@dataclass(frozen=True)
class PairedDifference:
    """How much better the first of two models is on the problems both were given."""

    num_problems: int
    difference: float  # mean over problems of the difference of their values
    standard_error: float | None  # clustered by problem
    interval: Interval | None  # other problems like these, 95 %; None for fewer than two problems
    p_value: float | None  # two-sided, of no difference; below 0.05 where the interval leaves 0 out


def paired_difference(first: Mapping[str, float], second: Mapping[str, float]) -> PairedDifference | None:
    """The paired difference of two models' values by problem; None where they have no problem in common.

    Pairing takes the difficulty of the problems out of the comparison (Miller 2024, "Adding Error Bars to Evals",
    arXiv:2411.00640). See `paired_interval` for the interval and `paired_p_value` for the test.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    return difference_of(np.array([first[problem] - second[problem] for problem in common]))


def difference_of(differences: Floats) -> PairedDifference:
    """The same of the (m,) differences themselves, each in [-1, 1]."""
    m = len(differences)
    if m < 2:
        return PairedDifference(m, float(differences.mean()), None, None, None)
    error = float(differences.std(ddof=1) / math.sqrt(m))
    interval = paired_interval(differences)
    return PairedDifference(m, float(differences.mean()), error, interval, paired_p_value(differences))


def paired_interval(differences: Floats, level: float = LEVEL) -> Interval:
    """The interval of the mean difference on other problems like these, of (m,) differences in [-1, 1].

    `other_problems_interval`'s with the mid-P correction: each tail is the mean of that with one more value 1 and that
    with one more value -1. Where each problem is won, lost or drawn it inverts McNemar's mid-P test, which Fagerland,
    Lydersen and Laake 2013 ("The McNemar Test for Binary Matched-Pairs Data: Mid-p and Asymptotic Are Better than
    Exact Conditional", BMC Medical Research Methodology 13) advise: without the correction the end of the range, twice
    as far away as that of a mean, makes it needlessly wide.
    """
    x, counts = _distinct(differences)
    mean, alpha = float(differences.mean()), (1 - level) / 2
    low = solve(lambda t: -over(mid_tail(-x, counts, -t), alpha), -1.0, mean) if mean > -1 else -1.0
    high = solve(lambda t: over(mid_tail(x, counts, t), alpha), mean, 1.0) if mean < 1 else 1.0
    return low, high


def paired_p_value(differences: Floats) -> float:
    """The two-sided p-value of no difference by `paired_interval`'s tails: McNemar's mid-P for won, lost and drawn."""
    x, counts = _distinct(differences)
    return min(1.0, 2 * min(mid_tail(x, counts, 0.0), mid_tail(-x, counts, 0.0)))


def mid_tail(values: Floats, counts: Floats, threshold: float) -> float:
    """The mean of the tails with one more value 1 and with one more value -1."""
    tails = [dirichlet_mean_tail(*_with_one_more(values, counts, end), threshold) for end in (1.0, -1.0)]
    return sum(tails) / 2


def _distinct(values: Floats) -> tuple[Floats, Floats]:
    """The different values, and how often each is there."""
    different, counts = np.unique(values, return_counts=True)
    return different, counts.astype(float)


def _with_one_more(values: Floats, counts: Floats, value: float) -> tuple[Floats, Floats]:
    return np.append(values, value), np.append(counts, 1.0)


def difference_interval(first: tuple[float, Interval], second: tuple[float, Interval]) -> Interval:
    """The interval of the difference of two independent estimates, from (estimate, interval) of each.

    Newcombe's square-and-add (1998, "Interval Estimation for the Difference between Independent Proportions",
    Statistics in Medicine 17, method 10), as Zou and Donner 2008 ("Construction of Confidence Limits about Effect
    Measures: A General Approach", Statistics in Medicine 27) justify it. Two models' responses to the same problems are
    independent given the problems; so it is the interval for the same problems.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = first, second
    return p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)
