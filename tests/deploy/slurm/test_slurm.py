"""The job array of `deploy/slurm` on a real Slurm of one node; `make test-slurm`, apart from `make test`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onoff_core.grid.fingerprints import ASSETS
from onoff_core.grid.materialize import materialize_samples
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import ROOT, MakeProject

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
HERE = Path(__file__).parent
KEYS = ("arithmetic|tiny", "hard|tiny")
# What a user types, as the head of the file says.
_SUBMIT = f"""
job=$(sbatch --parsable --array=1-$(wc -l < keys.txt) {ROOT / "deploy" / "slurm" / "partitions.sbatch"} keys.txt)
"""
_WAIT = """
set -euo pipefail
wait_for() { for _ in $(seq 600); do if eval "$1"; then return; fi; sleep 0.5; done; echo "waited for: $1"; exit 1; }
wait_for 'sinfo -h -o %T | grep -q idle'
"""


@pytest.fixture(autouse=True)
def _can_be_tried() -> None:
    """Where it was asked for by name, what is missing is no reason to pass."""
    assert os.getuid() == 0, "a network namespace needs root: run make test-slurm as root, or in a container"
    assert (ROOT / ".slurm" / "unpacked").exists(), "tests/deploy/slurm/unpack.sh .slurm, as make test-slurm does"


@pytest.fixture
def project(make_project: MakeProject) -> Path:
    """Two partitions whose responses take their time, and a home each."""
    script = {"seconds_per_response": 0.25}
    model = {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}
    folder = make_project(
        datasets={"arithmetic": {"num_examples": 12}, "hard": {"source": "arithmetic", "num_examples": 12}},
        models={"tiny": model},
        sampling={"max_length": 8, "num_samples": 8, "batch_size": 8, "seed": 7},
    )
    (folder / "keys.txt").write_text("\n".join(KEYS) + "\n")
    return folder


def beside_slurm(folder: Path, script: str) -> str:
    """What a script prints that runs where Slurm's commands are."""
    environment: dict[str, Any] = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": "/nonexistent",  # a task has no home of its user
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        str(HERE / "node.sh"),
        str(ROOT / ".slurm"),
        str(folder / "slurm"),
        "bash",
        "-c",
        _WAIT + _SUBMIT + script,
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800)
    logs = "".join(path.read_text() for path in folder.glob("onoff-*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    return done.stdout


def test_an_array_of_partitions_one_of_them_requeued(project: Path) -> None:
    """The first partition's task is put into the queue again in the middle of its work, as after a lost machine."""
    script = """
    wait_for 'ls store/samples/arithmetic/tiny/*/00000.parquet 2> /dev/null'
    scontrol requeue "${job}_1"
    wait_for 'test -z "$(squeue -h)"'
    scontrol show job "$job" --oneliner
    """
    shown = beside_slurm(project, script)
    tasks = {line.split("ArrayTaskId=")[1].split()[0]: line for line in shown.splitlines() if "ArrayTaskId=" in line}
    assert set(tasks) == {"1", "2"}
    assert all("JobState=COMPLETED" in line for line in tasks.values())
    assert "Restarts=1" in tasks["1"]
    assert "Restarts=0" in tasks["2"]
    said = [path.read_text() for path in sorted(project.glob("onoff-*_1.log"))]
    assert any("resuming: " in text for text in said)
    store, alone = Store(str(project / "store")), Store(str(project / "alone"))
    for key in KEYS:
        partition = load_study().partition(key)
        made = [store.require(asset, (partition.dataset, partition.model)) for asset in ASSETS]
        assert all(generation.is_complete for generation in made)
        assert made[0].read() == materialize_samples(partition, alone).generation.read(), key
