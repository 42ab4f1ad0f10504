"""A result's manifest says by what it was made; the leaderboard says where that differs."""

import json
import time

import dagster as dg
import pytest

import onoff_core
from onoff_core.errors import StoreError
from onoff_core.grid.leaderboard import grading_versions
from onoff_core.grid.materialize import (
    materialize_rewards,
    materialize_samples,
    materialize_statistics,
    materialize_token_distributions,
)
from onoff_core.store import Store, publish_catalog
from onoff_core.store.provenance import RunProvenance
from onoff_core.study import load_study
from tests.conftest import MakeProject


def test_each_result_says_by_what_it_was_made(make_project: MakeProject) -> None:
    make_project()
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    began = time.time()
    generation = materialize_samples(partition, store).generation
    scored = materialize_token_distributions(partition, store)
    graded = materialize_rewards(partition, store)
    materialize_statistics(partition, store)
    sampled = RunProvenance.of(generation.manifest())
    assert sampled is not None
    assert sampled.onoff_version == onoff_core.__version__
    assert sampled.packages["torch"]
    assert sampled.attempts == 1
    assert sampled.tokens == sum(generation.read()["num_tokens"].to_pylist())
    assert began <= sampled.started_at <= sampled.ended_at <= time.time()
    assert sampled.peak_memory_bytes > 10**7
    assert sampled.host
    for made, package in ((scored, "transformers"), (graded, "math-verify"), (graded, "latex2sympy2_extended")):
        run = RunProvenance.of(made.manifest)
        assert run is not None
        assert run.packages[package]
    assert [versions.split(",")[0].split()[0] for versions in grading_versions(store)] == ["math-verify"]

    manifest = store.files.path(f"{generation.folder}/00000.parquet")  # a second attempt, after damage
    manifest.write_bytes(b"PAR1")
    again = RunProvenance.of(materialize_samples(partition, store).manifest)
    assert again is not None
    assert again.attempts == 2


def test_a_leaderboard_of_different_versions_says_so(make_project: MakeProject, tiny_folder: object) -> None:
    model = {"model_name": str(tiny_folder), "backend_specific": {"device": "cpu"}}
    make_project(models={"a": model, "b": model})
    study = load_study()
    store = Store(study.store_path)
    for partition in study.partitions.values():
        for materialize in (materialize_samples, materialize_rewards, materialize_statistics):
            materialize(partition, store)
    assert len(grading_versions(store)) == 1
    old = store.require("rewards", ("arithmetic", "b"))
    path = store.files.path(f"{old.folder}/manifest.json")
    content = json.loads(path.read_text())
    del content["facts"]["run"]  # as one made before
    path.write_text(json.dumps(content))
    assert RunProvenance.of(old.manifest()) is None
    publish_catalog(store, rebuild=True)
    assert len(grading_versions(store)) == 2
    from onoff_assets.assets import build_assets

    result = dg.materialize([build_assets(study).leaderboard])
    [event] = result.asset_materializations_for_node("leaderboard")
    assert str(event.metadata["graded with"].value).startswith("NOT ALIKE: ")
    assert "not recorded" in str(event.metadata["graded with"].value)
    content["facts"]["run"] = {"host": "h"}
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="does not say onoff_version"):
        RunProvenance.of(old.manifest())
