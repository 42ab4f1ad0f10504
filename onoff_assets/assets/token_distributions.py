"""`token_distributions`: what the model could have said at every token, and how unsure it was."""

import dagster as dg

from onoff_assets.assets.samples import samples
from onoff_assets.assets.settings import distribution_settings
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import present, rounded, run, table_metadata
from onoff_core.grid.fingerprints import CODE_VERSIONS


@dg.asset(
    partitions_def=grid_partitions,
    deps=[samples, distribution_settings],
    group_name="grid",
    kinds={"parquet", "pytorch"},
    code_version=CODE_VERSIONS["token_distributions"],
    pool="gpu",
)
def token_distributions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Per token: entropy over the whole vocabulary, log-probability, rank, top-k and the mass outside it."""
    import pyarrow.compute as pc

    from onoff_core.grid.materialize import materialize_token_distributions

    made = run(context, materialize_token_distributions)
    total = sum(pc.sum(table["entropy"]).as_py() or 0.0 for table in made.generation.tables(["entropy"]))
    facts = made.manifest.facts
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.manifest.fingerprint),
        metadata={
            **table_metadata(made),
            **present(
                {
                    "mean_entropy (nats)": rounded(total / made.manifest.num_rows) if made.manifest.num_rows else None,
                    "vocab_size": facts["vocab_size"],
                    "tokens_per_second": rounded(facts["tokens_per_second"], 1),
                    "seconds": rounded(facts["seconds"], 1),
                }
            ),
        },
    )
