"""The kernel for two models' logits: each is read once more, and three sums of each block of the vocabulary remain.

`pair_statistics` has the formulas. Each term vanishes where the two are equal, so no difference of large sums is taken.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 4096  # logits of each model that one program reads; a power of two
_WARPS = 8


@triton.jit
def _softplus(x):  # type: ignore[no-untyped-def]
    return tl.maximum(x, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(x)))


@triton.jit
def _pair_sums(  # type: ignore[no-untyped-def]
    first,  # (n, vocab), rows `first_stride` apart
    second,  # (n, vocab), rows `second_stride` apart
    first_shift,  # (n,) float32: ln sum e^logit
    second_shift,
    sums,  # (3, n, blocks) float32
    first_stride,
    second_stride,
    vocab,
    BLOCK: tl.constexpr,
):
    row, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, blocks = tl.num_programs(0).to(tl.int64), tl.num_programs(1)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < vocab
    log_p = tl.load(first + row * first_stride + columns, mask=inside, other=0.0).to(tl.float32)
    log_q = tl.load(second + row * second_stride + columns, mask=inside, other=0.0).to(tl.float32)
    log_p -= tl.load(first_shift + row)
    log_q -= tl.load(second_shift + row)
    p, q = tl.where(inside, tl.exp(log_p), 0.0), tl.where(inside, tl.exp(log_q), 0.0)
    d = tl.where(inside, log_q - log_p, 0.0)
    log_2 = _softplus(tl.zeros([BLOCK], tl.float32))  # by the same function, so that the difference is 0 where d is
    # A token that is impossible adds nothing, whatever its logarithm; what is no number stays none.
    forward = tl.where(p == 0.0, 0.0, -p * d)
    backward = tl.where(q == 0.0, 0.0, q * d)
    middle = tl.where(p == 0.0, 0.0, p * (log_2 - _softplus(d))) + tl.where(q == 0.0, 0.0, q * (log_2 - _softplus(-d)))
    at = row * blocks + block
    tl.store(sums + at, tl.sum(forward, axis=0))
    tl.store(sums + rows * blocks + at, tl.sum(backward, axis=0))
    tl.store(sums + 2 * rows * blocks + at, tl.sum(middle, axis=0))


def pair_sums(first: Tensor, second: Tensor, first_shift: Tensor, second_shift: Tensor) -> Tensor:
    """(3, n, blocks): of each block, its part of KL(p || q), of KL(q || p) and of twice JS."""
    first, second = (logits if logits.stride(1) == 1 else logits.contiguous() for logits in (first, second))
    (rows, vocab), device = first.shape, first.device
    sums = torch.empty((3, rows, triton.cdiv(vocab, _BLOCK)), dtype=torch.float32, device=device)
    arguments = (first, second, first_shift.contiguous(), second_shift.contiguous(), sums)
    with torch.cuda.device_of(first):
        _pair_sums[(rows, sums.shape[2])](
            *arguments, first.stride(0), second.stride(0), vocab, BLOCK=_BLOCK, num_warps=_WARPS
        )
    return sums
