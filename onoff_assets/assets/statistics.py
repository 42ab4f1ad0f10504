"""`statistics`: what can be published of a partition."""

import dagster as dg

from onoff_assets.assets.rewards import rewards
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import markdown_table, present, rounded, run, table_metadata
from onoff_core.grid.fingerprints import CODE_VERSIONS


@dg.asset(
    partitions_def=grid_partitions,
    deps=[rewards],
    group_name="grid",
    kinds={"parquet", "python"},
    code_version=CODE_VERSIONS["statistics"],
)
def statistics(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """One row: accuracy with its interval, pass@k, maj@k, lengths, truncated and unanswered shares."""
    from onoff_core.grid.materialize import materialize_statistics

    made = run(context, materialize_statistics)
    row = made.generation.read().to_pylist()[0]
    numbers = ("accuracy", "standard_error", "interval_low", "interval_high", "mean_num_tokens", "truncated_share")
    pass_at_k = [[entry["k"], entry["estimate"], entry["reason"]] for entry in row["pass_at_k"]]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.manifest.fingerprint),
        metadata={
            **table_metadata(made),
            **present({name: rounded(row[name]) for name in numbers}),
            "pass@k": markdown_table(["k", "pass@k", "why not"], pass_at_k),
        },
    )
