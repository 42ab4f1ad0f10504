"""`problems`: the questions of a data set. Observed, not materialized: its version is the hash of its content."""

import dagster as dg

from onoff_assets.execution import open_store
from onoff_assets.metadata import markdown_table
from onoff_assets.partitions import GROUP, Grid
from onoff_core.errors import OnoffError
from onoff_core.grid.fingerprints import CODE_VERSIONS


def build_problems(grid: Grid) -> dg.SourceAsset:
    @dg.observable_source_asset(
        partitions_def=grid.datasets,
        group_name=GROUP,
        description="The normalised problems of a data set: question, gold answer, solution; "
        "versioned by their content.",
        metadata={"data sets": _data_sets(grid), "code version": CODE_VERSIONS["problems"]},
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


def _data_sets(grid: Grid) -> dg.MarkdownMetadataValue:
    """What `onoff check` says of them; none is read."""
    from onoff_core.problems.loading import problems_source

    rows: list[list[object]] = []
    for name, settings in grid.study.datasets.items():
        try:
            source = problems_source(name, settings, grid.study.base_dir)
        except OnoffError:
            source = "cannot be found, see `onoff check`"
        rows.append([name, settings.split, settings.num_examples or "all", source])
    return markdown_table(["data set", "split", "problems", "from"], rows)
