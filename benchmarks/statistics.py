"""How often each 95 % interval holds the truth, in simulated studies with a fixed seed.

A study draws 30 problems' chances of a right response from a distribution of difficulties, then the responses. Each
figure is the least coverage over the difficulties and over k; the former intervals and the textbook's are computed from
the same studies. Cases of won, lost and drawn problems are not simulated but enumerated. `--repeats` multiplies the
studies.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from onoff_core.statistics.at_k import Kind, values_at_k, variances_at_k
from onoff_core.statistics.comparing import holm, simultaneous_level
from onoff_core.statistics.distributions import Z95, beta_tail, student_t_quantile
from onoff_core.statistics.intervals import (
    effective_responses,
    lower_tail,
    mid_tail,
    paired_p_value,
    upper_tail,
)
from onoff_core.statistics.majority import Ballot, binomial

Floats = NDArray[np.float64]
Intervals = tuple[Floats, Floats]

NUM_PROBLEMS, TARGET, ALPHA = 30, ">= 0.93", 0.025
STUDIES = 200  # a repeat
NUM_SAMPLES = (4, 16, 64, 256)
# Beta(a, b) of the chance of a right response: even, two-sided, hard, very hard, easy; and most hopeless, some easy.
DIFFICULTIES = ((2.0, 2.0), (0.3, 0.3), (0.1, 0.9), (0.05, 1.5), (0.5, 20.0), (1.8, 0.2), (1.0, 60.0), None)
# (problems, chance that the first model wins one, that it loses one); all others are drawn
DECIDED = (
    *((m, win, 0.0) for m in (30, 50, 100) for win in (0.02, 0.05, 0.2)),
    *((100, win, loss) for win, loss in ((0.02, 0.01), (0.05, 0.05), (0.2, 0.1), (0.4, 0.4))),
    *((200, win, 0.0) for win in (0.01, 0.02)),
)

_SPOKEN: dict[Kind, str] = {"pass_at_k": "pass@k", "maj_at_k": "maj@k"}
_KINDS: tuple[Kind, ...] = ("pass_at_k", "maj_at_k")
log = logging.getLogger("onoff")


def run(repeats: int) -> list[Figure]:
    studies = STUDIES * repeats
    draw = np.random.default_rng(15)
    return [
        *_of_means(draw, studies),
        *_of_won_and_lost(),
        *_of_paired_samples(draw, studies),
        *_of_curves(draw, max(1, studies // 2)),
        *_of_many_models(draw, studies),
    ]


@dataclass
class _Least:
    """The least coverage of each method, and where it was."""

    found: dict[str, tuple[float, str]]

    def note(self, method: str, covered: NDArray[np.bool_], where: str) -> None:
        share = float(covered.mean())
        if method not in self.found or share < self.found[method][0]:
            self.found[method] = (share, where)

    def figures(self, name: str) -> Iterator[Figure]:
        ours, *references = self.found
        for method in (ours, *references):
            share, where = self.found[method]
            target = TARGET if method == ours else None
            yield Figure(f"{name}: {method}", share, f"({where})", target=target)


def _of_means(draw: np.random.Generator, studies: int) -> Iterator[Figure]:
    """Other problems like these and these problems again, for pass@k and maj@k; k = 1 is the accuracy."""
    for kind in _KINDS:
        for n in NUM_SAMPLES:
            other, same = _Least({}), _Least({})
            for k in sorted({1, n // 4, n // 2, n} if kind == "pass_at_k" else {n // 2 + 1, n}):
                values, variances = _by_correct(kind, n, k)
                for difficulty in DIFFICULTIES:
                    where = f"k = {k}, {_named(difficulty)}"
                    chances = _chances(draw, difficulty, (studies, NUM_PROBLEMS))
                    found = values[draw.binomial(n, chances)]  # (studies, problems)
                    _note_other_problems(other, found, _truth(kind, k, difficulty), where)
                    fixed = chances[0]
                    correct = draw.binomial(n, fixed, (studies, NUM_PROBLEMS))
                    truth = float(_expected(kind, k, fixed).mean())
                    _note_same_problems(same, values[correct], variances[correct], (n, k), truth, where)
            yield from other.figures(f"other problems, {_SPOKEN[kind]}, {n} samples")
            yield from same.figures(f"same problems, {_SPOKEN[kind]}, {n} samples")
            log.info("%s of %d samples done", _SPOKEN[kind], n)


def _note_other_problems(least: _Least, found: Floats, truth: float, where: str) -> None:
    ours = []
    for values in found:
        x, counts = _distinct(values)
        ours.append(min(upper_tail(x, counts, truth), lower_tail(x, counts, truth)) > ALPHA)
    least.note("Gaffke", np.array(ours), where)
    least.note("Wilson with a design effect (former)", _holds(_wilson_clustered(found), truth), where)
    least.note("mean +- t s / sqrt(m)", _holds(_textbook(found), truth), where)


def _note_same_problems(
    least: _Least, found: Floats, variances: Floats, nk: tuple[int, int], truth: float, where: str
) -> None:
    n, k = nk
    samples = np.full(found.shape[1], float(n))
    ours = []
    for values, of_each in zip(found, variances, strict=True):
        share, number = float(values.mean()), effective_responses(values, of_each, samples, k)
        right, wrong = share * number, (1 - share) * number
        too_high = share < 1 and beta_tail(right + 1, wrong, truth) < ALPHA
        too_low = share > 0 and 1 - beta_tail(right, wrong + 1, truth) < ALPHA
        ours.append(not (too_high or too_low))
    least.note("Korn and Graubard", np.array(ours), where)
    if k < n:
        half = Z95 * np.sqrt(variances.sum(axis=1)) / found.shape[1]
        mean = found.mean(axis=1)
        least.note("mean +- 1.96 jackknife errors", _holds((mean - half, mean + half), truth), where)


def _of_won_and_lost() -> Iterator[Figure]:
    """Each problem is won, lost or drawn: exact coverage, over every outcome."""
    least, named = _Least({}), {}
    for m, win, loss in DECIDED:
        ours, former = _exact_coverage(m, win, loss)
        where = f"{m} problems, won {win:g}, lost {loss:g}"
        least.note("mid-P", np.array([ours]), where)
        least.note("Agresti and Min (former)", np.array([former]), where)
        named[m, win, loss] = (ours, former)
    ours, former = named[100, 0.02, 0.0]
    yield Figure("paired, 100 problems, won 0.02: mid-P", ours, "(exact)", target=TARGET)
    yield Figure("paired, 100 problems, won 0.02: Agresti and Min (former)", former, "(exact)")
    yield from least.figures("paired, won and lost")


def _exact_coverage(m: int, win: float, loss: float) -> tuple[float, float]:
    counts = [(w, lost) for w in range(m + 1) for lost in range(m + 1 - w)]
    ours = former = total = 0.0
    for w, lost in counts:
        chance = binomial(m, w, win) * (binomial(m - w, lost, loss / (1 - win)) if loss else float(lost == 0))
        if chance < 1e-7:
            continue
        x, times = np.array([1.0, 0.0, -1.0]), np.array([w, m - w - lost, lost], dtype=float)
        total += chance
        ours += chance * (min(mid_tail(x, times, win - loss), mid_tail(-x, times, loss - win)) > ALPHA)
        low, high = _agresti_min(np.repeat(x, times.astype(int))[None])
        former += chance * float(low[0] <= win - loss <= high[0])
    return ours / total, former / total


def _of_paired_samples(draw: np.random.Generator, studies: int) -> Iterator[Figure]:
    """Two models whose chances are uniform below 0.8, the first's higher by `gain`."""
    for m in (30, 100):
        least = _Least({})
        for n in (1, 4, 64):
            for gain in (0.0, 0.05, 0.2):
                chance = draw.uniform(0, 0.8, (studies, m))
                found = draw.binomial(n, chance + gain) / n - draw.binomial(n, chance) / n
                ours = [min(_tails(values, gain)) > ALPHA for values in found]
                where = f"{n} samples, gain {gain:g}"
                least.note("mid-P", np.array(ours), where)
                least.note("Agresti and Min (former)", _holds(_agresti_min(found), gain), where)
        yield from least.figures(f"paired, {m} problems")


