"""What `deploy/` holds is what the launchers take, and a model's resources arrive where they ask for them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest
import yaml
from dagster._serdes import ConfigurableClassData

from onoff_assets.launching import RAY, launch_tags
from onoff_core.study import load_study
from tests.conftest import ROOT, MakeProject

DEPLOY = ROOT / "deploy"


def launcher(folder: str, environment: dict[str, str]) -> Any:
    """The launcher of a `dagster.yaml`, by Dagster's own check of its settings."""
    content = yaml.safe_load((DEPLOY / folder / "dagster.yaml").read_text())
    said = content["run_launcher"]
    data = ConfigurableClassData(said["module"], said["class"], yaml.safe_dump(said["config"]))
    with mock.patch.dict(os.environ, environment):
        return data.rehydrate(as_type=dg._core.launcher.RunLauncher)


@pytest.mark.parametrize("folder", ["ray", "kubernetes"])
def test_all_but_launcher_and_storage_is_as_in_the_projects_own(folder: str) -> None:
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    theirs = yaml.safe_load((DEPLOY / folder / "dagster.yaml").read_text())
    assert theirs.keys() - ours.keys() == {"run_launcher", "storage"}
    for name in ours.keys() - {"concurrency", "run_coordinator"}:
        assert theirs[name] == ours[name], name
    assert theirs["run_coordinator"]["config"] == ours["run_coordinator"]["config"]
    assert theirs["run_coordinator"]["class"] == "PartitionRunCoordinator"
    assert theirs["storage"] == {"postgres": {"postgres_url": {"env": "DAGSTER_PG_URL"}}}


@pytest.fixture
def tagged(make_project: MakeProject) -> dict[str, str]:
    entry = {"model_name": "fake", "backend_type": "fake", "resources": {"num_gpus": 2, "num_cpus": 8}}
    make_project(models={"tiny": entry})
    return launch_tags(load_study(), "arithmetic|tiny")


def test_without_resources_there_are_no_tags(make_project: MakeProject) -> None:
    make_project()
    assert launch_tags(load_study(), "arithmetic|tiny") == {}


def test_kubernetes_builds_the_job_that_a_model_asks_for(
    tagged: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_k8s.job import construct_dagster_k8s_job

    monkeypatch.setenv("ONOFF_STORE", "s3://bucket/store")
    with mock.patch("kubernetes.config.load_incluster_config"):
        made = launcher("kubernetes", {"ONOFF_IMAGE": "registry/onoff:1", "ONOFF_STORE": "s3://bucket/store"})
    context = made.get_container_context_for_run(dg.DagsterRun(job_name="grid", tags=tagged))
    config = context.get_k8s_job_config(job_image=None, run_launcher=made)
    job = construct_dagster_k8s_job(
        config, args=["dagster", "api"], job_name="run", user_defined_k8s_config=context.run_k8s_config
    )
    (container,) = job.spec.template.spec.containers
    assert container.image == "registry/onoff:1"
    assert container.resources.limits == {"nvidia.com/gpu": "2", "cpu": "8", "memory": "64Gi"}
    assert {volume.name for volume in job.spec.template.spec.volumes} >= {"weights"}


def test_ray_submits_with_the_gpus_that_a_model_asks_for(tagged: dict[str, str]) -> None:
    from dagster_ray.core.run_launcher import RayLauncherConfig

    made = launcher("ray", {"RAY_JOBS_ADDRESS": "http://head:8265"})
    assert (made.address, made.num_gpus) == ("http://head:8265", 1)
    asked = RayLauncherConfig.from_tags({RAY: tagged[RAY]})
    assert (asked.num_gpus, asked.num_cpus) == (2, 8)


@pytest.mark.parametrize(("resources", "gpus"), [({"num_gpus": 0}, 0), ({"num_gpus": 2}, 2), ({"num_cpus": 4}, 1)])
def test_a_run_on_ray_has_as_many_gpus_as_its_model_says(
    make_project: MakeProject, resources: dict[str, int], gpus: int
) -> None:
    make_project(models={"tiny": {"model_name": "fake", "backend_type": "fake", "resources": resources}})
    made = launcher("ray", {"RAY_JOBS_ADDRESS": "http://head:8265"})
    made.env_vars, made.client = [], mock.Mock()
    with dg.DagsterInstance.ephemeral() as instance, mock.patch.object(type(made), "_instance", instance):
        run = mock.Mock(tags=launch_tags(load_study(), "arithmetic|tiny"), run_id="r", remote_job_origin=None)
        run.job_code_origin.job_name = "grid"
        with mock.patch.object(instance, "report_engine_event"):
            made._launch_ray_job("run", "dagster api", run)
    assert made.client.submit_job.call_args.kwargs["entrypoint_num_gpus"] == gpus
    assert made.num_gpus == 1, "the launcher itself stays as it is configured"


def test_every_folder_that_an_image_copies_is_there() -> None:
    lines = (DEPLOY / "kubernetes" / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.dagster_cli
def test_a_task_of_the_array_makes_its_partition_with_an_empty_home(make_project: MakeProject, tmp_path: Path) -> None:
    folder = make_project()
    (folder / "keys.txt").write_text("arithmetic|other\narithmetic|tiny\n")
    (folder / "home").mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(ROOT),
        "SLURM_ARRAY_TASK_ID": "2",
        "ONOFF_ASSETS": "samples",
    }
    command = ["bash", str(DEPLOY / "slurm" / "partitions.sbatch"), "keys.txt"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("store/samples/arithmetic/tiny/*/manifest.json"))) == 1
    environment["SLURM_ARRAY_TASK_ID"] = "3"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (2, "keys.txt has no line 3")
