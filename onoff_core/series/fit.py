"""The fit of accuracy against entropy over a training run: R = -a exp(H) + b.

Source: Cui et al., "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models", 2025, where
R = -a exp(H) + b predicts the accuracy from the policy's entropy alone; at H = 0 it is b - a, the most that the run
can come to. The model is linear in (a, b), so least squares on exp(H) are the whole of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onoff_core.store.series_view import FEWEST_STEPS, SMALLEST_SPREAD


@dataclass(frozen=True)
class EntropyFit:
    """Of accuracies between 0 and 1 against mean entropies in nats."""

    a: float
    b: float
    residuals: tuple[float, ...]  # accuracy - fitted, in the order of the steps
    r_squared: float | None  # share of the accuracies' variance that the fit explains; None: they are all equal

    @property
    def ceiling(self) -> float:
        """The accuracy at entropy 0, b - a."""
        return self.b - self.a


def fit_entropy(accuracies: Sequence[float], entropies: Sequence[float]) -> EntropyFit | None:
    """Least squares over the steps. None: there are fewer than three, or all have the same entropy."""
    rewards, powers = np.array(accuracies, float), np.exp(np.array(entropies, float))
    if len(rewards) < FEWEST_STEPS or np.ptp(np.log(powers)) <= SMALLEST_SPREAD:
        return None
    design = np.stack([-powers, np.ones_like(powers)], axis=1)  # (steps, 2)
    (a, b), *_ = np.linalg.lstsq(design, rewards, rcond=None)
    residuals = rewards - design @ np.array([a, b])
    spread = float(((rewards - rewards.mean()) ** 2).sum())
    r_squared = None if spread == 0 else 1 - float((residuals**2).sum()) / spread
    return EntropyFit(float(a), float(b), tuple(map(float, residuals)), r_squared)
