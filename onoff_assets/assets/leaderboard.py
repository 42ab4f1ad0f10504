"""`leaderboard`: every partition's statistics side by side."""

from typing import TYPE_CHECKING

import dagster as dg

from onoff_assets import metadata
from onoff_assets.automation_conditions import follows_any_partition
from onoff_assets.execution import open_store
from onoff_assets.partitions import GROUP, Grid
from onoff_core.grid.fingerprints import CODE_VERSIONS

if TYPE_CHECKING:
    from onoff_core.grid.leaderboard import Row

_OTHER_PROBLEMS, _SAME_PROBLEMS = "95 %, other problems like these", "95 %, these problems drawn again"


def build_leaderboard(grid: Grid, statistics: dg.AssetsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        deps=[dg.AssetDep(statistics, partition_mapping=dg.AllPartitionMapping())],
        group_name=GROUP,
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
    from onoff_core.grid.leaderboard import comparisons, grading_versions, leaderboard_rows, leaderboard_version
    from onoff_core.store import current_generations, publish_catalog

    store = open_store(grid.study)
    # The version is taken first: if statistics change from here on, the leaderboard is behind, and is made once more.
    version = leaderboard_version(current_generations(store))
    publish_catalog(store)
    rows, versions = leaderboard_rows(store), grading_versions(store)
    pairs: list[list[object]] = [
        [
            *(pair.dataset, pair.first, pair.second, pair.paired.difference),
            *(metadata.ends(pair.paired.interval), metadata.ends(pair.same_problems)),
            *(pair.holm_p_value, pair.num_compared, pair.paired.num_problems),
        ]
        for pair in comparisons(store)
    ]
    second = any(row.disagreement[0] is not None for row in rows)
    lines: list[list[object]] = [
        [
            *(
                row.dataset,
                row.model,
                row.accuracy,
                metadata.ends(row.other_problems),
                metadata.ends(row.same_problems),
            ),
            *(metadata.ends(row.bounds), row.num_samples, row.mean_num_tokens, row.stale_because),
            *([_differing(row)] if second else []),
        ]
        for row in rows
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": len(rows),
            "graded with": (" and ".join(versions) if len(versions) < 2 else f"NOT ALIKE: {'; '.join(versions)}")
            or "nothing",
            "paired differences": metadata.markdown_table(
                [
                    *("data set", "model", "minus", "difference", _OTHER_PROBLEMS, _SAME_PROBLEMS),
                    *("p, corrected (Holm)", "pairs compared", "problems"),
                ],
                pairs,
            ),
            "leaderboard": metadata.markdown_table(
                [
                    *("data set", "model", "accuracy", _OTHER_PROBLEMS, _SAME_PROBLEMS),
                    *("whatever has no verdict", "responses", "mean tokens", "stale"),
                    *(["second opinion differs, 95 %"] if second else []),
                ],
                lines,
            ),
        },
    )


def _differing(row: "Row") -> str | None:
    share, *interval = row.disagreement
    return None if share is None else f"{share:.3f}, {metadata.ends((interval[0], interval[1]))}"
