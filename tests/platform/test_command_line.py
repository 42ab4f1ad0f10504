"""A mistake in a `dagster` command is one sentence; a run that Dagster will forget says so."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from onoff_assets.command_line import check_command
from onoff_core.commands import materialize_command
from onoff_core.study import load_study
from tests.conftest import ROOT, MakeProject
from tests.platform.conftest import Platform

MATERIALIZE, EXECUTE = ["dagster", "asset", "materialize"], ["dagster", "job", "execute"]
M = ["-m", "onoff_assets.definitions"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ([*MATERIALIZE, *M, "--select", "samples", "--partition", "arithmetic|tinny"], "did you mean 'tiny'?"),
        (
            [*MATERIALIZE, "--partition=arithmetic", "--select=samples", *M],
            "is not a partition key; write",
        ),
        ([*MATERIALIZE, *M, "--select", "+token_distributions"], "such as --partition 'arithmetic|tiny', or queue all"),
        ([*MATERIALIZE, *M, "--select", "*"], "is made partition by partition"),
        (
            [*MATERIALIZE, *M, "--select", "samples", "--partition-range", "a...b"],
            "--partition-range is of no use",
        ),
        (["dg", "launch", "--assets", "samples", "--partition", "arithmetic|tinny"], "did you mean 'tiny'?"),
        (["dg", "launch", "--assets", "*token_distributions"], "such as --partition 'arithmetic|tiny', or queue all"),
        (["dg", "launch", "--job", "grid"], "is made partition by partition"),
        (["dg", "launch", "--assets", "samples", "--partition-range", "a...b"], "--partition-range is of no use"),
        ([*EXECUTE, *M, "-j", "grid"], "the job grid makes one partition"),
        ([*EXECUTE, *M, "--job", "grid", "--tags", '{"dagster/partition": "x|tiny"}'], "has no dataset 'x'"),
    ],
)
def test_what_cannot_work_out_is_said(make_project: MakeProject, command: list[str], says: str) -> None:
    make_project()
    with pytest.raises(click.ClickException) as raised:
        check_command(load_study(), command)
    assert says in raised.value.message


@pytest.mark.parametrize(
    "command",
    [
        [*MATERIALIZE, *M, "--select", "samples,rewards", "--partition", "arithmetic|tiny"],
        [*MATERIALIZE, *M, "--select", "leaderboard", "--config-json", "{}"],
        [*EXECUTE, *M, "-j", "grid", "--tags", '{"dagster/partition": "arithmetic|tiny"}'],
        ["dagster", "dev", *M],
        ["dg", "launch", "--assets", "samples,rewards", "--partition", "arithmetic|tiny"],
        ["dg", "launch", "--assets", "leaderboard"],
        ["dg", "dev"],
        ["dagster", "api", "grpc"],
        ["pytest"],
    ],
)
def test_what_can_is_let_through(make_project: MakeProject, command: list[str]) -> None:
    make_project()
    check_command(load_study(), command)


@pytest.mark.dagster_cli
@pytest.mark.parametrize(
    ("partition", "code", "says"),
    [
        ("arithmetic|tinny", 1, "Error: --partition arithmetic|tinny: onoff.yaml has no model 'tinny'; did you mean"),
        ("arithmetic|tiny", 0, "and Dagster forgets this run; before the next one: mkdir -p .dagster_home && export"),
    ],
)
def test_the_command_itself_without_a_home(make_project: MakeProject, partition: str, code: int, says: str) -> None:
    folder = make_project(datasets={"arithmetic": {"num_examples": 1}})
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", *M, "--select", "samples", "--partition", partition],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert (done.stdout + done.stderr).count(says) == 1
    assert "Traceback" not in done.stderr


def test_a_run_without_a_partition_says_how(platform: Callable[..., Platform]) -> None:
    """From the launchpad, say."""
    made = platform()
    result: Any = made.defs.resolve_job_def("grid").execute_in_process(instance=made.instance, raise_on_error=False)
    [event] = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert event.event_specific_data.user_failure_data.description == (
        "samples is made partition by partition; run it for one partition, such as arithmetic|tiny"
    )


def test_a_hint_has_the_export_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert materialize_command(["samples"], "a|b").startswith(
        "mkdir -p .dagster_home && export DAGSTER_HOME=$PWD/.dagster_home && dagster asset materialize"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert materialize_command(["samples"], "a|b").startswith("dagster asset materialize")
