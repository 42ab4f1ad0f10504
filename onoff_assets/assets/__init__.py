"""The assets of a study. Each has a module, with its metadata for the UI.

assets = build_assets(load_study())
dagster.materialize([assets.samples], partition_key="arithmetic|smollm2-135m")
"""

import warnings
from dataclasses import dataclass, fields

import dagster as dg

from onoff_assets.asset_checks import build_checks
from onoff_assets.assets.branches import build_branches
from onoff_assets.assets.confidence import build_confidence
from onoff_assets.assets.cross_scores import build_cross_scores
from onoff_assets.assets.leaderboard import build_leaderboard
from onoff_assets.assets.problems import build_problems
from onoff_assets.assets.rewards import build_rewards
from onoff_assets.assets.samples import build_samples
from onoff_assets.assets.second_opinions import build_second_opinions
from onoff_assets.assets.settings import build_settings
from onoff_assets.assets.statistics import build_statistics
from onoff_assets.assets.token_distributions import build_token_distributions
from onoff_assets.execution import open_store
from onoff_assets.partitions import Grid
from onoff_core.checks import (
    check_branches,
    check_confidence,
    check_cross_scores,
    check_rewards,
    check_samples,
    check_token_distributions,
)
from onoff_core.study import Study

# Dagster marks partitioned checks and data versions by partition as previews. We pin its version and test both, so
# the notes would only hide what a user has to read.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)


@dataclass(frozen=True)
class Assets:
    """Every asset of a study, by name."""

    problems: dg.SourceAsset
    settings: dg.SourceAsset
    reward_settings: dg.SourceAsset
    distribution_settings: dg.SourceAsset
    cross_settings: dg.SourceAsset
    branch_settings: dg.SourceAsset
    statistics_settings: dg.SourceAsset
    second_opinion_settings: dg.SourceAsset
    confidence_settings: dg.SourceAsset
    samples: dg.AssetsDefinition
    rewards: dg.AssetsDefinition
    statistics: dg.AssetsDefinition
    token_distributions: dg.AssetsDefinition
    cross_scores: dg.AssetsDefinition
    branches: dg.AssetsDefinition
    second_opinions: dg.AssetsDefinition
    confidence: dg.AssetsDefinition
    leaderboard: dg.AssetsDefinition

    @property
    def all(self) -> list[dg.SourceAsset | dg.AssetsDefinition]:
        """Those that the graph shows; `statistics_settings` only where something is set, for else none needs them."""
        every = [getattr(self, field.name) for field in fields(self)]
        needed = {key for asset in every if isinstance(asset, dg.AssetsDefinition) for key in asset.dependency_keys}
        return [asset for asset in every if isinstance(asset, dg.AssetsDefinition) or asset.key in needed]


def build_assets(study: Study) -> Assets:
    """The assets of a study; each brings the resources it needs, so that it runs anywhere."""
    return assets_of(Grid(study))


def assets_of(grid: Grid) -> Assets:
    problems, settings = build_problems(grid), build_settings(grid, "settings")
    reward_settings = build_settings(grid, "reward_settings")
    distribution_settings = build_settings(grid, "distribution_settings")
    statistics_settings = build_settings(grid, "statistics_settings")
    second_opinion_settings = build_settings(grid, "second_opinion_settings")
    confidence_settings = build_settings(grid, "confidence_settings")
    samples = build_samples(grid, problems, settings)
    rewards = build_rewards(grid, samples, reward_settings)
    cross_settings = build_settings(grid, "cross_settings")
    branch_settings = build_settings(grid, "branch_settings")
    statistics = build_statistics(grid, rewards, reward_settings, statistics_settings)
    token_distributions = build_token_distributions(grid, samples, distribution_settings)
    return Assets(
        problems=problems,
        settings=settings,
        reward_settings=reward_settings,
        distribution_settings=distribution_settings,
        cross_settings=cross_settings,
        branch_settings=branch_settings,
        statistics_settings=statistics_settings,
        second_opinion_settings=second_opinion_settings,
        confidence_settings=confidence_settings,
        samples=samples,
        rewards=rewards,
        statistics=statistics,
        token_distributions=token_distributions,
        cross_scores=build_cross_scores(grid, samples, token_distributions, cross_settings),
        branches=build_branches(grid, rewards, token_distributions, branch_settings),
        second_opinions=build_second_opinions(grid, rewards, reward_settings, second_opinion_settings),
        confidence=build_confidence(grid, rewards, token_distributions, confidence_settings),
        leaderboard=build_leaderboard(grid, statistics),
    )


def checks_of(grid: Grid, assets: Assets) -> list[dg.AssetChecksDefinition]:
    """The checks of each asset that has some."""
    study = grid.study
    limit = study.automation.max_truncated_share
    return [
        build_checks(grid, assets.samples, lambda key: check_samples(open_store(study), key, limit)),
        build_checks(grid, assets.rewards, lambda key: check_rewards(open_store(study), key)),
        build_checks(grid, assets.token_distributions, lambda key: check_token_distributions(open_store(study), key)),
        build_checks(grid, assets.cross_scores, lambda key: check_cross_scores(open_store(study), key)),
        build_checks(grid, assets.branches, lambda key: check_branches(open_store(study), key)),
        build_checks(grid, assets.confidence, lambda key: check_confidence(open_store(study), key)),
    ]
