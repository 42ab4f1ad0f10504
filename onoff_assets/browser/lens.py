"""Compute what a sampler with another temperature, top-k and top-p would draw from, as far as the stored top-k tells.

Stored: the k most probable tokens p_1 >= ... >= p_k of V, and the mass m outside. At temperature T the weights are
p_i^b with b = T0 / T, where T0 is the temperature the distribution was stored at. The outside weighs an unknown
W = sum p_j^b over V - k tokens of which it is known that they sum to m and that none exceeds p_k. With
c = m p_k^(b - 1) (all mass in tokens as heavy as p_k) and s = (V - k)^(1 - b) m^b (mass spread evenly), W lies between
the two: p^b is convex for b > 1 and concave for b < 1, and b = 1 gives W = m exactly. Which tokens are kept follows
from those bounds; among the kept the probabilities are exact, since W cancels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onoff_assets.browser.numbers import probability_text


@dataclass(frozen=True)
class Lens:
    """A sampler's settings; `top_k` None: no truncation."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    @property
    def is_plain(self) -> bool:
        return self.temperature == 1.0 and self.top_k is None and self.top_p >= 1.0


@dataclass(frozen=True)
class Drawn:
    """The stored tokens' probabilities under the lens; 0: cut off. Where only bounds are known, they are the middle."""

    probabilities: NDArray[np.float64]  # (k,)
    low: NDArray[np.float64]  # (k,) bounds; equal to `probabilities` where exact
    high: NDArray[np.float64]
    cutoff: int | None  # how many tokens are kept; None where it lies outside the stored ones or is uncertain
    exact: bool
    statement: str


def look_through(
    logprobs: Sequence[float] | NDArray[np.floating],
    tail_mass: float,
    vocabulary_size: int,
    lens: Lens,
    stored_temperature: float = 1.0,
) -> Drawn:
    """Look at a stored distribution (falling log-probabilities in nats) as a sampler with the lens' settings would."""
    stored = np.asarray(logprobs, dtype=np.float64)
    if lens.temperature == 0:
        return _greedy(len(stored))
    power = stored_temperature / lens.temperature
    outside = max(0, vocabulary_size - len(stored))
    mass = max(0.0, tail_mass) if outside else 0.0
    weights = np.exp((stored - stored[0]) * power)  # relative to the first, so that nothing underflows
    low, high = _outside_weight(stored, mass, outside, power)
    kept_k = len(stored) if lens.top_k is None else lens.top_k
    if lens.top_k is not None and lens.top_k <= len(stored):
        weights, low, high = weights[: lens.top_k], 0.0, 0.0
    elif lens.top_k is not None:
        # top_k - k tokens outside are kept; each weighs at most as much as the last stored one
        low, high = 0.0, min(high, (lens.top_k - len(stored)) * float(weights[-1]))
    first, last = (_nucleus(weights, w, lens.top_p) for w in (low, high))
    truncated = lens.top_k is not None and lens.top_k <= len(stored)
    if first is not None and first == last:
        return _kept(weights, first, len(stored), _cut_statement(first, lens))
    if lens.top_p >= 1.0 and truncated:
        return _kept(weights, kept_k, len(stored), f"Draws from the {kept_k} most probable tokens.")
    return _bounded(weights, low, high, len(stored), lens, (first, last))


def _greedy(count: int) -> Drawn:
    one = np.zeros(count)
    one[0] = 1.0
    return Drawn(one, one, one, 1, True, "Temperature 0 always takes the most probable token.")


def _outside_weight(stored: NDArray[np.float64], mass: float, outside: int, power: float) -> tuple[float, float]:
    """Bounds of the outside's weight relative to the first token's p^b."""
    if mass == 0.0 or outside == 0:
        return 0.0, 0.0
    heavy = np.log(mass) + (power - 1) * stored[-1] - power * stored[0]
    even = (1 - power) * np.log(outside) + power * np.log(mass) - power * stored[0]
    low, high = sorted((float(np.exp(min(heavy, 700.0))), float(np.exp(min(even, 700.0)))))
    return low, high


def _nucleus(weights: NDArray[np.float64], outside: float, top_p: float) -> int | None:
    """The size of the smallest set that holds top_p of the mass; None where it reaches outside the stored tokens."""
    if top_p >= 1.0:
        return None
    cumulative = np.cumsum(weights) / (weights.sum() + outside)
    reached = np.flatnonzero(cumulative >= top_p - 1e-12)
    return int(reached[0]) + 1 if len(reached) else None


def _cut_statement(count: int, lens: Lens) -> str:
    tokens = "1 token" if count == 1 else f"{count} tokens"
    return f"Draws from {tokens}: the cut-off is after the {_ordinal(count)}."


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _kept(weights: NDArray[np.float64], count: int, size: int, statement: str) -> Drawn:
    drawn = np.zeros(size)
    drawn[:count] = weights[:count] / weights[:count].sum()
    return Drawn(drawn, drawn, drawn, count, True, statement)


def _bounded(
    weights: NDArray[np.float64],
    low: float,
    high: float,
    size: int,
    lens: Lens,
    counts: tuple[int | None, int | None],
) -> Drawn:
    """Bounds of the probabilities, where it is not known at which of the stored tokens the cut-off is.

    `counts`: how many tokens are kept at least and at most; None: more than are stored.
    """
    total, cumulative = float(weights.sum()), np.cumsum(weights)
    fewest, most = counts
    lower, upper = np.zeros(size), np.zeros(size)
    lower[: len(weights)] = weights / (total + high if most is None else cumulative[most - 1])
    if fewest is None:  # all stored tokens are kept, and those kept have at least top_p of the mass
        upper[: len(weights)] = weights / max(total, min(lens.top_p, 1.0) * (total + low))
    else:
        lower[fewest:] = 0.0
        upper[: len(weights)] = weights / np.maximum(cumulative[fewest - 1], cumulative)
        upper[most if most is not None else size :] = 0.0
    statement = _reach_statement((total / (total + high), total / (total + low)), size, lens, counts)
    exact = bool(np.array_equal(lower, upper))
    return Drawn((lower + upper) / 2, lower, upper, None, exact, statement)


def _reach_statement(reach: tuple[float, float], size: int, lens: Lens, counts: tuple[int | None, int | None]) -> str:
    """A sentence on what the stored tokens tell of the cut-off."""
    least = probability_text(reach[0])
    between = least if reach[0] == reach[1] else f"between {least} and {probability_text(reach[1])}"
    if counts[0] is not None:
        end = f"{counts[1]}" if counts[1] is not None else f"more than {size}"
        return f"The stored top {size} tell the cut-off only roughly: it keeps between {counts[0]} and {end} tokens."
    if lens.top_p < 1.0:
        return (
            f"The stored top {size} do not reach: they hold {between} of the mass, below top-p {lens.top_p:g}, so the "
            "cut-off lies outside them."
        )
    if lens.top_k is not None:
        return f"The stored top {size} do not reach to top-k {lens.top_k}: they hold {between} of what is drawn from."
    return f"No cut-off: the stored top {size} hold {between} of the mass at temperature {lens.temperature:g}."
