"""One token from each row of logits: temperature, then top-k, then top-p, in transformers' order.

One uniform number a row: a token is drawn by inverting the cumulative distribution in the order of token ids, so it
depends on the row's own logits and its own number only. The log-probability that is kept is the raw model's, at
temperature 1 and before any truncation.
"""

import torch
from torch import Tensor

from onoff_core.study import SamplingSettings

_BLOCK = 256  # tokens whose weights are summed before the search; within the chosen block they are looked at one by one
_NUCLEUS_GUESS = 1024  # a nucleus is looked for among so many most probable tokens before all are sorted


@torch.inference_mode()
def draw(logits: Tensor, uniform: Tensor, sampling: SamplingSettings) -> tuple[Tensor, Tensor]:
    """Draw one token a row.

    logits: (rows, vocab) float32; uniform: (rows,) float64 in [0, 1), unused where the settings are greedy.
    Returns (token ids (rows,) int64, log-probabilities (rows,) float32 in nats under the raw model).
    """
    if sampling.greedy:
        tokens = logits.argmax(-1)
        return tokens, _logprobs(logits, tokens)
    scores = truncate(logits, sampling)
    probabilities = torch.softmax(scores, -1)
    tokens = _invert(probabilities, uniform)
    if scores is logits:  # nothing was changed, so these are the raw model's
        return tokens, probabilities.gather(-1, tokens[:, None])[:, 0].log()
    return tokens, _logprobs(logits, tokens)


def _logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.gather(-1, tokens[:, None])[:, 0] - torch.logsumexp(logits, -1)


def truncate(logits: Tensor, sampling: SamplingSettings) -> Tensor:
    """The logits a sampler draws from: divided by the temperature, what is cut off at -inf.

    (rows, vocab) -> (rows, vocab); the very same tensor where the settings change nothing.
    """
    scores = logits / sampling.temperature if sampling.temperature != 1 else logits
    if sampling.top_k is not None and sampling.top_k < scores.shape[-1]:
        threshold = torch.topk(scores, sampling.top_k).values[:, -1:]
        scores = scores.masked_fill(scores < threshold, -torch.inf)  # ties with the k-th stay, as in transformers
    if sampling.top_p < 1:
        scores = _nucleus(scores, sampling.top_p)
    return scores


def _nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Keep the smallest set of most probable tokens whose mass reaches `top_p`, and always one.

    A token stays when the tokens before it, by falling probability, hold less than `top_p`. Nearly always that is
    settled among the first thousand, which is far cheaper on a CPU than sorting the vocabulary; on a GPU to ask whether
    it is would stop the queue of operations, and cannot be part of a CUDA graph.
    """
    guess = scores.shape[-1] if scores.is_cuda else min(_NUCLEUS_GUESS, scores.shape[-1])
    probabilities = torch.softmax(scores, -1)
    largest, order = torch.topk(probabilities, guess) if guess < scores.shape[-1] else _sorted(probabilities)
    if guess < scores.shape[-1] and bool((largest.double().sum(-1) < top_p).any()):
        largest, order = _sorted(probabilities)
    before = largest.double().cumsum(-1) - largest
    kept = before < top_p
    kept[:, 0] = True
    result = torch.full_like(scores, -torch.inf)
    return result.scatter_(-1, order, scores.gather(-1, order).masked_fill_(~kept, -torch.inf))


def _sorted(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    found = torch.sort(probabilities, descending=True)
    return found.values, found.indices


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The first token at which the cumulative weight exceeds the uniform number's share of the total.

    Two searches instead of one long cumulative sum: among blocks of tokens, then inside the block, both in float64.
    """
    rows, vocab = weights.shape
    whole = vocab // _BLOCK * _BLOCK
    sums = weights[:, :whole].view(rows, -1, _BLOCK).sum(-1, dtype=torch.float32)
    rest = weights[:, whole:]
    if whole < vocab:
        sums = torch.cat([sums, rest.sum(-1, keepdim=True)], -1)
    cumulative = sums.double().cumsum(-1)
    target = uniform * cumulative[:, -1]
    block = torch.searchsorted(cumulative, target[:, None], right=True).clamp_(max=sums.shape[-1] - 1)
    target -= (cumulative.gather(-1, block) - sums.double().gather(-1, block))[:, 0]
    ids = block * _BLOCK + torch.arange(_BLOCK, device=weights.device)
    inside = weights.gather(-1, ids.clamp(max=vocab - 1)).double().masked_fill_(ids >= vocab, 0)
    within = inside.cumsum(-1)
    # A block's float32 sum may exceed its float64 sum by a rounding: the last token with any weight is then the one.
    target = torch.minimum(target, torch.nextafter(within[:, -1], torch.zeros_like(target)))
    # right=True: a token of weight 0 is never chosen, whatever the uniform number
    position = torch.searchsorted(within, target[:, None].clamp_(min=0), right=True).clamp_(max=_BLOCK - 1)
    return ids.gather(-1, position)[:, 0].clamp_(max=vocab - 1)
