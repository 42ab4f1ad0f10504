"""A measure as a probability of being right, and how far that is from what comes true.

Measures are in nats and no probabilities. So each is calibrated by a logistic function of two numbers (Platt 1999,
"Probabilistic Outputs for Support Vector Machines", with his smoothed targets, so that it exists where a threshold
parts right from wrong), fitted to the responses to *other* problems: the problems are dealt into ten folds in the order
of their ids, and those of a fold get their probabilities from the nine others.
"""

import math
from dataclasses import dataclass

import numpy as np

from onoff_core.confidence.clustered import TAIL, Interval, share_interval
from onoff_core.confidence.discrimination import Scored
from onoff_core.confidence.measures import Floats, Ints

BINS = 10
_FOLDS = 10
_STEPS = 50
_DRAWS, _SEED = 2000, 1


@dataclass(frozen=True)
class Bin:
    """Responses of about the same measure."""

    number: int
    num_responses: int
    num_problems: int
    mean_value: float  # higher is surer
    mean_probability: float
    accuracy: float
    interval: Interval | None


@dataclass(frozen=True)
class Calibration:
    """How good the probabilities are."""

    intercept: float  # of the logistic function of all responses: logit p = intercept + slope * value
    slope: float
    bins: tuple[Bin, ...]
    error: float  # expected calibration error
    interval: Interval
    error_by_chance: float  # that of calibrated probabilities, on average
    brier_score: float


def fit_logistic(values: Floats, right: Floats) -> tuple[float, float]:
    """(intercept, slope) of the logistic function by maximum likelihood with Platt's targets, by Newton's method.

    A right response counts as (N+ + 1) / (N+ + 2) right, a wrong one as 1 / (N- + 2). Slope 0 where all values agree.
    """
    center, scale = float(values.mean()), float(values.std())
    rights = float(right.sum())
    targets = np.where(right == 1, (rights + 1) / (rights + 2), 1 / (len(right) - rights + 2))
    base = float(targets.mean())
    logit = math.log(base / (1 - base))
    if scale <= 1e-12 * max(1.0, abs(center)):
        return logit, 0.0
    x = (values - center) / scale
    parameters = np.array([logit, 0.0])
    for _ in range(_STEPS):
        p = logistic(parameters[0] + parameters[1] * x)
        gradient = np.array([(p - targets).sum(), ((p - targets) * x).sum()])
        spread = p * (1 - p)
        cross = (spread * x).sum()
        hessian = np.array([[spread.sum(), cross], [cross, (spread * x * x).sum()]])
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2) * len(x), gradient)
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))  # far away Newton's steps overshoot
        parameters = parameters - step
        if np.abs(step).max() < 1e-10:
            break
    slope = float(parameters[1]) / scale
    return float(parameters[0]) - slope * center, slope


def logistic(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -700, 700)))


def probabilities_from_others(scored: Scored) -> Floats:
    """(n,) each response's probability of being right, by the logistic function of the other folds' problems."""
    folds = scored.problems % min(_FOLDS, scored.num_problems)
    found = np.zeros(len(scored.values))
    for fold in np.unique(folds):
        own = folds == fold
        intercept, slope = fit_logistic(scored.values[~own], scored.right[~own])
        found[own] = logistic(intercept + slope * scored.values[own])
    return found


def bins_of(values: Floats, count: int = BINS) -> Ints:
    """(n,) 0 to count - 1: bins of equally many values; equal ones share the bin of the middle of their ranks."""
    _, groups, sizes = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(sizes) - sizes / 2
    bins: Ints = np.minimum(count - 1, (count * middles[groups] / len(values)).astype(np.int64))
    return bins


def calibrate(scored: Scored) -> Calibration | None:
    """How good a measure is as a probability; None for fewer than two problems.

    The expected calibration error is the mean over bins, weighted by their responses, of the distance of accuracy and
    mean probability (Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", AAAI), in bins of equally many responses (Nguyen and O'Connor 2015, arXiv:1508.05154) of about the same
    *measure*: by probability, a fold whose others did badly would be put where it does well. It errs upwards, as chance
    alone parts the two in every bin: `error_by_chance` is what it would be on average if nothing else did.
    """
    if scored.num_problems < 2:
        return None
    probabilities = probabilities_from_others(scored)
    bins = bins_of(scored.values)
    gaps = scored.right - probabilities
    numbers = np.unique(bins)
    by_bin = np.stack([scored.by_problem(gaps * (bins == number)) for number in numbers], axis=1)  # (m, bins)
    counts = np.stack([scored.by_problem((bins == number).astype(float)) for number in numbers], axis=1)
    error, interval, by_chance = _error(by_bin, counts)
    intercept, slope = fit_logistic(scored.values, scored.right)
    return Calibration(
        intercept,
        slope,
        tuple(_bin(scored, probabilities, bins, int(number)) for number in numbers),
        error,
        interval,
        by_chance,
        float((gaps**2).mean()),
    )


def _bin(scored: Scored, probabilities: Floats, bins: Ints, number: int) -> Bin:
    own = (bins == number).astype(float)
    counts = scored.by_problem(own)
    return Bin(
        number,
        int(own.sum()),
        int((counts > 0).sum()),
        float(own @ scored.values / own.sum()),
        float(own @ probabilities / own.sum()),
        float(own @ scored.right / own.sum()),
        share_interval(scored.by_problem(own * scored.right), counts),
    )


def _error(by_bin: Floats, counts: Floats) -> tuple[float, Interval, float]:
    """The calibration error, its interval and what chance makes of it, of (m, bins) sums of gaps and responses.

    The noise of the bins' gaps is drawn by a wild bootstrap clustered by problem (Cameron, Gelbach and Miller 2008,
    "Bootstrap-Based Improvements for Inference with Clustered Errors"): each problem's gaps, less the bin's own, with a
    random sign. With true gaps g and noise e the error sum |g + e| is at most sum |g| + sum |e|, and at least sum |g| +
    sum sign(g) e: the one bounds the true error from below, the other from above. Probabilities are not fitted anew.
    """
    problems, gaps, n = len(by_bin), by_bin.sum(axis=0), counts.sum()
    centered = (by_bin - counts * (gaps / counts.sum(axis=0))) * math.sqrt(problems / (problems - 1))
    noise = np.random.default_rng(_SEED).choice([-1.0, 1.0], (_DRAWS, problems)) @ centered / n
    error, apart = float(np.abs(gaps).sum() / n), np.abs(noise).sum(axis=1)
    low = error - float(np.quantile(apart, 1 - TAIL))
    high = error + float(np.quantile(noise @ np.sign(gaps), 1 - TAIL))
    return error, (max(0.0, low), min(1.0, high)), float(apart.mean())
