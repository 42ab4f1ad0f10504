"""What each replica may use: its GPUs, and its part of the processor's threads, as environment variables.

They have to be set before torch, numba or BLAS are loaded, so they are given to a process when it starts.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onoff_core.errors import SettingsError
from onoff_core.study import BackendOptions

VISIBLE = "CUDA_VISIBLE_DEVICES"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Share:
    """One replica's part of the machine."""

    gpus: tuple[str, ...]  # as CUDA_VISIBLE_DEVICES names them; none: the replica is on the CPU
    num_threads: int

    @property
    def place(self) -> str:
        """For people: `cpu`, `GPU 0`, `GPUs 2, 3`."""
        return f"GPU{'s' * (len(self.gpus) > 1)} {', '.join(self.gpus)}" if self.gpus else "cpu"

    @property
    def environment(self) -> dict[str, str]:
        """What has to stand in the environment of the replica's process."""
        return {**threads_environment(self.num_threads), VISIBLE: ",".join(self.gpus)}


def threads_environment(num_threads: int) -> dict[str, str]:
    """So many threads for every library that has some.

    Threads that wait for others sleep rather than spin, where the user does not say otherwise: replicas share the cores
    with each other.
    """
    waiting = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}
    return {**{name: str(num_threads) for name in _THREADS}, **waiting}


def shares_of(count: int, gpus: Sequence[str], num_threads: int) -> tuple[Share, ...]:
    """`count` shares of the GPUs, neighbours together, and of the threads; each has at least one thread."""
    begins = [len(gpus) * number // count for number in range(count + 1)]
    threads = max(1, num_threads // count)
    return tuple(Share(tuple(gpus[a:b]), threads) for a, b in itertools.pairwise(begins))


def num_replicas(name: str, options: BackendOptions, num_gpus: int) -> tuple[int, str | None]:
    """How many replicas there are on a machine with so many GPUs, and why they are fewer than was asked for.

    Raises `SettingsError` where more replicas are asked for than there are GPUs, unless the settings say `at most`.
    Without a GPU, and with `device: cpu`, any number shares the processor.
    """
    wanted = options.num_process or 1
    what = f"models.{name}: backend_specific.num_process is {wanted}"
    if wanted == 1 or options.device == "cpu":
        return wanted, None
    if options.device is not None and ":" in options.device:
        reason, most = f"{what}, but device names one GPU ({options.device})", 1
        advice = "write device: cuda, and each replica has its own share of the GPUs"
    elif num_gpus and wanted > num_gpus:
        reason = f"{what}, but this machine shows {num_gpus} GPU{'s' * (num_gpus > 1)}"
        most, advice = num_gpus, f"write at most {num_gpus}, or device: cpu"
    else:
        return wanted, None
    if not options.num_process_at_most:
        raise SettingsError(f"{reason}; {advice}")
    return most, f"{reason}; going on with {most}"


def visible_gpus(num_gpus: int, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the GPUs that this process sees: numbers, or what CUDA_VISIBLE_DEVICES says instead."""
    named = [part.strip() for part in environment.get(VISIBLE, "").split(",") if part.strip()]
    return tuple(named[:num_gpus]) if named else tuple(str(number) for number in range(num_gpus))
