"""Commands that need Dagster come through entry points, so that onoff_core knows nothing of it."""

import subprocess
import sys

import pytest

from onoff_core.cli import extensions
from onoff_core.cli.main import main, parser
from tests.conftest import ROOT


def test_the_platforms_commands_are_among_those_of_onoff() -> None:
    assert "fill" in parser().format_help()


def test_asking_for_help_imports_no_dagster() -> None:
    code = "import sys; from onoff_core.cli.main import parser; parser(); print('dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_command_that_cannot_be_loaded_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = extensions.EntryPoint("broken", "no_such_package", "onoff.commands")
    monkeypatch.setattr(extensions, "_entries", lambda group: {"broken": broken})
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    shown = capsys.readouterr()
    assert "status" in shown.out
    assert "onoff.commands broken is not there, for it cannot be loaded: No module named 'no_such_package'" in shown.err
