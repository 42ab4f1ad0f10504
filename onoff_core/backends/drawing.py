"""One token from each row of logits: temperature, then top-k, then top-p, in transformers' order.

One uniform number a row: a token is drawn by inverting the cumulative distribution in the order of token ids, so it
depends on the row's own logits and its own number only. The log-probability that is kept is the raw model's, at
temperature 1 and before any truncation.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor

from onoff_core.study import SamplingSettings


def uniform_stream(seed: int, problem_id: str, sample_index: int) -> np.random.Generator:
    """The uniform numbers of one response, one a token: they depend on (seed, problem_id, sample_index) only."""
    digest = hashlib.sha256(f"{seed}\x1f{problem_id}\x1f{sample_index}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


def draw(logits: Tensor, uniform: Tensor, sampling: SamplingSettings) -> tuple[Tensor, Tensor]:
    """Draw one token a row.

    logits: (rows, vocab) float32; uniform: (rows,) float64 in [0, 1), unused where the settings are greedy.
    Returns (token ids (rows,) int64, log-probabilities (rows,) float32 in nats under the raw model).
    """
    if sampling.greedy:
        tokens = logits.argmax(-1)
    else:
        tokens = _invert(truncate(logits, sampling), uniform)
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - torch.logsumexp(logits, -1)
    return tokens, logprobs


def truncate(logits: Tensor, sampling: SamplingSettings) -> Tensor:
    """The logits a sampler draws from: divided by the temperature, what is cut off at -inf. (rows, vocab) -> (rows,
    vocab)
    """
    scores = logits / sampling.temperature if sampling.temperature != 1 else logits
    if sampling.top_k is not None and sampling.top_k < scores.shape[-1]:
        threshold = torch.topk(scores, sampling.top_k).values[:, -1:]
        scores = scores.masked_fill(scores < threshold, -torch.inf)  # ties with the k-th stay, as in transformers
    if sampling.top_p < 1:
        scores = _nucleus(scores, sampling.top_p)
    return scores


def _nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Keep the smallest set of most probable tokens whose mass reaches `top_p`, and always one."""
    ascending, order = torch.sort(scores)
    cut = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    cut[:, -1] = False
    return scores.masked_fill(torch.zeros_like(cut).scatter_(-1, order, cut), -torch.inf)


def _invert(scores: Tensor, uniform: Tensor) -> Tensor:
    """The first token whose cumulative probability exceeds the uniform number."""
    weights = torch.exp(scores - scores.amax(-1, keepdim=True)).double()
    cumulative = weights.cumsum(-1)
    target = (uniform * cumulative[:, -1])[:, None]
    # right=True: a token of weight 0 is never chosen, whatever the uniform number
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp_(max=scores.shape[-1] - 1)
