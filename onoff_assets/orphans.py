"""Runs whose worker is gone without a word: after a power cut nobody is left to report them failed.

Dagster notices a killed worker as long as the code server that started it lives. When both die, the run stays
`STARTED`, holds its place in the pool and its partition counts as in progress. So every run notes who works on it, and
a sensor reports those failed whose worker is no longer there; Dagster then retries them, and they go on from what is
written. Only workers of this machine are judged.
"""

import socket
from collections.abc import Iterator

import dagster as dg

WORKER_TAG = "onoff/worker"  # machine, process id, and when the process began, for ids are used again
_SECONDS = 30


def this_worker() -> str:
    """What `WORKER_TAG` says of the process that asks."""
    import psutil

    process = psutil.Process()
    return f"{socket.gethostname()} {process.pid} {process.create_time():.2f}"


def is_gone(worker: str) -> bool:
    """Whether the worker ran on this machine and does not any more."""
    import psutil

    host, pid, began = worker.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - float(began)) > 1
    except psutil.NoSuchProcess:
        return True


def end_orphaned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report failed every started run whose worker is gone; their ids."""
    ended = []
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    for run in instance.get_runs(filters=started):
        if WORKER_TAG in run.tags and is_gone(run.tags[WORKER_TAG]):
            instance.report_run_failed(run, f"The run's worker ({run.tags[WORKER_TAG]}) is gone and left no word.")
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
