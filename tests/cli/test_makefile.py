"""What `make` would run, without running it."""

import shutil
import subprocess
import tomllib

import pytest

from onoff_core.study import load_study
from onoff_core.tables import GRID_ASSETS
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


def dry_run(target: str) -> str:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_demo_is_the_real_dagster_command_and_then_the_table() -> None:
    commands = dry_run("demo")
    partition = load_study(ROOT / "onoff.yaml").partition("arithmetic|smollm2-135m")
    materialize = (
        f".venv/bin/dagster asset materialize --select '{','.join(GRID_ASSETS)}' "
        f"--partition '{partition.key}' -m onoff_assets.definitions"
    )
    assert materialize in commands
    assert commands.index(materialize) < commands.index(f".venv/bin/onoff show '{partition.key}'")


def test_ui_is_dagster_dev_behind_a_guard() -> None:
    assert ".venv/bin/onoff ui\n" in dry_run("ui")


def test_ci_runs_make_test_and_make_test_runs_pytest() -> None:
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")
    commands = dry_run("test")
    for command in ("ruff check .", "ruff format --check .", "mypy", "python -m pytest"):
        assert f".venv/bin/{command}" in commands


def test_demo_more_is_the_command_of_that_name() -> None:
    assert ".venv/bin/onoff demo --more\n" in dry_run("demo-more")


@pytest.mark.parametrize(("target", "folder", "seconds"), [("attacks", "attacks", 900), ("night", "nights", 1200)])
def test_what_is_apart_is_bounded_and_not_in_make_test(target: str, folder: str, seconds: int) -> None:
    assert f"pytest -q --session-timeout={seconds} tests/{folder}\n" in dry_run(f"test-{target}")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert folder in settings["norecursedirs"]
    assert list((ROOT / "tests" / folder).glob("test_*.py"))
