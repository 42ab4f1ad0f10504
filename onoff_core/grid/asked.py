"""Which assets a partition asks for: those of every partition, and optional ones where its settings ask for them.

An asset that is not asked for is neither missing nor stale, and no schedule makes it.
"""

from collections.abc import Iterable

from onoff_core.study import Partition
from onoff_core.tables import GRID_ASSETS, OPTIONAL


def asked_optional(partition: Partition) -> frozenset[str]:
    """The names of the optional assets that the partition's settings ask for; no model is looked at for it."""
    asked = {
        "cross_scores": bool(partition.references),
        "branches": partition.branches is not None,
        "second_opinions": partition.task.second_opinion is not None,
        "confidence": partition.confidence is not None,
    }
    return frozenset(name for name, is_asked in asked.items() if is_asked)


def asked_assets(partition: Partition) -> tuple[str, ...]:
    """The names of the assets that the partition asks for, in the order in which they are made."""
    asked = asked_optional(partition)
    return (*GRID_ASSETS, *(asset for asset in OPTIONAL if asset in asked))


def asked_of_any(partitions: Iterable[Partition]) -> tuple[str, ...]:
    """The names of the assets that at least one of the partitions asks for."""
    asked = {name for partition in partitions for name in asked_optional(partition)}
    return (*GRID_ASSETS, *(asset for asset in OPTIONAL if asset in asked))
