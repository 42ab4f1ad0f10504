"""Measure a few problems of a partition in a store that is thrown away."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import Store
from onoff_core.study import Partition


def probe(partition: Partition, num_problems: int, folder: Path, say: Callable[[str], None]) -> Store:
    """Make the partition's usual assets of its first problems, in a store of its own below `folder`.

    Only these problems are fewer; what else the settings say holds, so that speed and length are those of a real run.
    """
    most = partition.dataset_settings.num_examples
    asked = num_problems if most is None else min(num_problems, most)
    settings = partition.dataset_settings.model_copy(update={"num_examples": asked})
    small = dataclasses.replace(partition, dataset_settings=settings)
    store = Store(str(folder / "probe" / partition.dataset / partition.model))
    for make in (
        materialize_samples,
        materialize_rewards,
        materialize_statistics,
        materialize_token_distributions,
    ):
        make(small, store, say)
    return store
