"""`leaderboard`: every partition's statistics side by side."""

import dagster as dg

from onoff_assets.assets.statistics import statistics
from onoff_assets.following import follows_any_partition
from onoff_assets.running import markdown_table, open_store
from onoff_core.grid.fingerprints import CODE_VERSIONS


@dg.asset(
    deps=[dg.AssetDep(statistics, partition_mapping=dg.AllPartitionMapping())],
    group_name="grid",
    kinds={"duckdb"},
    code_version=CODE_VERSIONS["leaderboard"],
    automation_condition=follows_any_partition,
    required_resource_keys={"input_versions"},
)
def leaderboard(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Every partition's statistics side by side, the best accuracy of each data set first, and its models in pairs."""
    from onoff_core.grid.leaderboard import comparisons, leaderboard_rows, leaderboard_version
    from onoff_core.store import current_generations, publish_catalog

    store = open_store()
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
