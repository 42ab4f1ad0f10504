"""`settings`, `reward_settings`, `distribution_settings`: what `onoff.yaml` decides of each partition, hashed.

Three assets and not one, so that a change makes stale just what it decides: sampling settings the samples and all
that follows, `distribution.top_k` the token distributions alone.
"""

import dagster as dg

from onoff_assets.observing import settings_versions
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import open_store
from onoff_assets.study import study


def _versions() -> dict[str, dict[str, str]]:
    from onoff_core.grid.problem_versions import problems_versions

    return settings_versions(study().partitions.values(), problems_versions(study(), open_store()).found)


def _settings_asset(name: str, description: str) -> dg.SourceAsset:
    @dg.observable_source_asset(
        name=name,
        partitions_def=grid_partitions,
        group_name="inputs",
        description=description,
        tags={"dagster/kind/yaml": ""},
        required_resource_keys={"input_versions"},
    )
    def observe() -> dg.DataVersionsByPartition:
        return dg.DataVersionsByPartition(_versions()[name])

    return observe


settings = _settings_asset(
    "settings",
    "What decides a partition's samples besides the problems: model and revision, task, sampling settings.",
)
reward_settings = _settings_asset(
    "reward_settings",
    "What decides a partition's rewards, from the problems on: sampling, and how answers are found and compared.",
)
distribution_settings = _settings_asset(
    "distribution_settings",
    "What decides a partition's token distributions, from the problems on: sampling, temperature and top-k.",
)