def _of_curves(draw: np.random.Generator, studies: int) -> Iterator[Figure]:
    """pass@k of two models at 1, 2, ... 64 at once: how often all intervals hold, and how often a crossing is reported
    that is none. The second model is as often right, but on fewer problems: its curve is below for k > 1.
    """
    ks = [1, 2, 4, 8, 16, 32, 64]
    tables = np.stack([_by_correct("pass_at_k", 64, k)[0] for k in ks], axis=1)  # (65, K)
    truth = np.array([_truth("pass_at_k", k, (0.6, 2.4)) - _truth("pass_at_k", k, (0.2, 0.8)) for k in ks])
    for m in (30, 100):
        at_once, one_by_one, crossed = [], [], []
        for _ in range(studies):
            right, wrong = draw.gamma(0.2, size=m), draw.gamma(0.8, size=m)  # hard problems are hard for both
            more_right, more_wrong = right + draw.gamma(0.4, size=m), wrong + draw.gamma(1.6, size=m)
            first, second = more_right / (more_right + more_wrong), right / (right + wrong)
            differences = tables[draw.binomial(64, first)] - tables[draw.binomial(64, second)]
            alpha = (1 - simultaneous_level(differences)) / 2
            tails = np.array([_tails(of_k, t) for of_k, t in zip(differences.T, truth, strict=True)])
            at_once.append(tails.min() > alpha)
            one_by_one.append(tails.min() > ALPHA)
            above, below = alpha > np.array([_tails(of_k, 0.0) for of_k in differences.T]).T
            crossed.append(above.any() and below.any())
        least = _Least({})
        least.note("all k at once", np.array(at_once), "seven k")
        least.note("each k by itself", np.array(one_by_one), "seven k")
        yield from least.figures(f"pass@k of two models, {m} problems")
        yield Figure(f"pass@k of two models, {m} problems: a crossing said that is none", float(np.mean(crossed)), "")


