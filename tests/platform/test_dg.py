"""Dagster's newer command, `dg`, on this project; left out where `onoff[dg]` is not installed."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from tests.conftest import ROOT, MakeProject

DG = Path(sys.executable).with_name("dg")
pytestmark = [
    pytest.mark.dagster_cli,
    pytest.mark.skipif(not DG.exists(), reason="no dg here; pip install 'onoff[dg]'"),
]


@pytest.fixture
def environment(make_project: MakeProject, home: Path) -> dict[str, str]:
    """A study of its own, for the project that the checkout is: `dg` finds that by its pyproject.toml."""
    folder = make_project(datasets={"arithmetic": {"num_examples": 2}})
    variables = {"ONOFF_CONFIG": str(folder / "onoff.yaml"), "PATH": f"{DG.parent}:{os.environ['PATH']}"}
    return {**os.environ, **variables, "DAGSTER_HOME": str(home), "COLUMNS": "200"}


def dg(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(DG), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


def test_it_lists_and_checks_the_definitions(environment: dict[str, str]) -> None:
    listed = dg(environment, "list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout[listed.stdout.index("{") :])
    keys = {one["asset_key"] for one in found["assets"]}
    assert {"samples", "rewards", "statistics", "token_distributions", "leaderboard"} <= keys
    assert {one["name"] for one in found["schedules"]} == {"nightly"}
    checked = dg(environment, "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "All definitions loaded successfully" in checked.stdout + checked.stderr


def test_it_launches_a_partition(environment: dict[str, str], tmp_path: Path) -> None:
    launched = dg(environment, "launch", "--assets", "samples,rewards,statistics", "--partition", "arithmetic|tiny")
    assert launched.returncode == 0, launched.stderr[-3000:]
    assert (tmp_path / "store/statistics/arithmetic/tiny/current.json").exists()
    wrong = dg(environment, "launch", "--assets", "samples", "--partition", "arithmetic|tinny")
    assert wrong.returncode == 1
    assert "did you mean 'tiny'?" in wrong.stdout + wrong.stderr
    assert "Traceback" not in wrong.stdout + wrong.stderr


def test_its_ui_comes_up(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        serving = subprocess.Popen(
            [str(DG), "dev", "--port", str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    query = json.dumps({"query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", query, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 200
    try:
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    assert "__repository__" in answer.read().decode()
                break
            except OSError:
                assert serving.poll() is None, (tmp_path / "log").read_text()[-3000:]
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
                time.sleep(0.5)
    finally:
        os.killpg(serving.pid, signal.SIGINT)
        try:
            serving.wait(20)
        finally:
            if serving.poll() is None:
                os.killpg(serving.pid, signal.SIGKILL)
