"""Which assets a partition asks for: those of every partition, and those whose section of the settings is set.

An asset that is not asked for is neither missing nor stale, and no schedule makes it.
"""

from collections.abc import Callable, Iterable

from onoff_core.study import Partition
from onoff_core.tables import ASSETS, EXTRA_ASSETS

_ASKS: dict[str, Callable[[Partition], bool]] = {
    "branches": lambda partition: partition.branches is not None,
}
assert set(_ASKS) == set(EXTRA_ASSETS)


def asked_assets(partition: Partition) -> tuple[str, ...]:
    """The names of the assets that the partition asks for, in the order in which they are made."""
    return tuple(asset.name for asset in ASSETS if asset.section is None or _ASKS[asset.name](partition))


def asked_of_any(partitions: Iterable[Partition]) -> tuple[str, ...]:
    """The names of the assets that at least one of the partitions asks for."""
    asked = {name for partition in partitions for name in asked_assets(partition)}
    return tuple(asset.name for asset in ASSETS if asset.section is None or asset.name in asked)
