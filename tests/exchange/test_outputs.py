"""A research file as it stands: one partition by the usual command, and the scripts' files where it names them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from onoff_core.distributions import load_distributions
from tests.conftest import ROOT
from tests.exchange.independent_reader import read_responses


def research_file(folder: Path, model_folder: Path) -> Path:
    """An `experiment_config.yaml` in a project's folder of scripts."""
    backend = {
        "backend_type": "huggingface",
        "model_name": str(model_folder),
        "backend_specific": {"device": "cpu", "torch_dtype": "float32", "device_map": None, "num_process": 1},
    }
    content = {
        "global": {"cuda": {"visible_devices": "0"}},
        "00_sample": {
            "task": {"template_type": "chatml", "reward_type": "math_verify", "format_type": "boxed"},
            "dataset": {"name": "arithmetic", "split": "test", "num_examples": 2},
            "backend": backend,
            "sampling": {"max_length": 6, "temperature": 1.0, "top_p": 1.0, "num_samples": 2, "seed": 1},
            "output": {"results_dir": "outputs/samples"},
        },
        "01_dist": {
            "input": {"results_file": "outputs/samples/results.json"},
            "backend": backend,
            "distribution": {"use_logits": True, "temperature": 1.0, "top_k": 4},
            "output": {"results_dir": "outputs/dist"},
        },
        "02_visualize": {"input": {"results_dir": "outputs/dist"}},
    }
    (folder / "pyproject.toml").write_text("")
    (folder / "scripts").mkdir()
    path = folder / "scripts" / "experiment_config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.mark.dagster_cli
def test_the_usual_command_writes_the_output_folders(tmp_path: Path, tiny_folder: Path) -> None:
    config = research_file(tmp_path, tiny_folder)
    key = f"arithmetic|{tiny_folder.name.lower()}"
    (tmp_path / "home").mkdir()
    environment = {
        **os.environ,
        "ONOFF_CONFIG": str(config),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    command = [str(Path(sys.executable).parent / "dagster"), "asset", "materialize", "-m", "onoff_assets.definitions"]
    command += ["--select", "samples,rewards,statistics,token_distributions", "--partition", key]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    responses, statistics = read_responses(tmp_path / "outputs" / "samples")
    assert [r.sample_id for r in responses] == [0, 1, 0, 1]
    assert (statistics["dataset"], statistics["num_examples"]) == ("arithmetic (test)", 2)
    data = load_distributions(tmp_path / "outputs" / "dist")
    assert data["metadata"]["distribution_type"] == "logits"
    assert [s["text"] for r in data["results"] for s in r["samples"]] == [r.response for r in responses]
