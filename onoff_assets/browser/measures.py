"""The measures that can colour a token. Edges are fixed, so a colour means the same in every response and model."""

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A number per token; `edges` (rising) divide its values into the levels 0 to 6 of the ramp."""

    name: str
    label: str
    unit: str
    edges: tuple[float, float, float, float, float, float]
    meaning: str

    def level(self, value: float) -> int:
        """0 below the first edge, 6 from the last one on."""
        return bisect_right(self.edges, value)


ENTROPY = Measure(
    "entropy",
    "entropy",
    "nats",
    (0.05, 0.2, 0.5, 1.0, 1.5, 2.5),
    "how unsure the model was before this token: 0 is sure, ln 2 = 0.69 a coin toss",
)
SURPRISAL = Measure(
    "surprisal",
    "surprisal",
    "nats",
    (0.05, 0.2, 0.5, 1.0, 2.0, 4.0),
    "minus the log-probability of the token that was drawn",
)
RANK = Measure("rank", "rank", "", (2, 3, 5, 10, 30, 100), "place of the drawn token; 1 is the most probable")
EXCESS = Measure(
    "excess",
    "surprisal minus entropy",
    "nats",
    (0.2, 0.5, 1.0, 2.0, 3.0, 5.0),
    "how much more surprising than expected; no colour where it was as or less surprising",
)
_NATS_APART = (0.02, 0.1, 0.3, 0.7, 1.5, 3.0)
DIVERGENCE = Measure(
    "divergence",
    "KL divergence",
    "nats",
    _NATS_APART,
    "how differently the two models would go on before this token: 0 is alike",
)
DIVERGENCE_AT_LEAST = Measure(
    "divergence",
    "KL divergence, at least",
    "nats",
    _NATS_APART,
    "how differently the two models would go on before this token, as far as the stored top-k tells",
)
LOG_RATIO = Measure(
    "ratio",
    "log-probabilities apart",
    "nats",
    (0.05, 0.2, 0.5, 1.0, 2.0, 4.0),
    "how far the two models' log-probabilities of this token are from each other, either way",
)
REFERENCE_ENTROPY = Measure(
    "reference_entropy",
    "the other's entropy",
    "nats",
    (0.05, 0.2, 0.5, 1.0, 1.5, 2.5),
    "how unsure the other model is before this token",
)
MEASURES = (ENTROPY, SURPRISAL, RANK, EXCESS)
