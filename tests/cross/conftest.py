"""A project of small random models that score each other's texts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onoff_core.grid.cross_scores import CrossMade, materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples
from onoff_core.store import Store
from onoff_core.study import Partition, load_study
from tests.conftest import MakeProject, tiny_model, write_study
from tests.tiny import save_tiny_llama

KEY = "arithmetic|tiny"
ALWAYS = {"max_length": 12, "num_samples": 3, "batch_size": 8, "seed": 7}


@pytest.fixture(scope="session")
def other_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three more small models with the first one's tokenizer: a twin, a noised copy, and one unlike it."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("references")
    found = {name: save_tiny_llama(folder / name, seed) for name, seed in (("twin", 0), ("near", 0), ("far", 5))}
    model = AutoModelForCausalLM.from_pretrained(found["near"])
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.01)
    model.save_pretrained(found["near"])
    return found


Make = Callable[..., tuple[Partition, Store]]


@pytest.fixture(scope="session")
def sampled(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the small model's samples; they are drawn once for all tests."""
    folder = tmp_path_factory.mktemp("sampled")
    write_study(folder, tiny_folder, sampling=ALWAYS)
    study = load_study(folder / "onoff.yaml")
    materialize_samples(study.partition(KEY), open_store(study))
    (folder / "store" / "catalog.duckdb").unlink()
    return folder / "store"


@pytest.fixture
def make_cross(
    make_torch_project: MakeProject, tiny_folder: Path, other_folders: dict[str, Path], sampled: Path
) -> Make:
    """A study of the small model with these references, whose samples are there; keywords are sections, `more` are
    models.
    """

    def make(
        references: list[str], sample: bool = True, more: dict[str, Any] | None = None, **sections: Any
    ) -> tuple[Partition, Store]:
        models = {"tiny": {**tiny_model(tiny_folder), "scored_by": references}, **(more or {})}
        models |= {name: tiny_model(folder) for name, folder in other_folders.items()}
        folder = make_torch_project(**{"models": models, "sampling": ALWAYS, **sections})
        if not (folder / "store").exists():
            shutil.copytree(sampled, folder / "store")
        study = load_study()
        partition, store = study.partition(KEY), open_store(study)
        if sample:
            materialize_samples(partition, store)
        return partition, store

    return make


@pytest.fixture
def crossed(make_cross: Make) -> Callable[..., tuple[Partition, Store, CrossMade]]:
    def make(references: list[str], **sections: Any) -> tuple[Partition, Store, CrossMade]:
        partition, store = make_cross(references, **sections)
        return partition, store, materialize_cross_scores(partition, store)

    return make
