"""How threads wait is settled before torch is loaded, and a user's own word stays."""

import json
import os
import subprocess
import sys

import pytest

from onoff_core.backends.huggingface.threads import settle_threads
from tests.conftest import ROOT

SPINS = {"GOMP_SPINCOUNT": "10000"}


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, SPINS),
        ({"OMP_WAIT_POLICY": "active"}, {}),
        ({"GOMP_SPINCOUNT": "7"}, {}),
        ({"KMP_BLOCKTIME": "200"}, {}),
        ({"OMP_NUM_THREADS": "1"}, {**SPINS, "NUMBA_NUM_THREADS": "1"}),
        ({"OMP_NUM_THREADS": "4,2"}, {**SPINS, "NUMBA_NUM_THREADS": "4"}),
        ({"OMP_NUM_THREADS": "4", "NUMBA_NUM_THREADS": "2"}, SPINS),
        ({"OMP_NUM_THREADS": "many"}, SPINS),
    ],
)
def test_what_is_added_to_the_environment(given: dict[str, str], added: dict[str, str]) -> None:
    environment = dict(given)
    settle_threads(environment)
    assert environment == {**given, **added}


SCRIPT = """
import json, os, sys
import onoff_core.backends
from onoff_core.study import ModelSettings
assert "torch" not in sys.modules
seen = {}
class Watch:  # the first import of torch, and what its libraries will read
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numba"):
            seen.setdefault(name, {k: v for k, v in os.environ.items() if k in ("GOMP_SPINCOUNT", "NUMBA_NUM_THREADS")})
sys.meta_path.insert(0, Watch())
onoff_core.backends._engine("huggingface")
import numba, torch
from onoff_core.backends.huggingface.cpu import kernels
print(json.dumps({**seen, "threads": [torch.get_num_threads(), numba.get_num_threads(), kernels.threads(8)],
                  "most": numba.config.NUMBA_NUM_THREADS}))
"""


def test_it_is_there_when_torch_is_loaded_and_one_thread_is_one() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "NUMBA_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["torch"] == found["numba"] == {**SPINS, "NUMBA_NUM_THREADS": "1"}
    assert found["threads"] == [1, 1, 1]
    assert found["most"] == 1
