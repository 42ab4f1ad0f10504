"""However a partition's run is started, it asks the launcher for what its model needs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from onoff_assets.launching import KUBERNETES, RAY, missing_tags
from tests.conftest import ROOT
from tests.platform.running import DagsterDev

GPUS = {"num_gpus": 2, "num_cpus": 8}
KEYS = [f"{name}|large" for name in "abcdef"]


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[DagsterDev]:
    """The platform with the queue that `deploy/` configures, and with Dagster's own launcher."""
    shipped = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "dagster.yaml").read_text())
    shipped["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
    fake: dict[str, Any] = {"model_name": "fake", "backend_type": "fake"}
    running = DagsterDev(
        tmp_path,
        None,
        {"run_coordinator": shipped["run_coordinator"]},
        datasets={key[0]: {"source": "arithmetic", "num_examples": 1} for key in KEYS},
        models={"small": fake, "large": {**fake, "resources": GPUS}},
        sampling={"max_length": 2, "num_samples": 1, "seed": 1},
    )
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.dagster_cli
def test_every_way_of_starting_a_run_gives_it_its_resources(dev: DagsterDev) -> None:
    by_launch, by_button, by_asset_backfill, by_job_backfill, by_command, by_fill = KEYS
    dev.launch(by_launch, ["samples"])
    dev.launch(by_button, ["samples"], job="__ASSET_JOB")
    dev.launch("a|small", ["samples"])
    dev.backfill([by_asset_backfill], ["samples"])
    dev.backfill([by_job_backfill])
    dataset, model = by_command.split("|")
    tags = {"dagster/partition": by_command, "dagster/partition/dataset": dataset, "dagster/partition/model": model}
    dev.run("job", "launch", "-m", "onoff_assets.definitions", "-j", "grid", "--tags", json.dumps(tags))
    fill = [sys.executable, "-m", "onoff_core.cli.main", "fill", "--dataset", by_fill[0], "--model", "large"]
    subprocess.run(fill, cwd=dev.folder, env=dev.environment, check=True, capture_output=True, timeout=180)

    def queued() -> set[str]:
        return {run["key"] for run in dev.runs() if run["status"] != "NOT_STARTED"}

    dev.wait_for(lambda: queued() == {*KEYS, "a|small"}, 180, "seven runs")
    asked = {run["key"]: run["tags"] for run in dev.runs()}
    small = asked.pop("a|small")
    assert not {RAY, KUBERNETES} & small.keys()
    for key, given in asked.items():
        assert json.loads(given[RAY]) == GPUS, key
        limits = json.loads(given[KUBERNETES])["container_config"]["resources"]["limits"]
        assert limits == {"nvidia.com/gpu": "2", "cpu": "8"}, key


def test_what_was_given_by_hand_stays() -> None:
    by_model = {"large": {RAY: "two GPUs", KUBERNETES: "two GPUs"}}
    assert missing_tags({RAY: "four GPUs"}, "large", by_model) == {KUBERNETES: "two GPUs"}
    assert missing_tags({}, "small", by_model) == {}
    assert missing_tags({}, None, by_model) == {}
