"""A partition by replicas, killed at any point and gone on with another number of them: what one process makes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from onoff_core.grid.materialize import materialize_samples, materialize_token_distributions
from onoff_core.store import Store
from onoff_core.study import load_study
from tests.conftest import ROOT, MakeProject
from tests.numbers import NUMBERS

KEY = ("arithmetic", "tiny")
WORK = """
import sys
from onoff_core.grid import materialize
from onoff_core.store import Store
from onoff_core.study import load_study
study = load_study()
getattr(materialize, f"materialize_{sys.argv[1]}")(study.partition("arithmetic|tiny"), Store(study.store_path))
"""
# 32 responses a chunk, seven chunks
SECTIONS: dict[str, Any] = {
    "datasets": {"arithmetic": {"num_examples": 28}},
    "sampling": {"max_length": 30, "num_samples": 8, "batch_size": 16, "seed": 7},
}


def fake(num_process: int | None, **script: Any) -> dict[str, Any]:
    options = {"script": script or None, "num_process": num_process}
    return {"tiny": {"model_name": "fake", "backend_type": "fake", "backend_specific": options}}


def start(folder: Path, asset: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", WORK, asset], cwd=folder, env=environment, text=True)


def fragments(store: Path, asset: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in store.glob(f"{asset}/*/*/*/*.parquet")}


def wait_for(process: subprocess.Popen[str], store: Path, asset: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(fragments(store, asset)) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(os.getpid()).random() * 0.1)


@pytest.mark.parametrize("killed", ["parent", "replica"])
def test_killed_in_the_middle_and_gone_on_with_another_number(make_project: MakeProject, killed: str) -> None:
    folder = make_project(models=fake(2, seconds_per_response=0.02), **SECTIONS)
    store = folder / "store"
    for asset in ("samples", "token_distributions"):
        process = start(folder, asset)
        wait_for(process, store, asset, 1)
        children = psutil.Process(process.pid).children()
        victim = process.pid if killed == "parent" else children[0].pid
        os.kill(victim, signal.SIGKILL)
        if killed == "parent":
            process.wait()
            psutil.wait_procs(children, timeout=20)
            assert not any(child.is_running() for child in children)
            before = fragments(store, asset)
            make_project(models=fake(3), **SECTIONS)
            assert start(folder, asset).wait(120) == 0
            after = fragments(store, asset)
            assert {path: after[path] for path in before} == before  # not written a second time
            make_project(models=fake(2, seconds_per_response=0.02), **SECTIONS)
        else:
            assert process.wait(120) == 0
    study = load_study()
    found = {asset: Store(study.store_path).require(asset, KEY).read() for asset in ("samples", "token_distributions")}
    make_project(models=fake(None), **SECTIONS)
    partition, other = load_study().partition("arithmetic|tiny"), Store(str(folder / "other"))
    assert materialize_samples(partition, other).generation.read().equals(found["samples"])
    assert materialize_token_distributions(partition, other).generation.read().equals(found["token_distributions"])


def test_one_and_two_replicas_of_a_real_model_agree(make_torch_project: MakeProject, tiny_folder: Path) -> None:
    """Tokens equal, numbers to a rounding; one bar, and the facts say where it ran."""
    made = {}
    for count in (None, 2):
        options = {"device": "cpu", "num_process": count}
        folder = make_torch_project(
            models={"tiny": {"model_name": str(tiny_folder), "backend_specific": options}},
            sampling={"max_length": 12, "num_samples": 8, "batch_size": 8, "seed": 7},
        )
        partition, store = load_study().partition("arithmetic|tiny"), Store(str(folder / f"store-{count}"))
        said: list[str] = []
        steps = (materialize_samples, materialize_token_distributions)
        made[count] = [step(partition, store, said.append) for step in steps]
        assert [line.partition(",")[0] for line in said if "32/32" in line] == [
            "sampling 32/32 responses",
            "scoring 32/32 responses",
        ]
    alone, shared = made[None], made[2]
    assert [one.generation.fingerprint for one in alone] == [one.generation.fingerprint for one in shared]
    assert {one.manifest.facts["device"] for one in shared} == {"2 replicas: cpu"}
    assert {one.manifest.facts["device"] for one in alone} == {"cpu"}
    for left, right in zip(alone, shared, strict=True):
        a, b = left.generation.read(), right.generation.read()
        for name in a.column_names:
            if name in NUMBERS:
                numbers = [np.array(np.concatenate([np.atleast_1d(x) for x in t[name].to_pylist()])) for t in (a, b)]
                np.testing.assert_allclose(*numbers, atol=2e-3)
            elif name != "topk_ids":  # near ties may change places
                assert a[name].equals(b[name]), name
