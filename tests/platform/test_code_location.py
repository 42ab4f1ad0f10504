"""Definitions are made of a study that is handed in: in a notebook, for two studies at once, and as documented."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from onoff_assets.assets import build_assets
from onoff_assets.code_location import build_definitions
from onoff_core.checks import CHECKS
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import ROOT, write_study
from tests.platform.conftest import Platform


def test_the_documented_notebook_runs(tmp_path: Path, tiny_folder: Path) -> None:
    """With Dagster's own ephemeral instance, and without naming a resource."""
    cpu = {"backend_specific": {"device": "cpu"}}
    write_study(tmp_path, tiny_folder, models={"smollm2-135m": {"model_name": str(tiny_folder), **cpu}})
    section = (ROOT / "docs" / "platform.md").read_text("utf-8").partition("## In a notebook")[2]
    snippet = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", snippet],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^accuracy [0-9.]+$", done.stdout, re.MULTILINE)
    assert Store(str(tmp_path / "store")).require("statistics", ("arithmetic", "smollm2-135m"))


def test_two_studies_stand_in_one_process(tmp_path: Path, tiny_folder: Path) -> None:
    """Each has its own partitions, and makes its results in its own store."""
    studies = {}
    for name, examples in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        write_study(tmp_path / name, tiny_folder, datasets={name: {"source": "arithmetic", "num_examples": examples}})
        studies[name] = load_study(tmp_path / name / "onoff.yaml")
    both = {name: build_definitions(study) for name, study in studies.items()}
    for name, definitions in both.items():
        job = definitions.resolve_job_def("grid")
        assert job.partitions_def is not None
        assert job.partitions_def.get_partition_keys() == [f"{name}|tiny"]
    for name, study in studies.items():
        made = dg.materialize([build_assets(study).samples], partition_key=f"{name}|tiny")
        [event] = made.asset_materializations_for_node("samples")
        assert event.partition == f"{name}|tiny"
    rows = {name: Store(study.store_path).require("samples", (name, "tiny")).read().num_rows
            for name, study in studies.items()}  # fmt: skip
    assert rows == {"one": 3, "two": 6}


def test_a_checks_docstring_is_what_dagster_says_of_it(platform: Callable[..., Platform]) -> None:
    graph = platform().defs.get_repository_def().asset_graph
    shown = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys}
    checks = {check.name: check for checks in CHECKS.values() for check in checks}
    assert shown.keys() == checks.keys() | {"settings_file_can_be_read"}
    for name, check in checks.items():
        assert shown[name].description == " ".join(str(inspect.getdoc(check.find)).split())
        assert shown[name].blocking is (check.consequence == "blocks")


def test_the_documented_checks_are_those_that_there_are() -> None:
    section = (ROOT / "docs" / "platform.md").read_text("utf-8").partition("\n## Checks")[2]
    rows = re.findall(r"^\| (\w+) \| `(\w+)`.* \| (blocks|error|warns) \|$", section, re.MULTILINE)
    assert rows == [(asset, check.name, check.consequence) for asset, checks in CHECKS.items() for check in checks]


@pytest.mark.parametrize("module", ["onoff_assets.code_location", "onoff_assets.assets"])
def test_making_definitions_needs_no_study_on_disk(module: str, tmp_path: Path) -> None:
    code = f"import {module}"
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
