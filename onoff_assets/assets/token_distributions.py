"""`token_distributions`: what the model could have said at every token, and how unsure it was."""

import dagster as dg

from onoff_assets.execution import run
from onoff_assets.metadata import asset_metadata, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid.fingerprints import CODE_VERSIONS
from onoff_core.thinking_tables import drawn_tokens


def build_token_distributions(
    grid: Grid, samples: dg.AssetsDefinition, distribution_settings: dg.SourceAsset
) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=grid.partitions,
        deps=[samples, distribution_settings],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "pytorch"},
        code_version=CODE_VERSIONS["token_distributions"],
        pool="gpu",
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def token_distributions(context: dg.AssetExecutionContext, config: RunOptions) -> dg.MaterializeResult:
        """Per token: entropy over the whole vocabulary, log-probability, rank, top-k and the mass outside it."""
        from onoff_assets.plots import EntropyByPosition, entropy_plot
        from onoff_core.grid.materialize import materialize_token_distributions
        from onoff_core.store.provenance import ScoresProvenance

        made = run(grid.study, context, materialize_token_distributions, config)
        entropy = EntropyByPosition()
        for table in map(drawn_tokens, made.generation.tables(["position", "entropy", "forced"])):
            entropy.add(table["position"].to_numpy(), table["entropy"].to_numpy())
        how = ScoresProvenance.of(made.manifest)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata=asset_metadata(
                grid.study,
                context,
                made,
                {
                    "mean entropy (nats)": rounded(entropy.mean),
                    "entropy by position": entropy_plot(entropy),
                    "tokens per second": rounded(how.tokens_per_second, 1),
                    "seconds": rounded(how.seconds, 1),
                    "vocabulary size": how.vocab_size,
                },
            ),
        )

    return token_distributions
