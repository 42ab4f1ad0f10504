"""`problems`: what is asked. Observed, not materialized: its version is the hash of its content."""

import dagster as dg

from onoff_assets.partitions import dataset_partitions
from onoff_assets.running import open_store
from onoff_assets.study import study
from onoff_core.errors import OnoffError
from onoff_core.grid.fingerprints import CODE_VERSIONS


@dg.observable_source_asset(
    partitions_def=dataset_partitions,
    group_name="inputs",
    description="The normalised problems of a data set: question, gold answer, solution; versioned by their content.",
    metadata={"code_version": CODE_VERSIONS["problems"]},
    tags={"dagster/kind/huggingface": ""},
    required_resource_keys={"input_versions"},
)
def problems(context: dg.OpExecutionContext) -> dg.DataVersionsByPartition:
    from onoff_core.grid.problem_versions import current_problems_version

    versions = {}
    for name, settings in study().datasets.items():
        try:
            versions[name] = current_problems_version(name, settings, study().base_dir, open_store(), fresh=True)
        except OnoffError as error:  # one that cannot be read holds up no other
            context.log.warning(f"problems of {name}: {error}")
    return dg.DataVersionsByPartition(versions)