def _tails(differences: Floats, mean: float) -> tuple[float, float]:
    """The tails of this mean given the differences: as a mean that is too high, and as one that is too low."""
    x, counts = _distinct(differences)
    return mid_tail(x, counts, mean), mid_tail(-x, counts, -mean)


def _of_many_models(draw: np.random.Generator, studies: int) -> Iterator[Figure]:
    """Five models that are equal: how often at least one of ten pairs is called different."""
    any_raw, any_holm = [], []
    for _ in range(studies):
        chance = draw.uniform(0, 1, 100)
        rates = [draw.binomial(4, chance) / 4 for _ in range(5)]
        p_values = [paired_p_value(rates[i] - rates[j]) for i in range(5) for j in range(i)]
        any_raw.append(min(p_values) < 0.05)
        any_holm.append(min(holm(p_values, len(p_values))) < 0.05)
    yield Figure("five equal models: a pair called different, Holm", float(np.mean(any_holm)), "", target="<= 0.05")
    yield Figure("five equal models: a pair called different, uncorrected", float(np.mean(any_raw)), "")


def _distinct(values: Floats) -> tuple[Floats, Floats]:
    x, counts = np.unique(values, return_counts=True)
    return x, counts.astype(float)


@lru_cache
def _by_correct(kind: Kind, n: int, k: int) -> tuple[Floats, Floats]:
    """(estimate, variance) of a problem, each (n + 1,) by its number of right responses; its wrong ones are equal."""
    ballots = [Ballot(c, (n - c,) if c < n else (), 0) for c in range(n + 1)]
    return values_at_k(kind, ballots, k), variances_at_k(kind, ballots, k)


def _expected(kind: Kind, k: int, chances: Floats) -> Floats:
    """pass@k or maj@k of problems with these chances."""
    if kind == "pass_at_k":
        return -np.expm1(k * np.log1p(-chances))
    values, _ = _by_correct(kind, k, k)
    number = np.arange(k + 1)
    ways = np.array([math.lgamma(k + 1) - math.lgamma(c + 1) - math.lgamma(k - c + 1) for c in number])
    logs = ways + np.outer(np.log(chances), number) + np.outer(np.log1p(-chances), k - number)
    return np.asarray(np.exp(logs) @ values)


@lru_cache
def _truth(kind: Kind, k: int, difficulty: tuple[float, float] | None) -> float:
    """The mean over all problems of that difficulty."""
    chances = _chances(np.random.default_rng(1), difficulty, (200_000,))
    if kind == "pass_at_k":
        return float(_expected(kind, k, chances).mean())
    grid = np.linspace(1e-6, 1 - 1e-6, 2001)
    return float(np.interp(chances, grid, _expected(kind, k, grid)).mean())


def _chances(draw: np.random.Generator, difficulty: tuple[float, float] | None, shape: tuple[int, ...]) -> Floats:
    if difficulty is not None:
        return np.clip(draw.beta(*difficulty, shape), 1e-12, 1 - 1e-12)
    easy = draw.random(shape) < 0.15
    return np.clip(np.where(easy, draw.beta(9, 1, shape), draw.beta(0.2, 8, shape)), 1e-12, 1 - 1e-12)


def _named(difficulty: tuple[float, float] | None) -> str:
    return "15 % easy, the rest hopeless" if difficulty is None else "Beta({:g}, {:g})".format(*difficulty)


def _holds(intervals: Intervals, truth: float) -> NDArray[np.bool_]:
    return (intervals[0] <= truth + 1e-9) & (truth - 1e-9 <= intervals[1])


def _textbook(found: Floats) -> Intervals:
    m = found.shape[1]
    half = student_t_quantile(m - 1) * found.std(axis=1, ddof=1) / math.sqrt(m)
    return found.mean(axis=1) - half, found.mean(axis=1) + half


def _wilson_clustered(found: Floats) -> Intervals:
    """The former interval of the accuracy."""
    m, p, extra = found.shape[1], found.mean(axis=1), Z95**2 / 2
    center = (found.sum(axis=1) + extra) / (m + 2 * extra)
    spread = ((found - center[:, None]) ** 2).sum(axis=1) + extra * (1 - center) ** 2 + extra * center**2
    n = m / (spread / (m + 2 * extra) / (center * (1 - center))) * (Z95 / student_t_quantile(m - 1)) ** 2
    middle = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return np.where(p > 0, middle - half, 0.0), np.where(p < 1, middle + half, 1.0)


def _agresti_min(found: Floats) -> Intervals:
    """The former paired interval."""
    m, mean = found.shape[1], found.mean(axis=1)
    center = found.sum(axis=1) / (m + 2)
    spread = ((found - center[:, None]) ** 2).sum(axis=1)
    spread = spread + 0.5 * (1 - center) ** 2 + 0.5 * (1 + center) ** 2 + center**2
    half = student_t_quantile(m - 1) * np.sqrt(spread) / (m + 2)
    return np.minimum(center - half, mean), np.maximum(center + half, mean)
