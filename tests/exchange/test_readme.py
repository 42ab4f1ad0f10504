"""The README's loading snippet, run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.exchange.handmade import KEY, handmade_store


def snippet() -> str:
    """The README's lines that load distributions."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## From the research scripts, and back")[2]
    found: str = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    return found


def test_the_loading_snippet(tmp_path: Path) -> None:
    from onoff_core.exchange import export_distributions

    export_distributions(handmade_store(tmp_path, 6), KEY, tmp_path / "exported")
    done = subprocess.run(
        [sys.executable, "-c", snippet()], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    unsure, probable = done.stdout.splitlines()
    assert unsure.startswith("unsure at ")
    assert probable == "most probable token ids: [0 1 2 3 4]"
