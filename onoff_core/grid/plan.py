"""Which partitions to request next: one pure function, shared by the schedule, the sensor and the tests.

In: the state of every partition. Out: keys, in the order in which to request them. The platform gathers the states and
requests the keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onoff_core.grid.fingerprints import ASSETS, OPTIONAL


@dataclass(frozen=True)
class PartitionState:
    """One partition as the platform sees it."""

    key: str
    wanted: Mapping[str, str] | None  # asset asked for -> fingerprint by the settings; None: data set not read
    made: Mapping[str, str]  # asset -> fingerprint of the last materialization whose result is still in the store
    made_at: float | None = None  # seconds since 1970, of the last materialization; None: never
    in_progress: bool = False  # queued, running, or waiting in a backfill
    failures: int = 0  # failed runs with the inputs as they are now
    canceled: bool = False  # a person stopped its last run, which had the inputs as they are now

    @property
    def due(self) -> tuple[str, ...]:
        """The assets that are missing or stale; optional ones only where they are wanted."""
        wanted = self.wanted or {}
        assets = (*ASSETS, *(asset for asset in OPTIONAL if asset in wanted))
        return tuple(asset for asset in assets if asset not in self.made or self.made[asset] != wanted.get(asset))


@dataclass(frozen=True)
class Plan:
    """What a tick requests, and why it leaves the rest."""

    requested: tuple[PartitionState, ...]
    complete: int
    in_progress: int
    failed_too_often: tuple[str, ...]
    canceled: tuple[str, ...]
    unreadable: tuple[str, ...]  # the data set cannot be read
    left_for_later: int  # over the limit of this tick

    def sentence(self) -> str:
        """One line for the tick's log."""
        parts = [
            f"{len(self.requested)} requested",
            f"{self.complete} complete",
            f"{self.in_progress} in progress",
            f"{self.left_for_later} left for the next tick",
        ]
        if self.failed_too_often:
            parts.append(f"failed too often, change an input or run by hand: {', '.join(self.failed_too_often)}")
        if self.canceled:
            parts.append(f"canceled, change an input or run by hand: {', '.join(self.canceled)}")
        if self.unreadable:
            parts.append(f"data set cannot be read: {', '.join(self.unreadable)}")
        return "; ".join(parts)


def plan(states: Iterable[PartitionState], max_partitions: int, max_failures: int) -> Plan:
    """Request partitions that are missing or stale: first those never made, then the oldest, else in the study's order.

    Left alone are those that are in progress, that were canceled or failed more than `max_failures` times with
    unchanged inputs, and all beyond `max_partitions`.
    """
    ready: list[PartitionState] = []
    complete = in_progress = 0
    failed: list[str] = []
    canceled: list[str] = []
    unreadable: list[str] = []
    for state in states:
        if state.in_progress:
            in_progress += 1
        elif state.wanted is None and state.made:  # it may be stale or not; one that was never made is due anyway
            unreadable.append(state.key)
        elif not state.due:
            complete += 1
        elif state.canceled:
            canceled.append(state.key)
        elif state.failures > max_failures:
            failed.append(state.key)
        else:
            ready.append(state)
    ready.sort(key=lambda state: (state.made_at is not None, state.made_at or 0.0))  # stable: ties keep their order
    return Plan(
        requested=tuple(ready[:max_partitions]),
        complete=complete,
        in_progress=in_progress,
        failed_too_often=tuple(failed),
        canceled=tuple(canceled),
        unreadable=tuple(unreadable),
        left_for_later=max(0, len(ready) - max_partitions),
    )
