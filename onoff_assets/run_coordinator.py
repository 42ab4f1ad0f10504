"""Dagster's queue, in which every run of a partition asks for what its model needs, whoever put it there.

The schedule, the sensor and `onoff fill` tag the runs that they request. A run from the UI, a backfill or
`dagster job launch` is made by Dagster itself, which has no tags by partition for assets; all of them come by here.
"""

import dagster as dg
from dagster._core.run_coordinator import SubmitRunContext  # what a coordinator of one's own takes

from onoff_assets.launching import RUN_TAGS, missing_tags


class PartitionRunCoordinator(dg.QueuedRunCoordinator):
    """For `run_coordinator` in `dagster.yaml`; takes the settings of Dagster's own."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Put a run into the queue, with the tags of its model's `resources`."""
        run = context.dagster_run
        lacking = missing_tags(run.tags, run.tags.get("dagster/partition/model"), _tags_by_model(context))
        if lacking:
            self._instance.add_run_tags(run.run_id, lacking)
        return super().submit_run(context)


def _tags_by_model(context: SubmitRunContext) -> dict[str, dict[str, str]]:
    """What the run's code location says of its study."""
    origin = context.dagster_run.remote_job_origin
    if origin is None:  # of no code location, so of no study
        return {}
    named = origin.repository_origin
    location = context.workspace.get_code_location(named.code_location_origin.location_name)
    metadata = location.get_repository(named.repository_name).repository_snap.metadata or {}
    said = metadata.get(RUN_TAGS)
    return said.value if isinstance(said, dg.JsonMetadataValue) else {}  # type: ignore[return-value]
