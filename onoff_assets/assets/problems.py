"""`problems`: what is asked. Observed, not materialized: its version is the hash of its content."""

import dagster as dg

from onoff_assets.partitions import dataset_partitions
from onoff_assets.study import study
from onoff_core.grid.fingerprints import CODE_VERSIONS


@dg.observable_source_asset(
    partitions_def=dataset_partitions,
    group_name="inputs",
    description="The normalised problems of a data set: question, gold answer, solution; versioned by their content.",
    metadata={"code_version": CODE_VERSIONS["problems"]},
    tags={"dagster/kind/huggingface": ""},
)
def problems(context: dg.OpExecutionContext) -> dg.DataVersionsByPartition:
    from onoff_core.problems import load_problems, problems_version

    versions = {}
    for name, settings in study().datasets.items():
        versions[name] = problems_version(load_problems(name, settings, study().base_dir))
    return dg.DataVersionsByPartition(versions)
