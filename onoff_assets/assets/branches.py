"""`branches`: what would have come of other tokens."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from onoff_assets.execution import is_alone, partition_of, rows_beside, run
from onoff_assets.metadata import asset_metadata, markdown_table, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid.fingerprints import CODE_VERSIONS

_SHOWN = 10  # positions where a response was lost


def build_branches(
    grid: Grid,
    rewards: dg.AssetsDefinition,
    token_distributions: dg.AssetsDefinition,
    branch_settings: dg.SourceAsset,
) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=grid.partitions,
        deps=[rewards, token_distributions, branch_settings],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "huggingface"},
        code_version=CODE_VERSIONS["branches"],
        pool="gpu",
        output_required=False,  # of partitions that ask for none
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def branches(context: dg.AssetExecutionContext, config: RunOptions) -> Iterator[dg.MaterializeResult]:
        """Tokens taken at positions of responses, gone on from and graded: the value of each; where onoff.yaml has the
        section `branches`.
        """
        from onoff_core.grid.branches import materialize_branches

        partition = partition_of(grid.study, context)
        if partition is not None and partition.branches is None and not is_alone(context):  # else it is told why not
            context.log.info(f"the settings ask for no branches of {partition.key}, so there are none to make")
            return
        made = run(grid.study, context, materialize_branches, config)
        facts, positions = made.manifest.facts, rows_beside(grid.study, made, "branch_positions")
        problems = rows_beside(grid.study, made, "branch_problems")
        lost = [row for row in positions if row["is_lost_here"]]
        aurocs = [row["auroc"] for row in problems if row["auroc"] is not None]
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata=asset_metadata(
                grid.study,
                context,
                made,
                {
                    "responses lost at one token": len(lost),
                    "positions": len(positions),
                    "mean AUROC of entropy for drops": rounded(sum(aurocs) / len(aurocs)) if aurocs else None,
                    "where responses were lost": _table(lost),
                    "tokens": facts["tokens"],
                    "tokens expected": facts["expected_tokens"],
                    "branches left out by max_tokens": facts["left_out_branches"],
                    "tokens per second": rounded(facts["tokens_per_second"], 1),
                    "seconds": rounded(facts["seconds"], 1),
                },
            ),
        )

    return branches


def _table(lost: list[dict[str, Any]]) -> dg.MarkdownMetadataValue | None:
    if not lost:
        return None
    return markdown_table(
        ["problem", "sample", "position", "drop", "entropy"],
        [
            [row["problem_id"], row["sample_index"], row["position"], row["drop"], row["entropy"]]
            for row in sorted(lost, key=lambda row: -row["drop"])[:_SHOWN]
        ],
    )
