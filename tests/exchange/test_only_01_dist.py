"""A research file with `01_dist` only: its results file is imported and scored by the usual command."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

from onoff_assets.assets import build_assets
from onoff_core.cli.main import main
from onoff_core.grid.status import partition_status
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.exchange.independent_reader import read_distributions, read_responses
from tests.exchange.test_scripts_in import RESEARCH, SAMPLES
from tests.exchange.test_scripts_out import longer


@pytest.fixture
def project(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scripts' own file without `00_sample`, over the small model, beside the results they wrote."""
    model = longer(tiny_folder, tmp_path / "longer")["tiny"]["model_name"]
    raw = yaml.safe_load((RESEARCH / "experiment_config.yaml").read_text())
    del raw["00_sample"]
    raw["01_dist"]["backend"] = {"model_name": model, "backend_specific": {"device": "cpu"}}
    raw["01_dist"]["distribution"]["top_k"] = 20
    (tmp_path / "experiment_config.yaml").write_text(yaml.safe_dump(raw))
    shutil.copytree(SAMPLES, tmp_path / "exp" / "00-sample" / "output")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONOFF_CONFIG", str(tmp_path / "experiment_config.yaml"))
    return tmp_path


def test_it_is_imported_graded_and_scored_by_the_usual_assets(project: Path) -> None:
    study = load_study()
    (partition,) = study.partitions.values()
    assert partition.key == "aime2025|longer"
    assets = build_assets(study)
    grid = [assets.samples, assets.rewards, assets.statistics, assets.token_distributions]
    assert dg.materialize(grid, partition_key=partition.key).success
    store = Store(study.store_path)
    problems = store.require("problems", (partition.dataset,)).fingerprint
    assert set(partition_status(partition, problems, store).values()) == {"imported", "complete"}
    theirs, _ = read_responses(SAMPLES)
    found = read_distributions(project / "exp" / "01-dist" / "output")
    assert [d.response for d in found] == [r.response for r in theirs]
    statistics = json.loads((project / "exp" / "01-dist" / "output" / "statistics.json").read_text())
    assert statistics["total_samples"] == 6
    assert read_responses(project / "exp" / "00-sample" / "output")[0] == theirs  # and nothing was written there


def test_import_needs_no_folder_to_be_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert f"samples are those of {project / 'exp/00-sample/output/results.json'}" in capsys.readouterr().out
    assert main(["import"]) == 0
    assert "aime2025|longer: 6 imported responses are its samples now" in capsys.readouterr().out


def test_a_results_file_that_is_not_there_is_said_by_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(project / "exp")
    assert main(["check"]) == 1
    assert "exp/00-sample/output/results.json: no such file" in capsys.readouterr().err


def test_import_without_a_file_to_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "onoff.yaml").write_text("datasets: {arithmetic: }\nmodels: {m: {model_name: a/b}}")
    monkeypatch.chdir(tmp_path)
    assert main(["import"]) == 1
    assert "names no results file to import; write: onoff import RESULTS_DIR" in capsys.readouterr().err
