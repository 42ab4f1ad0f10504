"""The real `dagster asset materialize` command, in a process of its own, over the small model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from onoff_core.grid.status import partition_status
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import ROOT, MakeProject

pytestmark = pytest.mark.dagster_cli
ASSETS = "samples,rewards,statistics,token_distributions"
QUIET = '{"loggers": {"console": {"config": {"log_level": "INFO"}}}}'  # as `make demo` asks for


def materialize(folder: Path, select: str, partition: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "dagster_home").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(folder / "dagster_home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    arguments = ["--select", select, "--partition", partition, "-m", "onoff_assets.definitions", *more]
    return subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def states() -> dict[str, str]:
    study = load_study()
    partition = study.partition("arithmetic|tiny")
    return dict(partition_status(partition, None, Store(study.store_path)))


def test_the_four_assets_by_name_and_a_second_run_does_no_work(make_project: MakeProject) -> None:
    folder = make_project()
    done = materialize(folder, ASSETS, "arithmetic|tiny")
    assert done.returncode == 0, done.stderr
    assert set(states().values()) == {"complete"}
    assert done.stderr.count("loaded tiny") <= 1
    again = materialize(folder, ASSETS, "arithmetic|tiny", "--config-json", QUIET)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("is complete under these settings; nothing to do") == 4
    assert "loaded tiny" not in again.stderr
    lines = [line for line in again.stderr.splitlines() if "nothing to do" in line]
    assert all(
        re.match(r"\d\d:\d\d:\d\d arithmetic\|tiny \w+: \w+ of arithmetic\|tiny is complete", line) for line in lines
    )


def test_everything_upstream_of_token_distributions(make_project: MakeProject) -> None:
    folder = make_project()
    done = materialize(folder, "+token_distributions", "arithmetic|tiny")
    assert done.returncode == 0, done.stderr
    found = states()
    assert (found["samples"], found["token_distributions"]) == ("complete", "complete")
    assert (found["rewards"], found["statistics"]) == ("missing", "missing")


def test_a_partition_that_is_not_in_the_grid_fails_and_names_it(make_project: MakeProject) -> None:
    folder = make_project()
    done = materialize(folder, ASSETS, "arithmetic|nope")
    assert done.returncode != 0
    assert "arithmetic|nope" in done.stdout + done.stderr
    assert set(states().values()) == {"missing"}


def test_a_mistake_in_the_settings_is_what_dagster_prints(make_project: MakeProject) -> None:
    folder = make_project(sampling={"max_length": 0})
    done = materialize(folder, ASSETS, "arithmetic|tiny")
    assert done.returncode != 0
    assert "sampling.max_length: should be greater than or equal to 1, not 0" in done.stdout + done.stderr


def test_a_failure_a_user_can_mend_is_the_steps_message(make_project: MakeProject) -> None:
    folder = make_project(datasets={"arithmetic": {"path": "gone.jsonl"}})
    done = materialize(folder, ASSETS, "arithmetic|tiny")
    assert done.returncode != 0
    assert "gone.jsonl: no such file" in done.stdout + done.stderr
