"""`settings`, `reward_settings`, `distribution_settings`: what `onoff.yaml` decides of each partition, hashed.

Three assets and not one, so that a change makes stale just what it decides: sampling settings the samples and all
that follows, `distribution.top_k` the token distributions alone.
"""

from collections.abc import Callable

import dagster as dg

from onoff_assets.partitions import grid_partitions
from onoff_assets.study import study
from onoff_core.grid.fingerprints import (
    distribution_settings_version,
    reward_settings_version,
    sampling_settings_version,
)
from onoff_core.study import Partition


def _settings_asset(name: str, description: str, version: Callable[[Partition], str]) -> dg.SourceAsset:
    @dg.observable_source_asset(
        name=name,
        partitions_def=grid_partitions,
        group_name="inputs",
        description=description,
        tags={"dagster/kind/yaml": ""},
    )
    def observe() -> dg.DataVersionsByPartition:
        return dg.DataVersionsByPartition({key: version(partition) for key, partition in study().partitions.items()})

    return observe


settings = _settings_asset(
    "settings",
    "What decides a partition's samples besides the problems: model and revision, task, sampling settings.",
    sampling_settings_version,
)
reward_settings = _settings_asset(
    "reward_settings",
    "What decides a partition's rewards besides the samples: how answers are found and compared.",
    reward_settings_version,
)
distribution_settings = _settings_asset(
    "distribution_settings",
    "What decides a partition's token distributions besides the samples: temperature and top-k.",
    distribution_settings_version,
)
