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
from onoff_core.grid.plan_measured import Probe
from onoff_core.store import Store
from onoff_core.study import Partition


def probe(partition: Partition, num_problems: int, folder: Path, say: Callable[[str], None]) -> Probe:
    """Make the partition's usual assets of its first problems, in a store of its own below `folder`.

    Only these problems are fewer; what else the settings say holds, so that speed and length are those of a real run.
    One short response is made before, in another store: what happens once in a process, such as compiling kernels,
    would else be taken for the speed.
    """
    most = partition.dataset_settings.num_examples
    asked = num_problems if most is None else min(num_problems, most)
    short = {
        "num_samples": 1,
        "until": None,
        "thinking_budget": None,
        "max_length": min(8, partition.sampling.max_length),
    }
    first = dataclasses.replace(
        _with_problems(partition, 1), sampling=partition.sampling.model_copy(update=short), references=()
    )
    warm = _make(first, folder / "warm", lambda line: None)
    return Probe(_make(_with_problems(partition, asked), folder / "probe", say), warm)


def _with_problems(partition: Partition, count: int) -> Partition:
    settings = partition.dataset_settings.model_copy(update={"num_examples": count})
    return dataclasses.replace(partition, dataset_settings=settings)


def _make(partition: Partition, folder: Path, say: Callable[[str], None]) -> Store:
    store = Store(str(folder / partition.dataset / partition.model))
    for make in (
        materialize_samples,
        materialize_rewards,
        materialize_statistics,
        materialize_token_distributions,
    ):
        make(partition, store, say)
    return store
