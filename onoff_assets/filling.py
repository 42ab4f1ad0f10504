"""Ask for everything that is missing or stale: a run for each partition, in the instance's queue.

Not a backfill: `dagster job backfill` is over for Dagster once its runs are submitted, and it retries no run of a
backfill that is over; and an asset backfill fails as a whole when one partition that it names leaves the study. A run
that belongs to none is retried when its worker dies, and concerns its own partition only.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from onoff_assets import tags
from onoff_assets.backfills import find_backfills
from onoff_assets.launching import launch_tags
from onoff_assets.partition_states import partition_states
from onoff_core.grid.plan import PartitionState
from onoff_core.grid.problem_versions import inputs_version
from onoff_core.store import Store
from onoff_core.study import Study, split_partition_key

MODULE, JOB = "onoff_assets.definitions", "grid"


@dataclass(frozen=True)
class Gaps:
    """The partitions asked about: those to make, and those left alone."""

    due: tuple[PartitionState, ...]
    in_progress: tuple[str, ...]
    unreadable: tuple[str, ...]  # made, but nobody can say whether stale: the data set cannot be read


def find_gaps(study: Study, instance: dg.DagsterInstance, keys: Sequence[str]) -> Gaps:
    """Find what is missing or stale. Former failures and cancellations do not count, since a person asks."""
    from onoff_assets.code_location import build_definitions

    graph = build_definitions(study).get_repository_def().asset_graph
    states = partition_states(instance, study, Store(study.store_path), find_backfills(instance, graph))
    asked = [state for state in states if state.key in set(keys)]
    unreadable = [state.key for state in asked if state.wanted is None and state.made and not state.in_progress]
    return Gaps(
        due=tuple(s for s in asked if s.due and not s.in_progress and s.key not in unreadable),
        in_progress=tuple(state.key for state in asked if state.in_progress),
        unreadable=tuple(unreadable),
    )


def launch(study: Study, instance: dg.DagsterInstance, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Put a run of the job `grid` into the queue for each key; yields (key, run id) as they are queued."""
    from dagster._cli.job import _create_run  # what `dagster job launch` does; there is no public way

    with _job(instance) as (workspace, location, repository, job):
        for key in keys:
            dataset, model = split_partition_key(key)
            run_tags = {
                tags.PARTITION: key,
                f"{tags.PARTITION}/dataset": dataset,
                f"{tags.PARTITION}/model": model,
                tags.INPUTS: inputs_version(study.partitions[key]),
                **launch_tags(study, key),
            }
            run = _create_run(instance, location, repository, job, {}, run_tags, None, None)
            instance.submit_run(run.run_id, workspace)
            yield key, run.run_id


@contextmanager
def alone(home: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Be the only one in this DAGSTER_HOME who looks for gaps and fills them: two at once would both find the same
    ones. Wanted before the instance is opened, for Dagster cannot make a new one's records twice at a time.
    """
    import filelock

    lock = filelock.FileLock(home / "onoff" / "fill.lock")
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        say("another onoff fill is at work on this instance; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _job(instance: dg.DagsterInstance) -> Iterator[tuple[Any, Any, Any, Any]]:
    """(workspace, code location, repository, job) as a code server of its own loads them."""
    from dagster._cli.workspace import cli_target

    options = cli_target.WorkspaceOpts(module_name=(MODULE,))  # type: ignore[attr-defined]
    with cli_target.get_workspace_from_cli_opts(instance, dg.__version__, options, log_level="ERROR") as workspace:
        location = workspace.get_code_location(MODULE)
        [repository] = location.get_repositories().values()
        yield workspace, location, repository, repository.get_full_job(JOB)


def queue_is_served(instance: dg.DagsterInstance) -> bool:
    """Whether a daemon takes runs from the queue now."""
    daemon = instance.get_daemon_statuses(["QUEUED_RUN_COORDINATOR"])["QUEUED_RUN_COORDINATOR"]
    return bool(daemon.healthy)
