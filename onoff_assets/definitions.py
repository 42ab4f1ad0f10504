"""Everything Dagster loads. Importing this module must stay cheap: no torch, transformers, datasets or streamlit."""

import dagster as dg

from onoff_assets.assets.leaderboard import leaderboard
from onoff_assets.assets.problems import problems
from onoff_assets.assets.rewards import rewards
from onoff_assets.assets.samples import samples
from onoff_assets.assets.settings import distribution_settings, reward_settings, settings
from onoff_assets.assets.statistics import statistics
from onoff_assets.assets.token_distributions import token_distributions

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
    # One process a run, so that a run loads its model once for sampling and for scoring.
    executor=dg.in_process_executor,
)
