"""The kernel: every logit is read once, and what remains of each block of the vocabulary is a few numbers.

The usual operators go over float32 copies of the logits some fifteen times. Here a program reads one block of one row,
in whatever type it has, and sums in float32.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 4096  # logits that one program reads; a power of two, and no part is wider
_WARPS = 8


@triton.jit
def _block_sums(  # type: ignore[no-untyped-def]
    logits,  # (n, vocab), rows `stride` apart
    chosen,  # (n,) of the logits' type
    sums,  # (4, n, blocks) float32
    greater,  # (n, blocks) int32
    maxima,  # (n, num_maxima) of the logits' type
    stride,
    vocab,
    num_maxima,
    inverse_temperature,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, blocks = tl.num_programs(0).to(tl.int64), tl.num_programs(1)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < vocab
    x = tl.load(logits + row * stride + columns, mask=inside, other=-float("inf")).to(tl.float32)
    parts = block * (BLOCK // WIDTH) + tl.arange(0, BLOCK // WIDTH)
    of_parts = tl.max(tl.reshape(x, (BLOCK // WIDTH, WIDTH)), axis=1)
    tl.store(maxima + row * num_maxima + parts, of_parts.to(maxima.dtype.element_ty), mask=parts < num_maxima)
    above = tl.sum((x > tl.load(chosen + row).to(tl.float32)).to(tl.int32), axis=0)
    largest = tl.max(x, axis=0)
    z = (x - largest) * inverse_temperature
    weights = tl.where(inside, tl.exp(z), 0.0)
    z = tl.where(inside, z, 0.0)
    at = row * blocks + block
    tl.store(greater + at, above)
    tl.store(sums + at, largest)
    tl.store(sums + rows * blocks + at, tl.sum(weights, axis=0))
    tl.store(sums + 2 * rows * blocks + at, tl.sum(weights * z, axis=0))
    tl.store(sums + 3 * rows * blocks + at, tl.sum(weights * z * z, axis=0))


def block_sums(logits: Tensor, chosen: Tensor, temperature: float, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """(4, n, blocks): each block's largest logit, and its sums of e^z, e^z z and e^z z^2 shifted by that; (n, blocks):
    how many of it are above the chosen one; (n, ceil(vocab / width)): the parts' largest.
    """
    if logits.stride(1) != 1:
        logits = logits.contiguous()
    (rows, vocab), device = logits.shape, logits.device
    blocks, num_maxima = triton.cdiv(vocab, _BLOCK), triton.cdiv(vocab, width)
    sums = torch.empty((4, rows, blocks), dtype=torch.float32, device=device)
    greater = torch.empty((rows, blocks), dtype=torch.int32, device=device)
    maxima = torch.empty((rows, num_maxima), dtype=logits.dtype, device=device)
    arguments = (logits, chosen.contiguous(), sums, greater, maxima, logits.stride(0), vocab, num_maxima)
    with torch.cuda.device_of(logits):
        _block_sums[(rows, blocks)](*arguments, 1 / temperature, BLOCK=_BLOCK, WIDTH=width, num_warps=_WARPS)
    return sums, greater, maxima
