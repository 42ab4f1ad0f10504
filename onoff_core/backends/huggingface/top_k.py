"""The k largest of each row, in two stages: which parts of a row may hold them, and which of their values they are.

A GPU's own search over 152k values took as long as everything else that is done to logits. The k parts with the largest
maxima hold the k largest values: a value above the k-th largest lies in a part whose maximum is above it, and there are
fewer than k of those. So the search sees a maximum for each part, and then k parts.
"""

import math

import torch
from torch import Tensor

_LEAST_SAVED = 4  # times fewer values than the row has; else two stages cost more than they save


def part_width(num_values: int, k: int) -> int | None:
    """How wide the parts should be: a power of two near the width at which the stages see the fewest values; None:
    one stage is better.
    """
    if not 1 <= k <= num_values:
        return None
    # num_values / w maxima and k w values are fewest at w = sqrt(num_values / k).
    width = 1 << round(math.log2(num_values / k) / 2)
    seen = -(-num_values // width) + k * width
    return width if width > 1 and _LEAST_SAVED * seen <= num_values else None


def part_maxima(values: Tensor, width: int) -> Tensor:
    """(rows, n) -> (rows, ceil(n / width)): the largest value of each part; the last part may be shorter."""
    rows, count = values.shape
    whole = count - count % width
    maxima = values[:, :whole].reshape(rows, -1, width).amax(-1)
    return maxima if whole == count else torch.cat([maxima, values[:, whole:].amax(-1, keepdim=True)], -1)


def top_k(values: Tensor, k: int, width: int, maxima: Tensor) -> tuple[Tensor, Tensor]:
    """The k largest of each row (rows, n), falling, and where they stand. `maxima` are those of parts of this width."""
    parts = torch.topk(maxima, k, sorted=False).indices  # (rows, k)
    places = (parts[:, :, None] * width + torch.arange(width, device=values.device)).flatten(1)  # (rows, k width)
    outside = places >= values.shape[1]
    candidates = values.gather(1, places.clamp_(max=values.shape[1] - 1)).masked_fill_(outside, float("-inf"))
    found, at = torch.topk(candidates, k)
    return found, places.gather(1, at)
