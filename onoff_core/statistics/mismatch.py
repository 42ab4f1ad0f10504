"""How far two log-probabilities of one sampled token part: the trainer's, the engine's and ours of a rollout.

The log ratio of a token is log p(numerator) - log p(denominator). Tokens drawn from the denominator make

    k1 = mean(-log ratio), k3 = mean(ratio - 1 - log ratio)

unbiased estimates of KL(denominator || numerator) a token; k3 is never negative and varies less (Schulman,
"Approximating KL Divergence", 2020). The effective sample size is Kish's, (sum w)^2 / sum w^2. A trainer that vetoes
leaves out a response of which one token's ratio is below a threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = (1e-2, 1e-3, 1e-4)

LogRatios = NDArray[np.float64]  # (num_tokens,) nats


@dataclass(frozen=True)
class Compared:
    """The log ratios of one response's tokens."""

    problem_id: str
    sample_index: int
    log_ratios: LogRatios


def response_row(one: Compared) -> dict[str, Any]:
    """The numbers of one response; at least one token is wanted."""
    ratios = one.log_ratios
    return {
        "problem_id": one.problem_id,
        "sample_index": one.sample_index,
        "num_tokens": len(ratios),
        "mean_log_ratio": float(ratios.mean()),
        "mean_abs_log_ratio": float(np.abs(ratios).mean()),
        "sequence_log_ratio": float(ratios.sum()),
        "lowest_log_ratio": float(ratios.min()),
        "highest_log_ratio": float(ratios.max()),
        "worst_position": int(np.abs(ratios).argmax()),
        "k3": k3(ratios),
        "ess_share": ess_share(ratios),
    }


def partition_row(responses: Sequence[Compared]) -> dict[str, Any]:
    """The numbers of all responses together; null where there is none."""
    if not responses:
        return {"num_responses": 0, "num_tokens": 0, "vetoed": []}
    tokens = np.concatenate([one.log_ratios for one in responses])
    lowest = np.array([one.log_ratios.min() for one in responses])
    return {
        "num_responses": len(responses),
        "num_tokens": len(tokens),
        "mean_ratio": float(np.exp(tokens).mean()),
        "mean_abs_log_ratio": float(np.abs(tokens).mean()),
        "k1": float(-tokens.mean()),
        "k3": k3(tokens),
        "token_ess_share": ess_share(tokens),
        "response_ess_share": ess_share(np.array([one.log_ratios.sum() for one in responses])),
        "lowest_log_ratio": float(tokens.min()),
        "highest_log_ratio": float(tokens.max()),
        "vetoed": [
            {
                "threshold": threshold,
                "tokens": float((tokens < np.log(threshold)).mean()),
                "responses": float((lowest < np.log(threshold)).mean()),
            }
            for threshold in THRESHOLDS
        ],
    }


def k3(log_ratios: LogRatios) -> float:
    """Nats a token: the mean of ratio - 1 - log ratio. `expm1`, since ratios are near 1 where the two nearly agree."""
    return float((np.expm1(log_ratios) - log_ratios).mean())


def ess_share(log_weights: LogRatios) -> float:
    """The effective sample size of weights, as a share of their number; a common factor does not change it."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))
