"""Count the bytes that a store takes on its disk."""

from collections.abc import Iterator
from dataclasses import dataclass

from onoff_core.store.store import Store
from onoff_core.store.upkeep import num_bytes
from onoff_core.tables import SCHEMAS


@dataclass(frozen=True)
class Usage:
    """Bytes of a partition's generations of one asset."""

    asset: str
    partition: tuple[str, ...]
    current: int
    former: int  # of former and unfinished ones


def usage(store: Store) -> Iterator[Usage]:
    """The usage of every asset and partition with results. Catalog, locks and scratch files are not counted."""
    for asset in SCHEMAS:
        for partition in store.partitions(asset):
            order = store.order(asset, partition)
            current = former = 0
            for generation in store.generations(asset, partition):
                size = num_bytes(store, generation)
                if order[:1] == [generation.fingerprint]:
                    current += size
                else:
                    former += size
            yield Usage(asset, partition, current, former)
