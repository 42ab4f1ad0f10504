"""`kill -9` while cross-scores are made: what is written stays, and the next run makes the rest alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onoff_core.grid.cross_scores import materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import materialize_samples
from onoff_core.grid.status import partition_status
from onoff_core.study import load_study
from tests.conftest import ROOT, MakeProject, tiny_model

# Dies after so many fragments of whatever table are whole.
_DYING = """
import os, signal, sys
from onoff_core.grid.cross_scores import materialize_cross_scores
from onoff_core.grid.judging import open_store
from onoff_core.store import Generation
from onoff_core.study import load_study

left, real = int(sys.argv[1]), Generation.write_fragment

def write(self, index, tables):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    real(self, index, tables)

Generation.write_fragment = write
study = load_study()
materialize_cross_scores(study.partition("arithmetic|tiny"), open_store(study))
"""


@pytest.mark.parametrize("written", [0, 2, 3, 4, 6])
def test_a_run_goes_on_from_what_a_killed_one_wrote(
    make_project: MakeProject, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three chunks: first all fragments of tokens, then those of responses, then the statistics."""
    folder = project(make_project)
    partition, store = load_study().partition("arithmetic|tiny"), open_store(load_study())
    materialize_samples(partition, store)
    command = [sys.executable, "-c", _DYING, str(written)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    died = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert partition_status(partition, None, store)["cross_scores"] == ("partial" if written else "missing")
    stamps = written_files(folder)
    assert len(stamps) == written
    computed: list[str] = []
    spy_on(monkeypatch, computed)
    lines: list[str] = []
    made = materialize_cross_scores(partition, store, lines.append)
    assert len(computed) == 7 - written
    assert {path: stamp for path, stamp in written_files(folder).items() if path in stamps} == stamps
    tokens = store.require("samples", partition.names).read()["num_tokens"].to_pylist()
    assert made.manifest.num_rows == sum(tokens)
    assert made.manifest.facts["run"]["attempts"] == (1 if written == 6 else 2)  # of that which wrote the manifest
    assert (f"resuming: {min(written, 3)} of 3 chunks there" in lines) == (written > 0)
    assert partition_status(partition, None, store)["cross_scores"] == "complete"


def project(make_project: MakeProject) -> Path:
    models = {"tiny": {**tiny_model(None), "scored_by": ["other"]}, "other": tiny_model(None)}
    return make_project(models=models, datasets={"arithmetic": {"num_examples": 25}})


def written_files(folder: Path) -> dict[Path, tuple[int, int]]:
    files = (folder / "store").glob("cross_*/*/*/*/*/*.parquet")
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def spy_on(monkeypatch: pytest.MonkeyPatch, computed: list[str]) -> None:
    from onoff_core.store import Generation

    real = Generation.write_fragment

    def write(self: Generation, index: int, tables: Any) -> None:
        computed.append(f"{self.asset} {index}")
        real(self, index, tables)

    monkeypatch.setattr(Generation, "write_fragment", write)
