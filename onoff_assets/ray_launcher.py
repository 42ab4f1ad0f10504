"""dagster-ray's run launcher, in which a run may ask for no GPU. Wants onoff[ray]."""

import copy

import dagster as dg
import dagster_ray
from dagster_ray.core.run_launcher import RayLauncherConfig


class RayRunLauncher(dagster_ray.RayRunLauncher):
    """For `run_launcher` in `dagster.yaml`; takes the settings of dagster-ray's own."""

    def _launch_ray_job(self, submission_id: str, entrypoint: str, run: dg.DagsterRun) -> None:
        # theirs takes a number of 0 in a run's tags for none given, and then the one in dagster.yaml
        launcher = copy.copy(self)
        if RayLauncherConfig.from_tags(run.tags).num_gpus == 0:
            launcher.num_gpus = 0
        super(RayRunLauncher, launcher)._launch_ray_job(submission_id, entrypoint, run)
