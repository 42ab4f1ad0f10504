"""Logits -> statistics of each position's distribution. Tensors in, arrays out; exact over the whole vocabulary."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from onoff_core.backends.huggingface import gpu
from onoff_core.backends.huggingface.top_k import part_maxima, part_width, top_k
from onoff_core.study import DistributionSettings

_ANY_WIDTH = 64  # of parts that nobody looks at
# On a CPU a few positions at a time stay in the processor's cache through all passes over them.
_ROWS_IN_CACHE = 4

Columns = dict[str, NDArray[Any]]


@torch.inference_mode()
def token_statistics(logits: Tensor, targets: Tensor, settings: DistributionSettings) -> Columns:
    """The columns of `TokenScores`, by name; `topk_ids` only where the settings name a top-k.

    logits: (n, vocab) of any float type; targets: (n,) the sampled tokens.
    """
    return to_columns([block_statistics(logits, targets, settings)])


def to_columns(blocks: Sequence[dict[str, Tensor]]) -> Columns:
    """The blocks' rows, one below the other, from whatever device into arrays."""
    return {name: torch.cat([block[name] for block in blocks]).cpu().numpy() for name in blocks[0]}


@torch.inference_mode()
def block_statistics(logits: Tensor, targets: Tensor, settings: DistributionSettings) -> dict[str, Tensor]:
    """The columns as tensors that stay on the logits' device."""
    if settings.top_k is not None and gpu.can_run(logits.device, logits.dtype):
        return _in_one_pass(logits, targets, settings.temperature, settings.top_k)
    rows = _ROWS_IN_CACHE if logits.device.type == "cpu" else len(logits)
    blocks = [
        _block(logits[begin : begin + rows], targets[begin : begin + rows], settings)
        for begin in range(0, len(logits), rows)
    ]
    return blocks[0] if len(blocks) == 1 else {name: torch.cat([b[name] for b in blocks]) for name in blocks[0]}


def _in_one_pass(logits: Tensor, targets: Tensor, temperature: float, k: int) -> dict[str, Tensor]:
    """Statistics of some rows on a GPU, where a kernel of our own reads each logit once."""
    vocab = logits.shape[-1]
    k = min(k, vocab)
    width = part_width(vocab, k)
    chosen = logits.gather(-1, targets[:, None])[:, 0]
    found = gpu.pass_over(logits, chosen, temperature, width or _ANY_WIDTH)
    log_total = found.total.log()
    shift = found.largest / temperature
    values, ids = torch.topk(logits, k) if width is None else top_k(logits, k, width, found.maxima)
    return {
        **_moments(found.total, found.first, found.second),
        "logprob": (chosen.float() - found.largest) / temperature - log_total,
        "rank": found.greater + 1,
        "logsumexp": shift + log_total,
        "mean_log_prob_vocabulary": _mean_logit_below(logits, found.largest) / temperature - log_total,
        **_top_columns(ids, (values.float() - found.largest[:, None]) / temperature - log_total[:, None]),
    }


def _mean_logit_below(logits: Tensor, largest: Tensor) -> Tensor:
    """(n,) the mean over the vocabulary of the logits minus the largest one, summed in float32.

    Once more over the logits, in the type that they have: beside the products that made them it takes no time.
    """
    return logits.mean(-1, dtype=torch.float32) - largest


def _moments(total: Tensor, first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """Entropy and varentropy from sum e^z, sum e^z z and sum e^z z^2."""
    mean, square = first / total, second / total
    return {
        "entropy": (total.log() - mean).clamp_(min=0),
        "varentropy": (square - mean * mean).clamp_(min=0),
    }


def _top_columns(ids: Tensor, logprobs: Tensor) -> dict[str, Tensor]:
    return {
        "topk_ids": ids.int(),
        "topk_logprobs": logprobs,
        "tail_mass": (1 - logprobs.exp().sum(-1)).clamp_(min=0),
    }


def _weighted_sums(weights: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """sum w z and sum w z^2 of each row; the weights are overwritten."""
    if z.device.type == "cpu":
        return torch.linalg.vecdot(weights, z), torch.linalg.vecdot(weights.mul_(z), z)
    return weights.mul_(z).sum(-1), weights.mul_(z).sum(-1)  # faster there than products of single rows


def _without_impossible(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """sum e^z z, sum e^z z^2 and the mean of z over the tokens that can be: 0 ln 0 counts as 0, and a model whose head
    rules tokens out by minus infinity (padding of its vocabulary) has a mean over the others.
    """
    possible = z != -torch.inf
    z = z.masked_fill(~possible, 0.0)
    first, second = _weighted_sums(z.exp() * possible, z)
    return first, second, z.sum(-1) / possible.sum(-1)


def _block(logits: Tensor, targets: Tensor, settings: DistributionSettings) -> dict[str, Tensor]:
    """Statistics of some rows.

    With z = logits / T shifted by its maximum, S = sum e^z and p = e^z / S: ln p = z - ln S, the entropy is H = -sum
    p ln p = ln S - sum p z, and the varentropy is sum p (ln p)^2 - H^2 = sum p z^2 - (sum p z)^2. The shift keeps
    every term small, which is what makes float32 enough.
    """
    scaled = logits.float()
    if settings.temperature != 1:
        scaled = scaled / settings.temperature
    top = scaled.amax(-1, keepdim=True)
    # A copy of our own need not be copied again: on a GPU each of them is memory and time.
    z = scaled - top if scaled is logits else scaled.sub_(top)
    weights = z.exp()
    total = weights.sum(-1)
    log_total = total.log()
    mean_z = z.mean(-1)
    chosen = z.gather(-1, targets[:, None])
    rank = (z > chosen).sum(-1) + 1
    first, second = _weighted_sums(weights, z)
    # A look at the numbers would have the host wait for a GPU, whose own kernels do the same sums elsewhere.
    if z.device.type == "cpu" and not bool(first.isfinite().all()):
        first, second, mean_z = _without_impossible(z)
    columns = {
        **_moments(total, first, second),
        "logprob": chosen[:, 0] - log_total,
        "rank": rank.int(),
        "logsumexp": top[:, 0] + log_total,
        "mean_log_prob_vocabulary": mean_z - log_total,
    }
    if settings.top_k is None:
        return {**columns, "topk_logprobs": z - log_total[:, None], "tail_mass": torch.zeros_like(total)}
    values, ids = _largest(z, min(settings.top_k, z.shape[-1]))
    return {**columns, **_top_columns(ids, values - log_total[:, None])}


def _largest(z: Tensor, k: int) -> tuple[Tensor, Tensor]:
    width = None if z.device.type == "cpu" else part_width(z.shape[-1], k)
    if width is None:
        values, ids = torch.topk(z, k)
        return values, ids
    return top_k(z, k, width, part_maxima(z, width))
