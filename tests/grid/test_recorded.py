"""A model that is a folder is known by its content: copies are fresh, and so is what was made under a path before."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from onoff_assets.input_versions import settings_versions
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import materialize_samples
from onoff_core.grid.problem_versions import current_problems_version
from onoff_core.grid.status import partition_status, wanted_fingerprints
from onoff_core.store import CATALOG_NAME, Store, publish_catalog
from onoff_core.study import Partition, load_study
from tests.conftest import write_study

FORMER = "/home/somebody/models/mine"


def project(folder: Path, model: Path, **sections: object) -> tuple[Partition, Store, str]:
    """A study of a model in its own folder, with its store, and its problems' version."""
    folder.mkdir(exist_ok=True)
    if not (folder / "model").exists():
        shutil.copytree(model, folder / "model")
    write_study(folder, Path("model"), **sections)
    study = load_study(folder / "onoff.yaml")
    store = Store(study.store_path)
    version = current_problems_version("arithmetic", study.dataset("arithmetic"), study.base_dir, store)
    return study.partition("arithmetic|tiny"), store, version


def complete(partition: Partition, store: Store, version: str) -> None:
    """Every asset under the fingerprints of this partition, without a row."""
    for asset, fingerprint in wanted_fingerprints(partition, version).items():
        generation = store.generation(asset, partition.names, fingerprint)
        settings = fingerprints.sampling_settings(partition) if asset == "samples" else {}
        generation.complete({"problems": version}, settings, {"seed": 7}, [])
        store.make_current(generation)


@pytest.mark.parametrize("recorded", [None, FORMER])
def test_a_copy_elsewhere_is_fresh(tmp_path: Path, tiny_folder: Path, recorded: str | None) -> None:
    """`cp -r` of the project with its models and its store; made now, or made under a path."""
    partition, store, version = project(tmp_path / "here", tiny_folder)
    complete(dataclasses.replace(partition, recorded_folder=recorded), store, version)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    for folder in ("here", "there"):
        partition, store, version = project(tmp_path / folder, tiny_folder)
        assert set(partition_status(partition, version, store).values()) == {"complete"}


def test_what_was_made_under_a_path_is_known_by_the_platform_and_not_drawn_again(
    tmp_path: Path, tiny_folder: Path
) -> None:
    partition, store, version = project(tmp_path / "here", tiny_folder)
    former = dataclasses.replace(partition, recorded_folder=FORMER)
    complete(former, store, version)
    made = materialize_samples(partition, store)
    assert not made.computed
    assert made.manifest.fingerprint == fingerprints.samples_fingerprint(former, version)
    observed = settings_versions([partition], {"arithmetic": version}, store)
    assert observed["settings"] == {partition.key: fingerprints.sampling_settings_version(former)}
    assert observed["reward_settings"] == {partition.key: wanted_fingerprints(former, version)["rewards"]}


def test_it_is_stale_when_the_content_or_a_setting_changes(tmp_path: Path, tiny_folder: Path) -> None:
    for number, recorded in enumerate((None, FORMER)):
        folder = tmp_path / str(number)
        partition, store, version = project(folder, tiny_folder)
        complete(dataclasses.replace(partition, recorded_folder=recorded), store, version)
        other, _, _ = project(folder, tiny_folder, sampling={"max_length": 13, "num_samples": 3, "seed": 7})
        assert partition_status(other, version, store)["samples"] == "stale"
        (folder / "model" / "generation_config.json").write_text("{}")
        partition, _, _ = project(folder, tiny_folder)
        assert partition_status(partition, version, store)["samples"] == "stale"


@pytest.mark.parametrize("recorded", [None, FORMER])
def test_the_catalog_holds_no_path_of_a_machine(tmp_path: Path, tiny_folder: Path, recorded: str | None) -> None:
    partition, store, version = project(tmp_path / "here", tiny_folder)
    complete(dataclasses.replace(partition, recorded_folder=recorded), store, version)
    publish_catalog(store)
    content = store.files.path(CATALOG_NAME).read_bytes()
    for path in (str(tmp_path), FORMER):
        assert path.encode() not in content
