"""The grid of `onoff bench platform` is one that the UI, the tick and the catalog take for made."""

import os
import subprocess
import sys
from pathlib import Path

from onoff_core.store import Store, current_generations
from tests.conftest import ROOT, write_study
from tests.platform.conftest import CHAIN, at


def test_a_filled_grid_is_complete_for_the_ui_and_the_tick(tmp_path: Path) -> None:
    datasets = {name: {"source": "arithmetic", "num_examples": 2} for name in ("one", "two")}
    write_study(tmp_path, None, datasets=datasets)
    (tmp_path / "dagster").mkdir()
    environment = {"DAGSTER_HOME": str(tmp_path / "dagster"), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "benchmarks.platform_grid", "fill"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "filling 2/2 partitions, took" in done.stderr

    with at(tmp_path) as grid:
        assert grid.requested() == []
        assert grid.ui_status() == {key: dict.fromkeys(CHAIN, "fresh") for key in ("one|tiny", "two|tiny")}
    store = Store(str(tmp_path / "store"))
    assert store.changes() == []  # all of it is in the published catalog
    assert len([key for key in current_generations(store) if key[0] in CHAIN]) == 2 * len(CHAIN)
