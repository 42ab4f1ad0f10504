"""Tails and quantiles that the intervals rest on: Student's t, the Beta distribution, and Dirichlet-weighted means.

Numbers in, numbers out; no data of ours is known here.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
Floats = NDArray[np.float64]

_STEP, _STEPS = 0.125, 81  # of the quadrature: u = 0, 1/8, ... 10, beyond which sinh(u) leaves nothing of the integrand
_U = np.arange(_STEPS) * _STEP
_SINH, _COSH = np.sinh(_U), np.cosh(_U)
_COSH[0] /= 2  # trapezoidal rule
_TINY = 1e-300


def dirichlet_mean_tail(values: Floats, weights: Floats, threshold: float) -> float:
    """P(sum_i W_i values_i >= threshold) for W ~ Dirichlet(weights); weights 0 are as if the value were not there.

    With W_i = G_i / sum G for independent G_i ~ Gamma(weights_i) it is P(Q >= 0), Q = sum_i G_i (values_i - threshold),
    whose moment generating function is prod (1 - s (values_i - threshold))^-weights_i. The inversion integral is taken
    along the vertical line through its saddle point, where the integrand neither oscillates nor cancels, by the
    trapezoidal rule with y = sinh(u) (Rice 1980, "Distribution of Quadratic Forms in Normal Random Variables -
    Evaluation by Numerical Integration", SIAM Journal on Scientific and Statistical Computing 1). For two values, 1 and
    0, it is a tail of the Beta distribution, to 5 digits or more.
    """
    offsets, weights = (values - threshold)[weights > 0], weights[weights > 0]
    low, high = float(offsets.min()), float(offsets.max())
    if low >= 0 or high <= 0:
        return float(low >= 0)
    saddle, scale = _saddle(offsets, weights, 1 / low, 1 / high)
    if abs(saddle) < scale / 2:  # the pole at 0 is too near
        saddle = min(scale, 1 / high) / 2 if saddle >= 0 else max(-scale, 1 / low) / 2
        scale = _scale(offsets, weights, saddle)
    steps = _steps_needed(scale * offsets / (1 - saddle * offsets), weights)
    line = saddle + 1j * scale * _SINH[:steps]
    integrand = np.exp(-np.log1p(-np.multiply.outer(line, offsets)) @ weights) / line
    integral = float(integrand.real @ _COSH[:steps]) * _STEP * scale / math.pi
    return min(1.0, max(0.0, integral if saddle > 0 else 1 + integral))


def _steps_needed(shares: Floats, weights: Floats) -> int:
    """How many steps it takes until the integrand is below e^-40 of its peak, in eights."""
    decay = np.log1p(np.multiply.outer(_SINH[8::8] ** 2, shares**2)) @ weights / 2
    return 8 * int(np.searchsorted(decay, 40)) + 9


def _saddle(offsets: Floats, weights: Floats, low: float, high: float) -> tuple[float, float]:
    """Where the derivative of the log moment generating function is 0 between its poles, and the width there.

    The derivative rises from minus to plus infinity: Newton's method, kept between the bounds found so far.
    """
    point = 0.0
    for _ in range(200):
        shares = offsets / (1 - point * offsets)
        slope, curvature = float(weights @ shares), float(weights @ shares**2)
        if slope > 0:
            high = point
        else:
            low = point
        step = slope / curvature
        if abs(step) < 1e-9 / math.sqrt(curvature):
            break
        point = point - step if low < point - step < high else (low + high) / 2
    return point, _scale(offsets, weights, point)


def _scale(offsets: Floats, weights: Floats, point: float) -> float:
    return float(1 / math.sqrt(weights @ (offsets / (1 - point * offsets)) ** 2))


def beta_tail(a: float, b: float, threshold: float) -> float:
    """P(B > threshold) for B ~ Beta(a, b), by the continued fraction of the incomplete Beta function (DLMF 8.17.22)."""
    if threshold <= 0 or threshold >= 1:
        return float(threshold <= 0)
    if threshold > (a + 1) / (a + b + 2):
        return _incomplete_beta(b, a, 1 - threshold)
    return 1 - _incomplete_beta(a, b, threshold)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b) where x is below the mean, by Lentz's method."""
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    c, d = 1.0, 1 / _no_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _no_zero(1 + term * d)
            c = _no_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction


def _no_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def student_t_two_sided(t: float, degrees: int) -> float:
    """P(|T| > t) for Student's t with so many degrees of freedom (DLMF 8.17; Abramowitz and Stegun 26.5.27)."""
    return 1 - beta_tail(degrees / 2, 0.5, degrees / (degrees + t * t))


@lru_cache(maxsize=4096)
def student_t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t."""
    return solve(lambda t: over(student_t_two_sided(t, degrees), 0.05), 0.0, 1e3)


def solve(function: Callable[[float], float], low: float, high: float, tolerance: float = 1e-10) -> float:
    """Where a falling function is 0 between `low` and `high`; the end that is nearer where it is 0 nowhere.

    Chandrupatla's method (1997, "A New Hybrid Quadratic/Bisection Algorithm for Finding the Zero of a Nonlinear
    Function without Using Derivatives", Advances in Engineering Software 28).
    """
    a, b = high, low
    at_a, at_b = function(a), function(b)
    if at_b <= 0 or at_a >= 0:
        return low if at_b <= 0 else high
    c, at_c, step = a, at_a, 0.5
    while True:
        point = a + step * (b - a)
        value = function(point)
        if (value > 0) == (at_a > 0):
            c, at_c = a, at_a
        else:
            c, b, at_c, at_b = b, a, at_b, at_a
        a, at_a = point, value
        if abs(b - a) <= tolerance or value == 0:
            return a if abs(at_a) < abs(at_b) else b
        xi, phi = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
        step = 0.5
        if phi**2 < xi and (1 - phi) ** 2 < 1 - xi:  # the inverse quadratic through the three points is monotone
            step = at_a / (at_b - at_a) * at_c / (at_b - at_c)
            step += (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
        least = tolerance / abs(b - a) / 2
        step = min(1 - least, max(least, step))


def over(tail: float, alpha: float) -> float:
    """log(tail / alpha): 0 where the tail is alpha, and nearer a line than the tail is."""
    return math.log(max(tail, _TINY) / alpha)
