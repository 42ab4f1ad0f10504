"""The job by vLLM on a CPU; `tests/backends/openai/vllm/install.py` makes its environment. Eager, in one process."""

import importlib
import os
import time
from typing import Any

from benchmarks.others.job import Done, Job, serve

_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "4",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_USE_AOT_COMPILE": "0",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "HF_HUB_OFFLINE": "1",
}


def run(job: Job) -> Done:
    os.environ.update(_ENVIRONMENT)
    vllm: Any = importlib.import_module("vllm")  # of another environment than the one where this file is checked
    engine = vllm.LLM(
        model=job.model,
        dtype=job.dtype,
        max_model_len=max(map(len, job.prompts)) + job.max_tokens,
        max_num_seqs=job.rows,
        enforce_eager=True,
        generation_config="vllm",
        enable_prefix_caching=True,
        seed=0,
    )
    params = vllm.SamplingParams(
        n=job.samples,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        max_tokens=job.max_tokens,
        stop_token_ids=job.stop_token_ids,
        detokenize=False,
    )
    prompts = [{"prompt_token_ids": ids} for ids in job.prompts]
    began = time.perf_counter()
    outputs = engine.generate(prompts, params, use_tqdm=False)
    seconds = time.perf_counter() - began
    stops = set(job.stop_token_ids)
    drawn = [list(one.token_ids) for output in outputs for one in output.outputs]
    lengths = [len(ids) - (ids[-1] in stops) for ids in drawn if ids]
    return Done(lengths, seconds, vllm.__version__)


if __name__ == "__main__":
    serve(run)
