"""The notebooks of the documents, run from top to bottom by a real kernel over a small study."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, made_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell runs, and each that ends in a value shows it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(made_study)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in shown if output.get("name") == "stderr"]
    assert len(shown) >= 5
    if path.stem == "entropy_80_20":
        assert any("<iframe srcdoc=" in output.get("data", {}).get("text/html", "") for output in shown)


def test_there_are_two_and_their_outputs_are_small() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["entropy_80_20", "voting_with_confidence"]
    assert all(path.stat().st_size < 200_000 for path in NOTEBOOKS)
