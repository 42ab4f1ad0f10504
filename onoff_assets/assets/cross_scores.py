"""`cross_scores`: a model's texts by other models."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from onoff_assets.execution import is_alone, partition_of, run
from onoff_assets.metadata import asset_metadata, ends, markdown_table, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid.fingerprints import CODE_VERSIONS

if TYPE_CHECKING:
    from onoff_core.grid.cross_scores import CrossMade


def build_cross_scores(
    grid: Grid, samples: dg.AssetsDefinition, token_distributions: dg.AssetsDefinition, cross_settings: dg.SourceAsset
) -> dg.AssetsDefinition:
    bounds = any(partition.cross.divergence == "bounds" for partition in grid.study.partitions.values())

    @dg.asset(
        partitions_def=grid.partitions,
        deps=[samples, cross_settings, *([token_distributions] if bounds else [])],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "pytorch"},
        code_version=CODE_VERSIONS["cross_scores"],
        pool="gpu",
        output_required=False,  # of the partitions whose models name references, and of no others
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def cross_scores(context: dg.AssetExecutionContext, config: RunOptions) -> Iterator[dg.MaterializeResult]:
        """Per token and reference: its log-probability, rank and entropy of the model's text, and how the two part: KL
        in both directions and JS over the whole vocabulary; where onoff.yaml names references.
        """
        from onoff_core.grid.cross_scores import CrossMade, materialize_cross_scores

        partition = partition_of(grid.study, context)
        if partition is not None and not partition.references and not is_alone(context):  # else it is told why not
            context.log.info(f"no reference scores the texts of {partition.key}, so there are no cross-scores to make")
            return
        made = run(grid.study, context, materialize_cross_scores, config)
        assert isinstance(made, CrossMade)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(made.version),
            metadata={
                **asset_metadata(grid.study, context, made, _numbers(grid, made)),
                "dagster/row_count": sum(one.manifest.num_rows for one in made.by_reference.values()),
            },
        )

    return cross_scores


def _numbers(grid: Grid, made: "CrossMade") -> dict[str, Any]:
    """Of every reference; a number of its own where there is one."""
    from onoff_assets.execution import open_store

    rows, others = list[list[object]](), list[list[object]]()
    mean_kls = list[float | None]()
    seconds, tokens = 0.0, 0
    for name, one in made.by_reference.items():
        facts, store = one.manifest.facts, open_store(grid.study)
        seconds, tokens = seconds + facts["seconds"], tokens + facts["tokens"]
        for row in store.require("cross_statistics", one.generation.partition).read().to_pylist():
            kl, js = (ends((row[f"{name}_low"], row[f"{name}_high"])) for name in ("kl", "js"))
            mean_kls.append(row["mean_kl"])
            of = [name, row["text"], row["level"]]
            rows.append([*of, row["num_responses"], row["mean_kl"], kl, row["mean_reverse_kl"], row["mean_js"], js])
            shares = (row["top_entropy_overlap"], row["effective_sample_size"], row["reference_perplexity"])
            others.append([*of, row["k1"], row["k3"], *shares])
    # Two tables: the UI cuts off what is wide. In the first one p is the model and q the reference.
    header = ["reference", "text", "level", "texts", "KL(p‖q)", "95 %", "KL(q‖p)", "JS", "95 %"]
    more = ["K1", "K3", "top entropies that coincide", "effective sample size", "perplexity under it"]
    return {
        "KL to the reference (nats a token)": rounded(mean_kls[0]) if len(mean_kls) == 1 else None,
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "divergences (nats a token)": markdown_table(header, rows),
        "other measures": markdown_table(["reference", "text", "level", *more], others),
    }
