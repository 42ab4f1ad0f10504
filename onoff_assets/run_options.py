"""What one run may do otherwise than the settings say: the run's config, in the launchpad or by `--config-json`.

    {"ops": {"samples": {"config": {"limit": 5, "num_samples": 2}}}}

What is made so is what settings of that kind would make: it has its own fingerprint and reads stale beside the
settings as they are, so that the next run without config puts things right. Any other key is an error of Dagster's.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from onoff_core.errors import PlatformError
from onoff_core.study import Partition


class RunOptions(dg.Config):
    """Of every asset of a partition."""

    force: bool = Field(
        default=False,
        description="Make it again although it is there. A retry goes on from what is written.",
    )


class SampleOptions(RunOptions):
    """Of `samples`."""

    limit: int | None = Field(default=None, ge=1, description="Only the first so many problems of the data set.")
    num_samples: int | None = Field(
        default=None, ge=1, description="So many responses per problem in place of sampling.num_samples."
    )


def sample_options(run_config: Mapping[str, Any]) -> SampleOptions:
    """What a run's config says of `samples`; a `PlatformError` where it cannot be."""
    try:
        return SampleOptions(**run_config.get("ops", {}).get("samples", {}).get("config", {}))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}, not {one['input']!r}" for one in error.errors()]
        raise PlatformError(f"ops.samples.config: {'; '.join(wrong)}") from error


def adapted(partition: Partition, options: SampleOptions) -> Partition:
    """The partition as the options change it; the same where they do not."""
    sampling, dataset = partition.sampling, partition.dataset_settings
    if options.num_samples is not None:
        sampling = sampling.model_copy(update={"num_samples": options.num_samples})
    if options.limit is not None:
        there = dataset.num_examples
        limit = options.limit if there is None else min(there, options.limit)
        dataset = dataset.model_copy(update={"num_examples": limit})
    return dataclasses.replace(partition, sampling=sampling, dataset_settings=dataset)
