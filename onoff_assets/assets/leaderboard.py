"""`leaderboard`: every partition's statistics side by side."""

import dagster as dg

from onoff_assets.automation_conditions import follows_any_partition
from onoff_assets.execution import open_store
from onoff_assets.metadata import markdown_table
from onoff_assets.partitions import Grid
from onoff_core.grid.fingerprints import CODE_VERSIONS


def build_leaderboard(grid: Grid, statistics: dg.AssetsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        deps=[dg.AssetDep(statistics, partition_mapping=dg.AllPartitionMapping())],
        group_name="grid",
        owners=list(grid.study.automation.owners),
        config_schema={},  # none: what is given all the same is an error
        kinds={"duckdb"},
        code_version=CODE_VERSIONS["leaderboard"],
        automation_condition=follows_any_partition(grid.study),
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def leaderboard(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Every partition's statistics side by side, the best of each data set first, and its models in pairs."""
        return _make(grid)

    return leaderboard


def _make(grid: Grid) -> dg.MaterializeResult:
    from onoff_core.grid.leaderboard import comparisons, leaderboard_rows, leaderboard_version
    from onoff_core.store import current_generations, publish_catalog

    store = open_store(grid.study)
    # The version first: what changes from here on may be in the rows already, and the leaderboard is made once more.
    version = leaderboard_version(current_generations(store))
    publish_catalog(store)
    rows = leaderboard_rows(store)
    pairs = [
        [c.dataset, c.first, c.second, c.paired.difference, *(c.paired.interval or (None, None)), c.paired.num_problems]
        for c in comparisons(store)
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": len(rows),
            "paired differences": markdown_table(
                ["data set", "model", "minus", "difference", "95 % low", "95 % high", "problems"], pairs
            ),
            "leaderboard": markdown_table(
                ["data set", "model", "accuracy", "95 % low", "95 % high", "responses", "mean tokens"],
                [list(row) for row in rows],
            ),
        },
    )
