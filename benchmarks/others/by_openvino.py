"""The job by OpenVINO GenAI's continuous batching; `install_openvino` makes its environment.

Keys and values are kept in the type that is computed in, and prompts computed once. The model is converted on first
use, once an environment.
"""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.others.job import Done, Job, serve

_PRECISION = {"float32": "f32", "bfloat16": "bf16"}
_CACHE_GB = 4
_BATCHED_TOKENS = 512  # of prompts and of responses, in one pass
_EVERY_TOKEN = 2**63 - 1


def run(job: Job) -> Done:
    # Of another environment than the one where this file is checked.
    genai: Any = importlib.import_module("openvino_genai")
    openvino: Any = importlib.import_module("openvino")
    numpy: Any = importlib.import_module("numpy")
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = _CACHE_GB
    scheduler.max_num_seqs = job.rows
    scheduler.max_num_batched_tokens = _BATCHED_TOKENS
    scheduler.dynamic_split_fuse = True
    scheduler.enable_prefix_caching = True
    options = {
        "INFERENCE_PRECISION_HINT": _PRECISION[job.dtype],
        "KV_CACHE_PRECISION": _PRECISION[job.dtype],  # no other goes with bf16
        "INFERENCE_NUM_THREADS": int(os.environ["OMP_NUM_THREADS"]),  # which it does not read by itself
    }
    pipeline = genai.ContinuousBatchingPipeline(str(_converted(Path(job.model))), scheduler, "CPU", options)
    inputs, configs = [], []
    for ids in job.prompts:
        for _ in range(job.samples):
            inputs.append(openvino.Tensor(numpy.array([ids], dtype=numpy.int64)))
            configs.append(_config(genai, job, seed=len(configs)))
    began = time.perf_counter()
    results = pipeline.generate(inputs, configs)
    seconds = time.perf_counter() - began
    stops = set(job.stop_token_ids)
    drawn = [list(ids) for result in results for ids in result.m_generation_ids]
    lengths = [len(ids) - (ids[-1] in stops) for ids in drawn if ids]
    return Done(lengths, seconds, genai.__version__)


def _config(genai: Any, job: Job, seed: int) -> Any:
    config = genai.GenerationConfig()
    config.do_sample, config.rng_seed = True, seed
    config.temperature, config.top_p, config.top_k = 1.0, 1.0, _EVERY_TOKEN
    config.max_new_tokens = job.max_tokens
    config.stop_token_ids = set(job.stop_token_ids)
    config.apply_chat_template = False
    return config


def _converted(model: Path) -> Path:
    """The model in OpenVINO's own form, in float32, whole or not at all."""
    folder = Path(sys.prefix, "models", model.name)
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            subprocess.run(
                [
                    *(str(Path(sys.prefix, "bin", "optimum-cli")), "export", "openvino", "--model", str(model)),
                    *("--task", "text-generation-with-past", "--weight-format", "fp32", f"{scratch}/made"),
                ],
                check=True,
                stdout=sys.stderr,
            )
            shutil.move(f"{scratch}/made", folder)
    return folder


if __name__ == "__main__":
    serve(run)
