"""A result's manifest says by what it was made; the leaderboard says where that differs."""

import json
import time

import dagster as dg
import pytest

import onoff_core
from onoff_core.cli.main import main
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
from onoff_core.tables import GRID_ASSETS
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


MAKERS = (materialize_samples, materialize_rewards, materialize_statistics, materialize_token_distributions)


@pytest.mark.parametrize("engine", ["fake", "llama"])
def test_each_field_of_each_asset(
    make_project: MakeProject, make_torch_project: MakeProject, engine: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (make_project if engine == "fake" else make_torch_project)()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    made = {}
    for materialize in MAKERS:
        manifest = materialize(partition, store).manifest
        made[manifest.asset] = RunProvenance.of(manifest)
    made["problem_statistics"] = RunProvenance.of(store.require("problem_statistics", partition.names).manifest())
    tokens = sum(store.require("samples", partition.names).read()["num_tokens"].to_pylist())
    for asset, run in made.items():
        assert run is not None
        assert run.tokens == (tokens if asset in ("samples", "token_distributions") else None)
        assert run.batch_size == (8 if asset == "samples" else None)
        assert (run.attempts, run.gpu_numbers, run.cuda_visible_devices) == (1, (), "3")
        assert run.peak_memory_bytes > 10**7
        assert run.scored_at_once is None
    graded = made["rewards"]
    assert graded is not None
    assert (graded.peak_child_memory_bytes or 0) > 10**7, "its workers do the grading"
    assert list(graded.packages) == ["math-verify", "latex2sympy2_extended", "sympy"]
    assert all(graded.packages.values())
    assert main(["show", "arithmetic|tiny"]) == 0
    shown = capsys.readouterr().out
    [line] = [line.split() for line in shown.splitlines() if line.startswith("samples ")]
    assert line[3:6] == [str(tokens), "8", "1"]


def test_the_batch_size_is_the_one_in_fact_used(
    make_torch_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where eight rows do not fit into memory and four do; the fingerprint is the same."""
    from onoff_core.backends.huggingface import decoding

    make_torch_project()
    study = load_study()
    partition = study.partition("arithmetic|tiny")
    decoder = decoding._decoder

    def small(loaded, requests, sampling, seed, rows, on_tokens):  # type: ignore[no-untyped-def]
        if rows > 4:
            raise MemoryError
        return decoder(loaded, requests, sampling, seed, rows, on_tokens)

    whole = materialize_samples(partition, Store("whole"))
    monkeypatch.setattr(decoding, "_decoder", small)
    halved = materialize_samples(partition, Store("halved"))
    found = [RunProvenance.of(made.manifest) for made in (whole, halved)]
    assert [run and run.batch_size for run in found] == [8, 4]
    assert whole.manifest.fingerprint == halved.manifest.fingerprint


def test_manifests_of_before_are_read(make_project: MakeProject) -> None:
    make_project()
    study = load_study()
    manifest = materialize_samples(study.partition("arithmetic|tiny"), Store(study.store_path)).manifest
    for name in ("batch_size", "scored_at_once", "gpu_numbers", "cuda_visible_devices", "peak_child_memory_bytes"):
        del manifest.facts["run"][name]
    run = RunProvenance.of(manifest)
    assert run is not None
    assert (run.batch_size, run.gpu_numbers, run.tokens) == (None, (), manifest.num_rows and run.tokens)


def test_dagster_shows_it(make_project: MakeProject) -> None:
    from onoff_assets.assets import build_assets

    make_project()
    assets = build_assets(load_study())
    result = dg.materialize([getattr(assets, name) for name in GRID_ASSETS], partition_key="arithmetic|tiny")
    for name in GRID_ASSETS:
        [event] = result.asset_materializations_for_node(name)
        shown = {label: entry.value for label, entry in event.metadata.items()}
        assert shown["attempts"] == 1
        assert shown["peak memory (MB)"] > 10
        assert shown["made by"]["packages"]
        assert ("batch size used" in shown) == (name == "samples")
