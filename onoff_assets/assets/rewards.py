"""`rewards`: whether each response is right."""

from collections import Counter

import dagster as dg

from onoff_assets.automation_conditions import follows_its_inputs
from onoff_assets.execution import run
from onoff_assets.metadata import asset_metadata, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid.fingerprints import CODE_VERSIONS


def build_rewards(grid: Grid, samples: dg.AssetsDefinition, reward_settings: dg.SourceAsset) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=grid.partitions,
        deps=[samples, reward_settings],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "python"},
        code_version=CODE_VERSIONS["rewards"],
        automation_condition=follows_its_inputs(grid.study),
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def rewards(context: dg.AssetExecutionContext, config: RunOptions) -> dg.MaterializeResult:
        """One verdict per response: reward 0 or 1, the extracted answer, and the status the verdict rests on."""
        from onoff_core.grid.materialize import materialize_rewards

        made = run(grid.study, context, materialize_rewards, config)
        table = made.generation.read()
        statuses = Counter(table["status"].to_pylist())
        graded = [reward for reward in table["reward"].to_pylist() if reward is not None]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata=asset_metadata(
                grid.study,
                context,
                made,
                {
                    "mean reward": rounded(sum(graded) / len(graded)) if graded else None,
                    **{name.replace("_", " "): statuses[name] for name in sorted(statuses)},
                },
            ),
        )

    return rewards
