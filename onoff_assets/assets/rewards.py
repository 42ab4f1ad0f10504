"""`rewards`: whether each response is right."""

from collections import Counter

import dagster as dg

from onoff_assets.assets.samples import samples
from onoff_assets.assets.settings import reward_settings
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import run, table_metadata
from onoff_core.grid.fingerprints import CODE_VERSIONS


@dg.asset(
    partitions_def=grid_partitions,
    deps=[samples, reward_settings],
    group_name="grid",
    kinds={"parquet", "python"},
    code_version=CODE_VERSIONS["rewards"],
)
def rewards(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """One verdict per response: reward 0 or 1, the extracted answer, and the status the verdict rests on."""
    from onoff_core.grid.materialize import materialize_rewards

    made = run(context, materialize_rewards)
    table = made.generation.read()
    statuses = Counter(table["status"].to_pylist())
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.manifest.fingerprint),
        metadata={**table_metadata(made), **{f"status {name}": count for name, count in sorted(statuses.items())}},
    )
