"""Running out of memory halves the rows in flight and goes on; provoked by a real limit on a real process."""

import json
import subprocess
import sys
from typing import Any

from tests.conftest import ROOT

# Keys and values take 64 kB a token and row: 64 rows of 60 tokens want 250 MB, of which 100 are allowed.
SCRIPT = """
import json, logging, resource, sys
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.requests import Request
from onoff_core.errors import ModelError
from onoff_core.study import SamplingSettings

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
torch.manual_seed(0)
config = LlamaConfig(vocab_size=300, hidden_size=1024, intermediate_size=64, num_hidden_layers=8,
                     num_attention_heads=16, num_key_value_heads=16, max_position_embeddings=4096)
loaded = LoadedModel("wide", LlamaForCausalLM(config).eval(), None, torch.device("cpu"), None, frozenset())
count, length = int(sys.argv[2]), int(sys.argv[3])
requests = [Request("p", index, tuple(range(3, 9))) for index in range(count)]
settings = SamplingSettings(max_length=length, batch_size=64, temperature=1.0)
first = settings.model_copy(update={"max_length": min(length, 60)})
few = list(decode(loaded, requests[:2], first, 0))
size = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]) * 2**20, resource.RLIM_INFINITY))
try:
    found = {r.request.sample_index: r.token_ids for r in decode(loaded, requests, settings, 0)}
    same = all(found[r.request.sample_index] == r.token_ids for r in few)
    print(json.dumps({"responses": len(found), "same": same, "rows": loaded.learnt.max_rows}))
except ModelError as error:
    print(json.dumps({"error": str(error)}))
"""


def run_with(megabytes: int, count: int, length: int) -> tuple[dict[str, Any], str]:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, (megabytes, count, length))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1]), result.stderr


def test_rows_are_halved_and_every_response_is_drawn() -> None:
    found, log = run_with(100, 64, 60)
    assert found["responses"] == 64
    assert found["same"]
    assert found["rows"] in (32, 16, 8)
    assert "out of memory with 64 rows; going on with 32" in log


def test_a_single_row_that_does_not_fit_says_what_to_do() -> None:
    found, _ = run_with(8, 1, 2000)
    assert "out of memory with a single response in flight" in found["error"]
    assert "max_length" in found["error"]
