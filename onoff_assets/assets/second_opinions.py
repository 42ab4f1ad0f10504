"""`second_opinions`: the verdicts looked at once more, by rules or by a judge model."""

from collections.abc import Iterator

import dagster as dg

from onoff_assets.execution import partition_of, run
from onoff_assets.metadata import asset_metadata, ends, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import RunOptions
from onoff_core.grid.fingerprints import CODE_VERSIONS


def build_second_opinions(
    grid: Grid, rewards: dg.AssetsDefinition, reward_settings: dg.SourceAsset, settings: dg.SourceAsset
) -> dg.AssetsDefinition:
    loads_a_model = any(partition.judge is not None for partition in grid.study.partitions.values())

    @dg.asset(
        partitions_def=grid.partitions,
        deps=[rewards, reward_settings, settings],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "python"},
        code_version=CODE_VERSIONS["second_opinions"],
        pool="gpu" if loads_a_model else None,
        output_required=False,  # of partitions that ask for none
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def second_opinions(context: dg.AssetExecutionContext, config: RunOptions) -> Iterator[dg.MaterializeResult]:
        """Each verdict beside a second one: by rules or by a judge model. Only `reward` counts. On request:
        `task.second_opinion`.
        """
        from onoff_core.grid.second_opinions import (
            materialize_second_opinions,
            none_asked_for,
            second_opinion_rates,
        )

        partition = partition_of(grid.study, context)
        if partition is not None and partition.task.second_opinion is None:
            context.log.info(none_asked_for(partition))
            return
        made = run(grid.study, context, materialize_second_opinions, config)
        rates = second_opinion_rates(made.generation)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata=asset_metadata(
                grid.study,
                context,
                made,
                {
                    "disagreement share": rounded(rates["disagreement_share"]),
                    "95 %, other problems like these": ends((rates["disagreement_low"], rates["disagreement_high"])),
                    **{
                        name.removeprefix("num_").replace("_", " "): value
                        for name, value in rates.items()
                        if name.startswith("num_")
                    },
                },
            ),
        )

    return second_opinions
