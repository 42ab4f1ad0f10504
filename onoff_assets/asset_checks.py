"""Asset checks from `onoff_core.checks`: those of one asset run in one step, on tables that are read once."""

from collections.abc import Callable, Iterable

import dagster as dg

from onoff_assets.partitions import Grid
from onoff_core.checks import CHECKS, Check, Found


def build_checks(
    grid: Grid, asset: dg.AssetsDefinition, find: Callable[[tuple[str, str]], Found]
) -> dg.AssetChecksDefinition:
    """The checks of an asset; `find` looks for the evidence on a partition, (dataset, model)."""
    name = asset.key.to_user_string()
    checks = CHECKS[name]

    @dg.multi_asset_check(
        name=f"{name}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=asset.key,
                description=check.description,
                blocking=check.consequence == "blocks",
                partitions_def=grid.partitions,
            )
            for check in checks
        ],
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
        config_schema={},  # none: what is given all the same is an error
    )
    def run_checks(context: dg.AssetCheckExecutionContext) -> Iterable[dg.AssetCheckResult]:
        partition = grid.study.partition(str(context.partition_key))
        evidence = find((partition.dataset, partition.model))
        for check in checks:
            yield _result(asset.key, check, evidence, partition.key)

    return run_checks


def _result(asset: dg.AssetKey, check: Check, evidence: Found, key: str) -> dg.AssetCheckResult:
    found, severity = evidence[check.name], dg.AssetCheckSeverity
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=found.holds,
        severity=severity.WARN if check.consequence == "warns" else severity.ERROR,
        description=f"{key}: {found.says}",
        metadata=dict(found.facts),
    )
