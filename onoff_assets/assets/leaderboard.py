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
_PAIRED = [
    *("data set", "model", "minus", "difference", _OTHER_PROBLEMS, _SAME_PROBLEMS),
    *("p, corrected (Holm)", "pairs compared", "problems"),
]
_COLUMNS = [
    *("data set", "model", "accuracy", _OTHER_PROBLEMS, "stale", "responses", "mean tokens", _SAME_PROBLEMS),
    *("accuracy, bounds", "second opinion differs, 95 %"),
]
_PAGES = {"grid": "", "comparisons": "compare"}  # of the browser


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
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/row_count": len(rows),
            "look at it": metadata.links(
                {title: metadata.browser_page(grid.study, page) for title, page in _PAGES.items()}
            ),
            **({"leaderboard": metadata.markdown_table(_COLUMNS, [_line(row) for row in rows])} if rows else {}),
            **({"paired differences": metadata.markdown_table(_PAIRED, pairs)} if pairs else {}),
            **({"graded with": _alike(versions)} if versions else {}),
        },
    )


def _line(row: "Row") -> list[object]:
    """A line of the table; what the UI may cut off stands last."""
    return [
        *(row.dataset, row.model, row.accuracy, metadata.ends(row.other_problems), row.stale_because),
        *(row.num_samples, row.mean_num_tokens, metadata.ends(row.same_problems), metadata.ends(row.bounds)),
        _differing(row),
    ]


def _alike(versions: list[str]) -> str:
    return versions[0] if len(versions) == 1 else f"NOT ALIKE: {'; '.join(versions)}"


def _differing(row: "Row") -> str | None:
    share, *interval = row.disagreement
    return None if share is None else f"{share:.3f} {metadata.ends((interval[0], interval[1])) or ''}".rstrip()
