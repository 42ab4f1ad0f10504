"""A project over the chain, with everything made that branches are made from."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from onoff_core import backends
from onoff_core.grid.branches import materialize_branches
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import (
    Made,
    materialize_rewards,
    materialize_samples,
    materialize_token_distributions,
)
from onoff_core.store import Store
from onoff_core.study import Partition, load_study
from tests.branches import chain
from tests.conftest import tiny_model

KEY = ("chain", "tiny")
BRANCHES = {
    "responses": {"per_problem": 2, "status": "any"},
    "positions": {"how": "at", "at": list(range(chain.STEPS))},
    "alternatives": {"top_k": 2, "min_probability": 0.01},
    "continuations": 4,
}


@dataclass
class Project:
    """A folder with an `onoff.yaml` over the chain."""

    folder: Path

    @property
    def partition(self) -> Partition:
        return load_study(self.folder / "onoff.yaml").partition("|".join(KEY))

    @property
    def store(self) -> Store:
        return open_store(load_study(self.folder / "onoff.yaml"))

    def branch(self, **changes: Any) -> Made:
        """Write the section, and make the branches."""
        self.write(branches={**BRANCHES, **changes})
        return materialize_branches(self.partition, self.store, self.said.append)

    def write(self, **sections: Any) -> None:
        self.said: list[str] = []
        path = self.folder / "onoff.yaml"
        content = {**yaml.safe_load(path.read_text()), **sections}
        path.write_text(yaml.safe_dump(content))

    def rows(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.store.require(table, KEY).read().to_pylist()
        return found


MakeChain = Callable[..., Project]


@pytest.fixture
def make_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeChain:
    """A project over the chain whose samples, rewards and distributions are made."""
    engine = dataclasses.replace(backends._ENGINES["fake"], module="tests.branches.chain")
    monkeypatch.setitem(backends._ENGINES, "fake", engine)
    monkeypatch.chdir(tmp_path)

    def make(problems: int = 2, **sections: Any) -> Project:
        (tmp_path / "chain.jsonl").write_text(
            "".join(json.dumps({"id": f"p{n}", "question": f"{n}?", "answer": "1"}) + "\n" for n in range(problems))
        )
        content = {
            "datasets": {"chain": {"path": "chain.jsonl"}},
            "models": {"tiny": tiny_model(None)},
            "sampling": {"max_length": 40, "num_samples": 6, "batch_size": 8, "seed": 7},
            "distribution": {"top_k": 3},
            "store": {"path": "store"},
            **sections,
        }
        (tmp_path / "onoff.yaml").write_text(yaml.safe_dump(content))
        project = Project(tmp_path)
        project.write()
        for materialize in (materialize_samples, materialize_rewards, materialize_token_distributions):
            materialize(project.partition, project.store, project.said.append)
        chain.drawn.clear()
        return project

    return make
