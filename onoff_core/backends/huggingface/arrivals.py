"""Statistics on their way from the device to the host, while the device goes on.

In: blocks of some tokens' columns, as tensors, as each is computed. Out: arrays of all tokens. A GPU sends a block as
soon as it is done, on a stream of its own into pages that the system cannot move: the next block does not wait for
that, and the host waits at the end only. With k = 1,000 a token's columns are 8 kilobytes; fetched by ordinary copies,
when all were computed, they took two thirds of the time that a small model's whole pass did.
"""

import functools

import torch
from torch import Tensor

from onoff_core.backends.huggingface.token_statistics import Columns


class Arrivals:
    """The columns of so many tokens, filled block by block from the first token on."""

    def __init__(self, num_tokens: int, *, overlapping: bool) -> None:
        """`overlapping`: sent while the device goes on, which keeps all of it in pages that cannot be moved; else each
        block is waited for.
        """
        self._num_tokens, self._overlapping = num_tokens, overlapping
        self._filled = 0
        self._columns: dict[str, Tensor] = {}
        self._sent: torch.cuda.Event | None = None

    def add(self, block: dict[str, Tensor]) -> None:
        """The next tokens' columns, all of one length, (n,) or (n, k)."""
        first = next(iter(block.values()))
        overlapping = self._overlapping and first.is_cuda
        if not self._columns:
            self._columns = {
                name: torch.empty((self._num_tokens, *column.shape[1:]), dtype=column.dtype, pin_memory=overlapping)
                for name, column in block.items()
            }
        begin, self._filled = self._filled, self._filled + len(first)
        targets = {name: column[begin : self._filled] for name, column in self._columns.items()}
        if overlapping:
            self._sent = _send(block, targets, first.device)
        else:
            for name, column in block.items():
                targets[name].copy_(column)

    def columns(self) -> Columns:
        """Those of all tokens, arrays that share one memory a column; waits for what is still on its way."""
        if self._sent is not None:
            self._sent.synchronize()  # blocks of a stream arrive in order
        assert self._filled == self._num_tokens, f"{self._filled} of {self._num_tokens} tokens came"
        return {name: column.numpy() for name, column in self._columns.items()}


def _send(block: dict[str, Tensor], targets: dict[str, Tensor], device: torch.device) -> torch.cuda.Event:
    """Copy each column when it is computed, behind what was sent before. Returns what happens when all are there."""
    stream = _stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for name, column in block.items():
            targets[name].copy_(column, non_blocking=True)
            column.record_stream(stream)  # its memory is given to nobody else before it is read
    return stream.record_event()


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
