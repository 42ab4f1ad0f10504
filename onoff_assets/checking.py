"""Asset checks from evidence: the checks of one asset run in one step, on tables that are read once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from onoff_assets.partitions import grid_partitions
from onoff_assets.running import open_store
from onoff_assets.study import study
from onoff_core.study import Partition

if TYPE_CHECKING:
    from onoff_core.grid.evidence import Evidence
    from onoff_core.store import Store

FindEvidence = Callable[[Partition, "Store"], "Mapping[str, Evidence]"]


@dataclass(frozen=True)
class Invariant:
    """A check: its name, what it means, and what follows if it does not hold."""

    name: str
    description: str
    blocking: bool = False  # what is made from the asset would be wrong, so it is not made
    warning: bool = False


def checks_of(
    asset: dg.AssetsDefinition, invariants: Iterable[Invariant]
) -> Callable[[FindEvidence], dg.AssetChecksDefinition]:
    """Decorate a function that finds the evidence for each of the invariants, by name."""
    by_name = {invariant.name: invariant for invariant in invariants}

    def decorate(find: FindEvidence) -> dg.AssetChecksDefinition:
        @dg.multi_asset_check(
            name=find.__name__,
            specs=[
                dg.AssetCheckSpec(
                    invariant.name,
                    asset=asset.key,
                    description=invariant.description,
                    blocking=invariant.blocking,
                    partitions_def=grid_partitions,
                )
                for invariant in by_name.values()
            ],
            required_resource_keys={"input_versions"},
        )
        def check(context: dg.AssetCheckExecutionContext) -> Iterable[dg.AssetCheckResult]:
            evidence = find(study().partition(str(context.partition_key)), open_store())
            for name, invariant in by_name.items():
                yield dg.AssetCheckResult(
                    asset_key=asset.key,
                    check_name=name,
                    passed=evidence[name].holds,
                    severity=dg.AssetCheckSeverity.WARN if invariant.warning else dg.AssetCheckSeverity.ERROR,
                    description=f"{context.partition_key}: {evidence[name].says}",
                    metadata=dict(evidence[name].facts),
                )

        return check

    return decorate
