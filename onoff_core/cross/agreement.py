"""Whether a model says of its own responses what it said when it wrote them. Where it does not, the weights, the prompt
or the tokenizer are other ones than they were, and every ratio would be wrong without a sign of it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onoff_core.cross.texts import Text
from onoff_core.errors import ModelError

# As of the check `scorer_agrees_with_sampler`, for the same reasons.
MOST_IN_FULL_PRECISION = 0.01  # nats, of any token
MEAN_IN_HALF_PRECISION = 0.05  # nats, on average: batches round differently


@dataclass
class Differences:
    """What was compared so far."""

    full_precision: bool
    compared: int = 0  # tokens
    largest: float = 0.0  # nats
    total: float = 0.0  # nats
    worst: str = ""  # where the largest is

    @property
    def mean(self) -> float:
        return self.total / self.compared if self.compared else 0.0

    def add(self, text: Text, logprob: NDArray[np.float32]) -> None:
        """Compare what was found now with what the sampler kept, if it kept anything."""
        own = np.flatnonzero(~np.isnan(np.array(text.sampled_logprobs, np.float64)))
        if not len(own):
            return
        differences = np.abs(logprob.astype(np.float64)[own] - np.array(text.sampled_logprobs)[own])
        self.compared += len(differences)
        self.total += float(differences.sum())
        position = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
        if not differences[position] <= self.largest:
            self.largest = float(differences[position])
            position = int(own[position])
            then, now = text.sampled_logprobs[position], float(logprob[position])
            self.worst = f"{text.name}, token {position}: {now:.4f} nats now, {then:.4f} when it was sampled"

    @property
    def agree(self) -> bool:
        if not math.isfinite(self.largest):
            return False
        return self.largest <= MOST_IN_FULL_PRECISION if self.full_precision else self.mean <= MEAN_IN_HALF_PRECISION

    def check(self, model: str) -> None:
        """Raise `ModelError` where they differ by more than rounding does."""
        if not self.agree:
            raise ModelError(
                f"models.{model} does not say of its responses what it said when they were sampled, so ratios to "
                f"another model mean nothing: {self.worst}, {self.mean:.4f} nats on average. Its weights, its "
                "precision or its tokenizer have changed since, or the responses are another model's"
            )

    @property
    def facts(self) -> dict[str, float | int]:
        return {
            "tokens_compared_with_sampler": self.compared,
            "largest_difference_from_sampler": self.largest,
            "mean_difference_from_sampler": self.mean,
        }
