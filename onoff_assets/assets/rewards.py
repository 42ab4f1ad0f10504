"""`rewards`: whether each response is right."""

from collections import Counter

import dagster as dg

from onoff_assets.automation_conditions import follows_its_inputs
from onoff_assets.execution import run
from onoff_assets.metadata import table_metadata
from onoff_assets.partitions import Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid.fingerprints import CODE_VERSIONS


def build_rewards(grid: Grid, samples: dg.AssetsDefinition, reward_settings: dg.SourceAsset) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=grid.partitions,
        deps=[samples, reward_settings],
        group_name="grid",
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
        statuses = Counter(made.generation.read()["status"].to_pylist())
        return dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata={
                **table_metadata(grid.study, context, made),
                **{f"status {name}": count for name, count in sorted(statuses.items())},
            },
        )

    return rewards
