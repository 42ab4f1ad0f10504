"""Which assets a partition asks for: those of every partition, and optional ones where its settings ask for them.

An asset that is not asked for is neither missing nor stale, and no schedule makes it.
"""

from collections.abc import Iterable

from onoff_core.grid.fingerprints import optional_settings
from onoff_core.study import Partition
from onoff_core.tables import GRID_ASSETS, OPTIONAL


def asked_assets(partition: Partition) -> tuple[str, ...]:
    """The names of the assets that the partition asks for, in the order in which they are made."""
    asked = optional_settings(partition)
    return (*GRID_ASSETS, *(asset for asset in OPTIONAL if asset in asked))


def asked_of_any(partitions: Iterable[Partition]) -> tuple[str, ...]:
    """The names of the assets that at least one of the partitions asks for."""
    asked = {name for partition in partitions for name in optional_settings(partition)}
    return (*GRID_ASSETS, *(asset for asset in OPTIONAL if asset in asked))
