"""Options of a single run that override the settings: the run's config, in the launchpad or by `--config-json`.

    {"ops": {"samples": {"config": {"limit": 5, "num_samples": 2}}}}

Such a run makes what settings of that kind would make. Its results have fingerprints of their own and are stale by the
settings as they are, so that the next run without config puts things right. Dagster refuses any other key.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from onoff_core.errors import PlatformError
from onoff_core.study import Partition


class RunOptions(dg.Config):
    """Options of every asset of a partition."""

    force: bool = Field(
        default=False,
        description="Make it again although it is there. A retry goes on from what is written.",
    )


class SampleOptions(RunOptions):
    """Options of `samples`."""

    limit: int | None = Field(default=None, ge=1, description="Only the first so many problems of the data set.")
    num_samples: int | None = Field(
        default=None,
        ge=1,
        description="So many responses per problem in place of sampling.num_samples and sampling.until.",
    )


def sample_options(run_config: Mapping[str, Any]) -> SampleOptions:
    """The options of `samples` in a run's config; a `PlatformError` for a value that is not allowed."""
    try:
        return SampleOptions(**run_config.get("ops", {}).get("samples", {}).get("config", {}))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}, not {one['input']!r}" for one in error.errors()]
        raise PlatformError(f"ops.samples.config: {'; '.join(wrong)}") from error


def adapted(partition: Partition, options: SampleOptions) -> Partition:
    """The partition with the options applied; an equal one if they change nothing."""
    sampling, dataset = partition.sampling, partition.dataset_settings
    if options.num_samples is not None:
        sampling = sampling.model_copy(update={"num_samples": options.num_samples, "until": None})
    if options.limit is not None:
        there = dataset.num_examples
        limit = options.limit if there is None else min(there, options.limit)
        dataset = dataset.model_copy(update={"num_examples": limit})
    return dataclasses.replace(partition, sampling=sampling, dataset_settings=dataset)
