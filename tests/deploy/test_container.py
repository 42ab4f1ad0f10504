"""A run's container: what its command does with the files of the image, an empty home and nothing that can be written
but the records and the store.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._cli.api import ExecuteRunArgs
from dagster._cli.job import _create_run
from dagster._cli.workspace import cli_target
from dagster._serdes import ConfigurableClassData

from onoff_assets.filling import JOB, MODULE
from onoff_core.grid.fingerprints import ASSETS
from onoff_core.store import Store
from tests.conftest import ROOT, write_study

DEPLOY = ROOT / "deploy" / "kubernetes"
KEY = "arithmetic|tiny"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What the Dockerfile copies, which nobody can write to."""
    project = tmp_path / "image" / "project"
    project.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__")
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            *sources, place = line.split()[1:]
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, project / place, ignore=skip)
                else:
                    shutil.copy(ROOT / source, project / place)
    write_study(project, None)
    for path in [project, *project.rglob("*")]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    return project


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}  # root writes these in any case


@pytest.mark.dagster_cli
def test_the_command_of_a_run_with_an_empty_home(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that K8sRunLauncher gives its job."""
    home, records, store = tmp_path / "home", tmp_path / "records", tmp_path / "store"
    for folder in (home, records):
        folder.mkdir()
    shipped = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    del shipped["run_launcher"], shipped["storage"]  # a cluster and a database
    (records / "dagster.yaml").write_text(yaml.safe_dump(shipped))
    environment = {  # all of it
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(home),
        "PYTHONPATH": str(image),  # as `pip install -e` does
        "DAGSTER_HOME": str(records),
        "ONOFF_STORE": str(store),
        "ONOFF_CONFIG": str(image / "onoff.yaml"),
        **dict(
            re.findall(r"(\w+)=(\w+)", "".join(re.findall(r"^ENV (.*)$", (DEPLOY / "Dockerfile").read_text(), re.M)))
        ),
    }
    for name in ("ONOFF_STORE", "ONOFF_CONFIG", "DAGSTER_HOME"):
        monkeypatch.setenv(name, environment[name])
    before = files(image)
    options = cli_target.WorkspaceOpts(module_name=(MODULE,))  # type: ignore[attr-defined]
    with (
        dg.DagsterInstance.get() as instance,
        cli_target.get_workspace_from_cli_opts(instance, dg.__version__, options, log_level="ERROR") as workspace,
    ):
        location = workspace.get_code_location(MODULE)
        [repository] = location.get_repositories().values()
        tags = {"dagster/partition": KEY, "dagster/partition/dataset": "arithmetic", "dagster/partition/model": "tiny"}
        run = _create_run(instance, location, repository, repository.get_full_job(JOB), {}, tags, None, None)
        assert run.job_code_origin is not None
        arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, instance.get_ref(), set_exit_code_on_failure=True)
        command = list(arguments.get_command_args())
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for asset in ASSETS:
        assert Store(str(store)).require(asset, ("arithmetic", "tiny")).is_complete, asset
    assert files(image) == before
    assert not files(home)


def snake(value: Any) -> Any:
    """Keys as `dagster.yaml` writes them."""
    if not isinstance(value, dict):
        return value
    return {re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key): snake(one) for key, one in value.items()}


def test_the_values_of_the_chart_say_what_the_instance_says() -> None:
    values = yaml.safe_load((DEPLOY / "values.yaml").read_text())
    ours = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    daemon = values["dagsterDaemon"]
    assert snake(daemon["runMonitoring"]) == ours["run_monitoring"]
    assert snake(daemon["runRetries"]) == ours["run_retries"]
    assert snake(values["pythonLogs"]) == ours["python_logs"]
    assert snake({key: values["concurrency"][key] for key in ("pools", "runs")}) == ours["concurrency"]
    assert daemon["runCoordinator"]["config"]["customRunCoordinator"] == ours["run_coordinator"]
    said = values["runLauncher"]["config"]["k8sRunLauncher"]
    theirs = ours["run_launcher"]["config"]
    assert said["resources"] == theirs["resources"]
    [deployment] = values["dagster-user-deployments"]["deployments"]
    assert {one["name"] for one in deployment["env"]} == {name.partition("=")[0] for name in theirs["env_vars"]}
    assert (deployment["volumes"], deployment["volumeMounts"]) == (theirs["volumes"], theirs["volume_mounts"])
    assert [one["name"] for one in deployment["envSecrets"]] == theirs["env_secrets"]


def test_the_values_are_what_the_launcher_takes() -> None:
    values = yaml.safe_load((DEPLOY / "values.yaml").read_text())
    said = values["runLauncher"]["config"]["k8sRunLauncher"]
    config = {**{re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key): one for key, one in said.items()}}
    config |= {
        "service_account_name": "dagster",
        "instance_config_map": "i",
        "dagster_home": "/opt",
        "job_image": "i:1",
    }
    launcher = ConfigurableClassData("dagster_k8s", "K8sRunLauncher", yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kubernetes.config.load_incluster_config", lambda: None)
        made: Any = launcher.rehydrate(as_type=dg._core.launcher.RunLauncher)
    assert made.resources["limits"]["nvidia.com/gpu"] == "1"
