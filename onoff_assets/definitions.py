"""Everything Dagster loads. Importing this module must stay cheap: no torch, transformers, datasets or streamlit."""

import dagster as dg

from onoff_assets.assets.leaderboard import leaderboard
from onoff_assets.assets.problems import problems
from onoff_assets.assets.rewards import rewards, rewards_checks
from onoff_assets.assets.samples import samples, samples_checks
from onoff_assets.assets.settings import distribution_settings, reward_settings, settings
from onoff_assets.assets.statistics import statistics
from onoff_assets.assets.token_distributions import token_distributions, token_distributions_checks
from onoff_assets.automation import fill_gaps, grid, nightly
from onoff_assets.following import follow
from onoff_assets.observing import InputVersions
from onoff_assets.orphans import end_orphans

defs = dg.Definitions(
    assets=[
        problems,
        settings,
        reward_settings,
        distribution_settings,
        samples,
        rewards,
        statistics,
        token_distributions,
        leaderboard,
    ],
    asset_checks=[samples_checks, rewards_checks, token_distributions_checks],
    jobs=[grid],
    schedules=[nightly],
    sensors=[fill_gaps, follow, end_orphans],
    resources={"input_versions": InputVersions()},
    # One process a run, so that a run loads its model once for sampling and for scoring.
    executor=dg.in_process_executor,
)
