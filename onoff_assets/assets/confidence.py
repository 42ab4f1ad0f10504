"""`confidence`: how sure the model was of each response, and what comes of choosing answers by it."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from onoff_assets.execution import partition_of, rows_beside, run
from onoff_assets.metadata import asset_metadata, ends, markdown_table, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid.fingerprints import CODE_VERSIONS
from onoff_core.store.provenance import confidence_windows


def build_confidence(
    grid: Grid,
    rewards: dg.AssetsDefinition,
    token_distributions: dg.AssetsDefinition,
    confidence_settings: dg.SourceAsset,
) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=grid.partitions,
        deps=[rewards, token_distributions, confidence_settings],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "python"},
        code_version=CODE_VERSIONS["confidence"],
        output_required=False,  # of partitions that ask for none
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def confidence(context: dg.AssetExecutionContext, config: RunOptions) -> Iterator[dg.MaterializeResult]:
        """How sure the model was of each response: mean and lowest confidence, entropy, self-certainty; how well that
        tells right from wrong, and votes by it. Where onoff.yaml has the section `confidence`; no model is loaded.
        """
        from onoff_core.grid.confidence import materialize_confidence, none_asked_for

        partition = partition_of(grid.study, context)
        if partition is not None and partition.confidence is None:
            context.log.info(none_asked_for(partition))
            return
        made = run(grid.study, context, materialize_confidence, config)
        statistics = rows_beside(grid.study, made, "confidence_statistics")
        voting = rows_beside(grid.study, made, "confidence_voting")
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata=asset_metadata(
                grid.study,
                context,
                made,
                {
                    **_best(statistics),
                    "right from wrong": markdown_table(
                        ["measure", "AUROC", "95 %", "within problems", "95 %", "calibration error"],
                        [
                            [
                                *(row["measure"], row["auroc"], ends((row["auroc_low"], row["auroc_high"]))),
                                *(row["within_auroc"], ends((row["within_auroc_low"], row["within_auroc_high"]))),
                                row["calibration_error"],
                            ]
                            for row in statistics
                        ],
                    ),
                    "answers chosen, at the largest k": markdown_table(
                        ["rule", "measure", "k", "accuracy", "minus majority", "95 %"], _at_largest_k(voting)
                    ),
                    **{name.replace("_", " "): size for name, size in confidence_windows(made.manifest).items()},
                },
            ),
        )

    return confidence


def _best(statistics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The measure that tells right from wrong best; nothing where no measure has an AUROC."""
    there = [row for row in statistics if row["auroc"] is not None]
    if not there:
        return {}
    best = max(there, key=lambda row: float(row["auroc"]))
    interval = ends((best["auroc_low"], best["auroc_high"]))
    return {"best AUROC": rounded(best["auroc"]), "best AUROC, 95 %": interval, "best AUROC, of": best["measure"]}


def _at_largest_k(voting: Sequence[dict[str, Any]]) -> list[list[object]]:
    there = [row for row in voting if row["accuracy"] is not None]
    largest = max((row["k"] for row in there), default=0)
    return [
        [
            *(row["rule"], row["measure"], row["k"], row["accuracy"], row["difference"]),
            ends((row["difference_low"], row["difference_high"])),
        ]
        for row in there
        if row["k"] == largest
    ]
