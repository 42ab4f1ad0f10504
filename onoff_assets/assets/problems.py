"""`problems`: the questions of a data set. Observed, not materialized: its version is the hash of its content."""

import dagster as dg

from onoff_assets.execution import open_store
from onoff_assets.partitions import GROUP, Grid
from onoff_core.errors import OnoffError
from onoff_core.grid.fingerprints import CODE_VERSIONS


def build_problems(grid: Grid) -> dg.SourceAsset:
    @dg.observable_source_asset(
        partitions_def=grid.datasets,
        group_name=GROUP,
        description="The normalised problems of a data set: question, gold answer, solution; "
        "versioned by their content.",
        metadata={"code_version": CODE_VERSIONS["problems"]},
        tags={"dagster/kind/huggingface": ""},
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def problems(context: dg.OpExecutionContext) -> dg.DataVersionsByPartition:
        from onoff_core.grid.problem_versions import current_problems_version

        study, store, versions = grid.study, open_store(grid.study), {}
        for name, settings in study.datasets.items():
            try:
                versions[name] = current_problems_version(name, settings, study.base_dir, store, fresh=True)
            except OnoffError as error:  # a data set that cannot be read holds up no other
                context.log.warning(f"problems of {name}: {error}")
        return dg.DataVersionsByPartition(versions)

    return problems
