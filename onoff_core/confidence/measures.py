"""How sure the model was of one response: numbers of its tokens in, one number a measure out. All in nats.

The token confidence and what is made of it are DeepConf's (Fu, Wang, Tian and Zhao 2025, "Deep Think with Confidence",
arXiv:2508.15260, and its code): it is the mean *negative* log-probability of the k most probable tokens, so it is high
where one token has nearly all probability and the others have next to none.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST = -700.0  # nats; exp of more than its negative is beyond a float
_BOTTOM = 0.1  # of the windows, the lowest so many make the bottom window confidence


@dataclass(frozen=True)
class Measure:
    """One number of a response that says how sure the model was."""

    name: str  # of the column in `confidence`
    surer: Literal[1, -1]  # 1: a higher number is surer; -1: a lower one
    weight: Callable[[Floats], Floats]  # of a response in a vote, at least 0


def _itself(values: Floats) -> Floats:
    return values


def _of_entropy(values: Floats) -> Floats:
    """exp(-H): one over the number of equally probable tokens that would be as unsure."""
    return np.exp(-values)


def _reciprocal(values: Floats) -> Floats:
    return 1 / values


MEASURES = (
    Measure("mean_log_prob", 1, np.exp),  # the geometric mean of the tokens' probabilities
    Measure("perplexity", -1, _reciprocal),  # the same weight
    Measure("mean_confidence", 1, _itself),
    Measure("lowest_window_confidence", 1, _itself),
    Measure("bottom_window_confidence", 1, _itself),
    Measure("tail_confidence", 1, _itself),
    Measure("mean_entropy", -1, _of_entropy),
    Measure("maximum_entropy", -1, _of_entropy),
    Measure("tail_entropy", -1, _of_entropy),
    Measure("self_certainty", 1, _itself),
)
# Of a problem, and so the same for each of its responses: it cannot choose among them.
SEMANTIC_ENTROPY = Measure("semantic_entropy", -1, _of_entropy)


@dataclass(frozen=True)
class TokenSeries:
    """What token distributions say of the tokens of a response that the model drew, in order: (n,) each."""

    positions: Ints  # in the response
    logprob: Floats
    entropy: Floats
    confidence: Floats  # `token_confidence`
    mean_log_prob_vocabulary: Floats  # NaN where it is not known


def token_confidence(topk_logprobs: Floats, k: int, *, ordered: bool) -> Floats:
    """(n,) the mean negative log-probability of the k most probable tokens of (n, at least k).

    `ordered`: they fall from left to right; else they are a whole vocabulary in the order of ids.
    """
    width = topk_logprobs.shape[1]
    if not ordered and k < width:
        topk_logprobs = np.partition(topk_logprobs, width - k, axis=1)[:, width - k :]
    return -topk_logprobs[:, :k].mean(axis=1, dtype=np.float64)


def window_confidences(confidence: Floats, window: int) -> Floats:
    """The mean token confidence of every window of so many tokens, in order; of a shorter response, that of all of it.

    DeepConf's group confidence; its code counts whole windows alone, as here.
    """
    if len(confidence) <= window:
        return confidence.mean(keepdims=True)
    sums = np.concatenate([[0.0], np.cumsum(confidence)])
    means: Floats = (sums[window:] - sums[:-window]) / window
    return means


def response_measures(tokens: TokenSeries, window: int, tail: int, vocab_size: int) -> dict[str, float | None]:
    """Every measure of a response of at least one token, by name; None where it cannot be known.

    Perplexity is exp of the mean negative log-probability. Self-certainty is KL(uniform || model), mean over tokens:
    -ln V minus the vocabulary's mean log-probability (Kang, Zhao and Song 2025, "Scalable Best-of-N Selection for Large
    Language Models via Self-Certainty", arXiv:2502.18581).
    """
    windows = window_confidences(tokens.confidence, window)
    lowest = max(1, int(len(windows) * _BOTTOM))
    mean_log_prob = float(tokens.logprob.mean())
    found = {
        "mean_log_prob": mean_log_prob,
        "perplexity": math.exp(-mean_log_prob) if mean_log_prob > _LEAST else math.inf,
        "mean_confidence": float(tokens.confidence.mean()),
        "lowest_window_confidence": float(windows.min()),
        "bottom_window_confidence": float(np.partition(windows, lowest - 1)[:lowest].mean()),
        "tail_confidence": float(tokens.confidence[-tail:].mean()),
        "mean_entropy": float(tokens.entropy.mean()),
        "maximum_entropy": float(tokens.entropy.max()),
        "tail_entropy": float(tokens.entropy[-tail:].mean()),
        "self_certainty": -math.log(vocab_size) - float(tokens.mean_log_prob_vocabulary.mean()),
    }
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def falling_windows(tokens: TokenSeries, window: int) -> tuple[Ints, Floats]:
    """Where a window is lower than every one before it: the positions of the windows' last tokens, and what they are.

    It is all that is needed to say where a response would have been stopped at any threshold: at the first of these
    that is below it. The last one is the lowest window confidence.
    """
    windows = window_confidences(tokens.confidence, window)
    before = np.concatenate([[np.inf], np.minimum.accumulate(windows)[:-1]])
    falls = np.flatnonzero(windows < before)
    ends = min(window, len(tokens.confidence)) - 1
    return tokens.positions[falls + ends], windows[falls]
