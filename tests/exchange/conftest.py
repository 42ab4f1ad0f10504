"""A finished partition over the small model."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import Store
from onoff_core.study import Partition, Study, load_study
from tests.conftest import MakeProject


def quiet(line: str) -> None:
    """A log nobody reads."""


@dataclass(frozen=True)
class Finished:
    """A project and its one partition, with all four assets made."""

    folder: Path
    study: Study
    partition: Partition
    store: Store

    @property
    def key(self) -> tuple[str, str]:
        return self.partition.dataset, self.partition.model


def finish(folder: Path) -> Finished:
    """Make all assets of the one partition of a project."""
    study = load_study(folder / "onoff.yaml")
    (partition,) = study.partitions.values()
    store = Store(study.store_path)
    for materialize in (
        materialize_samples,
        materialize_rewards,
        materialize_statistics,
        materialize_token_distributions,
    ):
        materialize(partition, store, quiet)
    return Finished(folder, study, partition, store)


@pytest.fixture
def finished(make_project: MakeProject) -> Finished:
    return finish(make_project())


@pytest.fixture
def finished_whole_vocabulary(make_project: MakeProject) -> Finished:
    return finish(make_project(distribution={"top_k": None, "use_logits": True}))
