"""End runs whose worker died without a word: after a power cut nobody is left to report them failed.

Dagster notices a killed worker as long as the code server that started it lives. When both die, the run stays
`STARTED`, holds its place in the pool and its partition counts as in progress. So every run notes its worker, and a
sensor reports a run failed when its worker is no longer there; Dagster then retries it, and it goes on from what is
written. A run that was being canceled is reported canceled, and is not retried. Only workers of this machine
are judged.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from onoff_assets import tags

if TYPE_CHECKING:
    import psutil

_SECONDS = 30
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_worker() -> str:
    """This process, as the tag `tags.WORKER` names it."""
    import psutil

    return f"{socket.gethostname()} {_boot()} {os.getpid()} {_began(psutil.Process()):.0f}"


def _boot() -> str:
    """The id of this boot of the machine; `-` where the system has none."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "-"


def _began(process: "psutil.Process") -> float:
    """Seconds from the machine's boot to the process's start, which no change of the clock alters."""
    import psutil

    return process.create_time() - psutil.boot_time()


def is_gone(worker: str) -> bool:
    """Whether the worker ran on this machine and does not any more."""
    import psutil

    host, boot, pid, began = worker.rsplit(" ", 3)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return boot != _boot() or process.status() == psutil.STATUS_ZOMBIE or abs(_began(process) - float(began)) > 2
    except psutil.NoSuchProcess:
        return True


def end_orphaned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report every started run whose worker is gone as failed (or canceled, if it was being canceled); their ids."""
    ended = []
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    for run in instance.get_runs(filters=started):
        if tags.WORKER not in run.tags or not is_gone(run.tags[tags.WORKER]):
            continue
        now = instance.get_run_by_id(run.run_id)  # the worker's last word may have come after the list was made
        if now is None or now.is_finished:
            continue
        why = f"The run's worker ({run.tags[tags.WORKER]}) is gone and left no word."
        if now.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, why)
        else:
            instance.report_run_failed(now, why)
        ended.append(run.run_id)
    return ended


@dg.sensor(
    name="end_orphans",
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports runs failed whose worker died together with the server that watched it, as in a power cut.",
)
def end_orphans(context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
    ended = end_orphaned_runs(context.instance)
    yield dg.SkipReason(f"reported failed: {', '.join(ended)}" if ended else "every started run has its worker")
