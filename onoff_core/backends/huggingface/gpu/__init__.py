"""One pass over logits on a GPU, where Triton is there; else the usual operators stay.

This is the door: `pass_over`, and `divergences` of two models' logits, run kernels where these were tried and gave what
the usual operators give. Nothing outside imports `kernel` and `pair_kernel`, which need Triton (it comes with torch for
CUDA).
"""

import functools
import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from onoff_core.backends.memory import is_out_of_memory

logger = logging.getLogger(__name__)

_TOLERANCE = 1e-4  # nats, of a few thousand logits in float32


@dataclass(frozen=True)
class Pass:
    """What one pass over the logits (n, vocab) of n tokens finds. With z = (logit - largest logit) / temperature:"""

    largest: Tensor  # (n,) float32, the largest logit
    total: Tensor  # (n,) float32, sum e^z
    first: Tensor  # (n,) float32, sum e^z z
    second: Tensor  # (n,) float32, sum e^z z^2
    greater: Tensor  # (n,) int32, how many logits are above the chosen one
    maxima: Tensor  # (n, ceil(vocab / width)), the largest logit of each part of the vocabulary, as `top_k` wants it


def pass_over(logits: Tensor, chosen: Tensor, temperature: float, width: int) -> Pass:
    """`logits`: (n, vocab) where `can_run` says so; `chosen`: (n,) those of the chosen tokens."""
    from onoff_core.backends.huggingface.gpu import kernel

    # parts: (4, n, parts) the largest, and the sums shifted by it; each block of the vocabulary on its own
    (tops, totals, firsts, seconds), greater, maxima = kernel.block_sums(logits, chosen, temperature, width)
    largest = tops.amax(-1, keepdim=True)
    # A block's z is y + d, with y shifted by the block's own largest: sum e^z z^2 = e^d sum e^y (y^2 + 2 d y + d^2).
    d = (tops - largest) / temperature
    weights = d.exp()
    totals, firsts, seconds = totals * weights, firsts * weights, seconds * weights
    return Pass(
        largest=largest[:, 0],
        total=totals.sum(-1),
        first=(firsts + d * totals).sum(-1),
        second=(seconds + d * (2 * firsts + d * totals)).sum(-1),
        greater=greater.sum(-1, dtype=torch.int32),
        maxima=maxima,
    )


def divergences(first: Tensor, second: Tensor, log_first: Tensor, log_second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """KL(p || q), KL(q || p) and JS of each row, in nats: (n,) float32 each.

    first, second: (n, vocab) logits where `can_run` says so; log_first, log_second: (n,) ln sum e^logit of each.
    """
    from onoff_core.backends.huggingface.gpu import pair_kernel

    forward, backward, middle = pair_kernel.pair_sums(first, second, log_first, log_second).sum(-1)
    return forward.clamp_(min=0), backward.clamp_(min=0), (middle / 2).clamp_(min=0)


def can_run(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether logits of this kind can go through the kernel; found out once, by trying it on a few."""
    return device.type == "cuda" and reason_against(device, dtype) is None


@functools.cache
def reason_against(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the kernel cannot run there, in words; None: it can. Running out of memory is no answer, and is raised."""
    try:
        worst = _error(device, dtype)
    except Exception as error:  # a compiler, its headers, the driver: each fails in a way of its own
        if is_out_of_memory(error):
            raise
        lines = str(error).strip().splitlines() or ["no message"]
        reason = f"{type(error).__name__}: {lines[0]}"
    else:
        if worst <= _TOLERANCE:
            return None
        reason = f"it is off by {worst:.3g}"
    logger.info(
        "statistics of logits are taken by the usual operators: the kernel for them cannot run here (%s)", reason
    )
    return reason


@torch.inference_mode()
def _error(device: torch.device, dtype: torch.dtype) -> float:
    """How far the kernel is from float64 on a few logits. What is not a number counts as infinitely far."""
    logits = (torch.randn((3, 9001), generator=torch.Generator().manual_seed(0)) * 3).to(device, dtype)
    found = pass_over(logits, logits[:, 7], 0.7, 32)
    exact = logits.double()
    z = (exact - exact.amax(-1, keepdim=True)) / 0.7
    weights = z.exp()
    total = weights.sum(-1)
    mean, square = (weights * z).sum(-1) / total, (weights * z * z).sum(-1) / total
    pairs = [
        (found.largest, exact.amax(-1)),
        (found.total.log(), total.log()),
        (found.first / found.total, mean),
        (found.second / found.total, square),
        (found.greater, (exact > exact[:, 7:8]).sum(-1)),
        (found.maxima[:, -1], exact[:, 9001 // 32 * 32 :].amax(-1)),
        (found.maxima[:, 0], exact[:, :32].amax(-1)),
        *_divergence_pairs(logits),
    ]
    return max(float((ours.double() - theirs).abs().nan_to_num(float("inf")).max()) for ours, theirs in pairs)


def _divergence_pairs(logits: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of the rows and the same in reverse: what the kernel finds, and the definitions."""
    first, second = logits, logits.flip(-1).contiguous()
    log_p, log_q = (one.double().log_softmax(-1) for one in (first, second))
    p, q, m = log_p.exp(), log_q.exp(), (log_p.exp() + log_q.exp()) / 2
    wanted = (
        (p * (log_p - log_q)).sum(-1),
        (q * (log_q - log_p)).sum(-1),
        (p * (p / m).log() + q * (q / m).log()).sum(-1) / 2,
    )
    found = divergences(first, second, first.float().logsumexp(-1), second.float().logsumexp(-1))
    return list(zip(found, wanted, strict=True))
