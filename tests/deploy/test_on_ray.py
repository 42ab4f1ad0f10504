"""One partition as a Ray job, by the launcher and the queue that `deploy/ray` configures; `make test-ray`."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from benchmarks.ports import free_port
from onoff_core.grid.fingerprints import ASSETS
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import ROOT
from tests.platform.running import DagsterDev

pytest.importorskip("ray")
KEY = "arithmetic|tiny"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Ray cluster of this machine with its dashboard, on loopback and behind a token; the dashboard's address."""
    port, dashboard = free_port(), free_port()
    # Of its own, for there `ray.init` of other programs looks for a cluster; short, for it has sockets in it.
    folder = Path(tempfile.mkdtemp(prefix="onoff-ray-"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    binaries = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",  # a job is a command: `dagster` has to be found
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_raylet_start_wait_time_s": "120",
    }
    command = [
        *(str(binaries / "ray"), "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "2", "--num-gpus", "0"),
        *(
            "--temp-dir",
            str(folder),
            "--include-dashboard",
            "true",
            "--dashboard-host",
            "127.0.0.1",
            "--dashboard-port",
            str(dashboard),
        ),
    ]
    log = tmp_path / "ray.log"
    with log.open("wb") as out:
        head = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + 180
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        started = psutil.Process(head.pid).children(recursive=True)
        head.send_signal(signal.SIGTERM)
        psutil.wait_procs(started, timeout=20)
        for process in started:
            if process.is_running():
                process.kill()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def jobs(address: str) -> list[Any]:
    """The cluster's jobs, asked over HTTP: Ray's own client reads the token once a process."""
    asked = urllib.request.Request(f"{address}/api/jobs/")
    asked.add_header("Authorization", f"Bearer {os.environ['RAY_AUTH_TOKEN']}")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return list(json.load(answer))


@pytest.mark.ray_launcher
def test_a_partition_is_a_ray_job_and_is_tried_again_when_that_dies(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    dies = {"sampling_fault": {"kind": "die", "after": 10, "once": str(tmp_path / "died")}}
    model = {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": dies}}
    for name, value in {
        "RAY_JOBS_ADDRESS": cluster,
        "ONOFF_CONFIG": str(folder / "onoff.yaml"),
        "ONOFF_STORE": str(folder / "shared"),
    }.items():
        monkeypatch.setenv(name, value)
    shipped = yaml.safe_load((ROOT / "deploy" / "ray" / "dagster.yaml").read_text())
    shipped["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
    shipped["run_monitoring"]["poll_interval_seconds"] = 2
    dev = DagsterDev(
        folder,
        None,
        {name: shipped[name] for name in ("run_launcher", "run_coordinator", "run_monitoring")},
        models={"tiny": {**model, "resources": {"num_gpus": 0, "num_cpus": 1}}},
    )
    dev.start()
    try:
        dev.launch(KEY, list(ASSETS))
        dev.wait_for(dev.all_done, 400, "the run and the one after it")
        died, again = dev.runs()
        assert (died["status"], again["status"]) == ("FAILURE", "SUCCESS"), dev.messages(again["runId"])
        for run in (died, again):
            assert json.loads(run["tags"]["dagster-ray/config"]) == {"num_gpus": 0, "num_cpus": 1}
        dev.wait_for(lambda: all(job["status"] != "RUNNING" for job in jobs(cluster)), 60, "the end of the jobs")
        ends = {job["metadata"]["dagster/run-id"]: (job["status"], job["entrypoint"]) for job in jobs(cluster)}
        assert {run: status for run, (status, _) in ends.items()} == {
            died["runId"]: "FAILED",
            again["runId"]: "SUCCEEDED",
        }
        assert all(command.startswith("dagster api execute_run") for _, command in ends.values())
    finally:
        dev.stop()
    store, partition = Store(str(folder / "shared")), load_study().partition(KEY)
    for asset in ASSETS:
        assert store.require(asset, (partition.dataset, partition.model)).is_complete, asset
