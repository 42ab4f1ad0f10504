"""Cores of the processor: how many this process may use, and how many of them other processes leave free."""

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_FIELDS = 8  # of a processor's times; those after them, on Linux, are counted among the first as well


def usable_cores() -> int:
    """As many as there are processors that this process may run on, and no more than its container's share of time."""
    cores, share = len(_processors()), quota()
    return cores if share is None else max(1, min(cores, math.ceil(share)))


def usable_threads(environment: Mapping[str, str] = os.environ) -> int:
    """As many as OMP_NUM_THREADS says, else one for each core that may be used."""
    return said_threads(environment) or usable_cores()


def said_threads(environment: Mapping[str, str]) -> int | None:
    """What OMP_NUM_THREADS says, of whose list the first number is meant: the others are for nested regions."""
    said = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(said) if said.isdecimal() and int(said) > 0 else None


def quota(membership: Path = _MEMBERSHIP, root: Path = _CGROUPS) -> float | None:
    """Cores' worth of time that control groups (a container's `--cpus`, a pod's limit) allow; None: no limit.

    A group lies within others, whose limits count too. Within a container its own group may be what the root shows.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # another system, or none of its files are shown
        return None
    shares = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root if not controllers else root / "cpu" if (root / "cpu").is_dir() else root / controllers
        inner = top / group.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(top) and (share := _share(folder)) is not None:
                shares.append(share)
    return min(shares, default=None)


def _share(group: Path) -> float | None:
    """One group's own limit, in cores, by either version of control groups."""
    try:
        if (group / "cpu.max").is_file():
            limit, period = (group / "cpu.max").read_text().split()
        else:
            limit = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return None if limit in ("max", "-1") else int(limit) / int(period)
    except (OSError, ValueError):  # a group that is not shown here, or without a limit of this kind
        return None


class FreeCores:
    """How many of the cores that this process may use are not taken by others, looked at every `interval` seconds."""

    def __init__(self, interval: float = 0.5, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._clock = interval, clock
        self._looked, self._busy, self._own = clock(), _busy_seconds(), _own_seconds()

    def look(self) -> float | None:
        """The cores that were free, or ours, since the last look; None: that was less than an interval ago."""
        elapsed = self._clock() - self._looked
        if elapsed < self._interval:
            return None
        busy, own = _busy_seconds(), _own_seconds()
        by_others = max(0.0, (busy - self._busy) - (own - self._own)) / elapsed
        self._looked, self._busy, self._own = self._looked + elapsed, busy, own
        return len(_processors()) - by_others


def _processors() -> list[int]:
    """The numbers of those this process may run on: all, where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))


def _busy_seconds() -> float:
    """That these processors have worked since the machine started, for whomever, a host's other guests included."""
    times, numbers = psutil.cpu_times(percpu=True), _processors()
    if numbers[-1] < len(times):
        times = [times[number] for number in numbers]
    return float(sum(sum(one[:_FIELDS]) - one.idle - getattr(one, "iowait", 0.0) for one in times))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system
