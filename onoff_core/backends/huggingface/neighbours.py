"""Beside busy processes a model takes fewer threads, as many as cores are left, so that none waits for a core.

A product of matrices is shared out among the threads before it begins, and ends with the last of them. Where one has to
share its core with another process all wait for it, at each of some hundred products of a step: with two threads on two
cores, one of them busy, decoding kept a quarter of its speed, with one thread two thirds. Which thread computes what
changes no number. Half of the threads stay in any case: among many neighbours, giving way to all would leave nothing.

`OMP_DYNAMIC=false` keeps all threads, as it does for OpenMP.
"""

import logging
import math
import os
from typing import Any

import torch
from transformers import PreTrainedModel

from onoff_core.backends.cores import FreeCores

logger = logging.getLogger(__name__)


class _Threads:
    """Those of this process, and how many it takes now."""

    def __init__(self) -> None:
        self.most = self.taken = torch.get_num_threads()
        self.free = FreeCores()
        self.told = False

    def settle(self) -> None:
        """Take as many as there are free cores; between two passes, and mostly nothing to do."""
        free = self.free.look()
        if free is None:
            return
        now = torch.get_num_threads()  # numba's threads begin with all of OpenMP's, whatever was taken before
        if now not in (self.taken, self.most):
            self.most = now  # somebody called torch.set_num_threads
        wanted = threads_for(free, self.most)
        if wanted < self.most and not self.told:
            self.told = True
            how = "other processes are busy, %.1f cores are free: %d of %d threads for now"
            logger.info(how, free, wanted, self.most)
        if wanted != now:
            torch.set_num_threads(wanted)
        self.taken = wanted


_threads: _Threads | None = None
# Of two threads, one that has to leave so much of its core to others is as slow as one thread alone.
_LEFT_TO_OTHERS = 0.35


def threads_for(free: float, most: int) -> int:
    """One for each core that is free, of `most`, at least half of them.

    A core counts as free while others take up to a third of it. A process that would fill a core gets half of it while
    one of our threads is there too.
    """
    return min(most, max(-(-most // 2), math.floor(free + _LEFT_TO_OTHERS)))


def give_way(model: PreTrainedModel) -> None:
    """Have this model's passes take as many threads as cores are free. Where there is but one, nothing changes."""
    global _threads
    if os.environ.get("OMP_DYNAMIC", "").strip().lower() == "false" or most_threads() == 1:
        return
    if _threads is None:
        _threads = _Threads()
    model.base_model.register_forward_pre_hook(_before_pass)


def most_threads() -> int:
    """As many as a pass may take in this process."""
    return _threads.most if _threads is not None else torch.get_num_threads()


def _before_pass(module: torch.nn.Module, args: Any) -> None:
    if _threads is not None:
        _threads.settle()
