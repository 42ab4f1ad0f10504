"""`statistics`: the numbers of a partition that can be published."""

from typing import Any

import dagster as dg

from onoff_assets.automation_conditions import follows_its_inputs
from onoff_assets.execution import run
from onoff_assets.metadata import asset_metadata, ends, markdown_table, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid import fingerprints
from onoff_core.grid.fingerprints import CODE_VERSIONS


def build_statistics(
    grid: Grid, rewards: dg.AssetsDefinition, reward_settings: dg.SourceAsset, statistics_settings: dg.SourceAsset
) -> dg.AssetsDefinition:
    # Dagster calls stale what has got another dependency. So there is one on settings only where something is set:
    # statistics by the default settings stay fresh, and setting something or taking it back makes them stale.
    something_set = any(fingerprints.statistics_settings(partition) for partition in grid.study.partitions.values())

    @dg.asset(
        partitions_def=grid.partitions,
        deps=[rewards, reward_settings, *([statistics_settings] if something_set else [])],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "python"},
        code_version=CODE_VERSIONS["statistics"],
        automation_condition=follows_its_inputs(grid.study),
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def statistics(context: dg.AssetExecutionContext, config: RunOptions) -> dg.MaterializeResult:
        """One row: accuracy, pass@k and maj@k with intervals and bounds, lengths, shares; and a row per problem."""
        from onoff_core.grid.materialize import materialize_statistics

        made = run(grid.study, context, materialize_statistics, config)
        row = made.generation.read().to_pylist()[0]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata=asset_metadata(
                grid.study,
                context,
                made,
                {
                    "accuracy": rounded(row["accuracy"]),
                    "95 %, other problems like these": ends((row["interval_low"], row["interval_high"])),
                    "95 %, these problems drawn again": ends((row["same_problems_low"], row["same_problems_high"])),
                    "accuracy, bounds": ends((row["accuracy_lowest"], row["accuracy_highest"])),
                    "pass@k": _estimates("pass@k", row["pass_at_k"], row["pass_at_k_intervals"]),
                    "maj@k": _estimates("maj@k", row["maj_at_k"], row["maj_at_k_intervals"]),
                    "standard error": rounded(row["standard_error"]),
                    "mean tokens": rounded(row["mean_num_tokens"], 1),
                    "truncated share": rounded(row["truncated_share"]),
                    "unanswered share": rounded(row["unanswered_share"]),
                    "mean tokens of thinking": rounded(row["mean_thinking_tokens"], 1),
                    "mean tokens of the answer": rounded(row["mean_answer_tokens"], 1),
                    "truncated in thinking share": rounded(row["truncated_in_thinking_share"]),
                    "cut share": rounded(row["cut_share"]),
                },
            ),
        )

    return statistics


def _estimates(name: str, estimates: list[dict[str, Any]], intervals: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """A table over k; where there is no number, it gives the reason."""
    rows = []
    for estimate, of in zip(estimates, intervals, strict=True):
        both = (
            ends((of[f"{question}_low"], of[f"{question}_high"])) for question in ("other_problems", "same_problems")
        )
        rows.append([estimate["k"], estimate["estimate"], *both, estimate["reason"]])
    return markdown_table(["k", name, "95 %, other problems", "95 %, these drawn again", "why not"], rows)
