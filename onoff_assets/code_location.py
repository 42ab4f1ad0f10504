"""Everything that Dagster loads of a study. Must load fast: no torch, transformers, datasets or streamlit."""

import dagster as dg

from onoff_assets.assets import assets_of, checks_of
from onoff_assets.automation import fill_gaps_sensor, grid_job, nightly_schedule
from onoff_assets.automation_conditions import follow_samples
from onoff_assets.console_log import console
from onoff_assets.launching import RUN_TAGS, tags_by_model
from onoff_assets.notification import build_notify
from onoff_assets.orphaned_runs import end_orphans
from onoff_assets.partitions import NO_NAMES, Grid, Names
from onoff_assets.settings_watch import build_settings_check, build_watch_settings
from onoff_core.study import Study


def build_definitions(study: Study, retired: Names = NO_NAMES) -> dg.Definitions:
    """Assets, checks, job, schedule and sensors of a study. One process may hold several studies.

    `retired`: former names that stay partitions, because a backfill under way wants them.
    """
    grid, job = Grid(study, retired), grid_job(study)
    assets = assets_of(grid)
    return dg.Definitions(
        assets=assets.all,
        asset_checks=[build_settings_check(grid, assets.settings), *checks_of(grid, assets)],
        jobs=[job],
        schedules=[nightly_schedule(study, job)],
        sensors=[
            fill_gaps_sensor(study, job),
            follow_samples(),
            build_watch_settings(grid),
            build_notify(study),
            end_orphans,
        ],
        # One process a run, so that a run loads its model once for sampling and for scoring.
        executor=dg.in_process_executor,
        loggers={"console": console},
        metadata={RUN_TAGS: dg.MetadataValue.json(tags_by_model(study))},
    )
