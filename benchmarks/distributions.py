"""Extracting distributions beside one bare forward pass, and beside what the research scripts do.

16 responses of 160 tokens (two prompts) and 8 of 1,500 (one prompt), k = 20 and k = 1,000, writing Parquet included.
The limit is one forward pass over the same tokens, with shared prompts and logits at response positions only, of which
nothing is computed. The scripts' way takes one response at a time, with a softmax over the whole vocabulary in numpy,
an entropy with clipping, and an `argsort` a token. Memory is the peak above the loaded model, in a process of its own.
"""

import multiprocessing
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from transformers import DynamicCache

from benchmarks.figures import Figure, interleaved
from benchmarks.workloads import embedded_model, random_llama, scratch_folder
from onoff_core.backends.huggingface.engine import HuggingfaceModel
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.distributions import extract_distributions
from onoff_core.store.parquet import write_parquet
from onoff_core.study import DistributionSettings
from onoff_core.tables import SCHEMAS

PROMPT_TOKENS = 100


def samples_table(vocab_size: int, prompts: int, per_prompt: int, tokens: int) -> pa.Table:
    """Random token ids in the place of samples: the work does not depend on which tokens they are."""
    draw = np.random.default_rng(0)
    rows = []
    for prompt in range(prompts):
        prompt_ids = draw.integers(3, vocab_size, PROMPT_TOKENS).tolist()
        for index in range(per_prompt):
            rows.append(
                {
                    "problem_id": f"p{prompt}",
                    "sample_index": index,
                    "prompt": "",
                    "prompt_token_ids": prompt_ids,
                    "response": "",
                    "token_ids": draw.integers(3, vocab_size, tokens).tolist(),
                    "token_logprobs": [0.0] * tokens,
                    "finish_reason": "length",
                    "num_tokens": tokens,
                }
            )
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])


def ours(loaded: LoadedModel, samples: pa.Table, top_k: int | None, folder: Path) -> float:
    """Tokens a second, from ids to the finished file."""
    began = time.perf_counter()
    tables = extract_distributions(HuggingfaceModel(loaded), samples, DistributionSettings(top_k=top_k))
    write_parquet(tables, SCHEMAS["token_distributions"], folder / "ours.parquet")
    return sum(samples["num_tokens"].to_pylist()) / (time.perf_counter() - began)


@torch.inference_mode()
def forward_alone(loaded: LoadedModel, samples: pa.Table) -> float:
    """Tokens a second of the model alone: shared prompts, whole responses, logits where a response token
    follows.
    """
    began, previous, prefix = time.perf_counter(), None, DynamicCache()
    for row in samples.select(["prompt_token_ids", "token_ids"]).to_pylist():
        prompt_ids, token_ids = row["prompt_token_ids"], row["token_ids"]
        if prompt_ids != previous:
            prefix, previous = DynamicCache(), prompt_ids
            loaded.model(torch.tensor([prompt_ids]), past_key_values=prefix, use_cache=True, logits_to_keep=1)
        loaded.model(torch.tensor([token_ids[:-1]]), past_key_values=prefix, use_cache=True)
        prefix.crop(len(prompt_ids) - prefix.get_seq_length())
    return sum(samples["num_tokens"].to_pylist()) / (time.perf_counter() - began)


@torch.inference_mode()
def scripts_way(loaded: LoadedModel, samples: pa.Table, top_k: int, folder: Path) -> float:
    """Tokens a second of the research scripts' way."""
    began, arrays = time.perf_counter(), {}
    for number, row in enumerate(samples.select(["prompt_token_ids", "token_ids"]).to_pylist()):
        prompt_ids, token_ids = row["prompt_token_ids"], row["token_ids"]
        logits = loaded.model(torch.tensor([prompt_ids + token_ids])).logits[0, len(prompt_ids) - 1 : -1].numpy()
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities = shifted / shifted.sum(-1, keepdims=True)
        clipped = np.clip(probabilities, 1e-10, 1.0)
        entropy = -(clipped * np.log(clipped)).sum(-1)
        indices = np.stack([np.argsort(token)[::-1][:top_k] for token in probabilities])
        arrays[f"dist_{number}_indices"] = indices
        arrays[f"dist_{number}_values"] = np.take_along_axis(probabilities, indices, -1)
        arrays[f"entropy_{number}"] = entropy
    np.savez_compressed(folder / "theirs.npz", **arrays)
    return sum(samples["num_tokens"].to_pylist()) / (time.perf_counter() - began)


def run(repeats: int) -> list[Figure]:
    folder = scratch_folder()
    try:
        return [*_embedded(repeats, folder), *_large_vocabulary(repeats, folder), _memory()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _embedded(repeats: int, folder: Path) -> list[Figure]:
    loaded = embedded_model()
    figures = []
    for name, samples in (
        ("16 x 160 tokens", samples_table(loaded.vocab_size, 2, 8, 160)),
        ("8 x 1,500 tokens", samples_table(loaded.vocab_size, 1, 8, 1500)),
    ):
        ours(loaded, samples.slice(0, 1), 20, folder)  # packs the weights
        medians = interleaved(
            {
                "limit": lambda samples=samples: forward_alone(loaded, samples),
                "k = 20": lambda samples=samples: ours(loaded, samples, 20, folder),
                "k = 1000": lambda samples=samples: ours(loaded, samples, 1000, folder),
                "scripts": lambda samples=samples: scripts_way(loaded, samples.slice(0, 4), 20, folder),
            },
            repeats,
            _say,
        )
        figures.append(Figure(f"limit, {name}", medians["limit"], "tokens/s"))
        figures.append(Figure(f"research scripts' way, k = 20, {name}", medians["scripts"], "tokens/s"))
        for kind in ("k = 20", "k = 1000"):
            speed = medians[kind]
            ratio = speed / medians["limit"]
            figures.append(Figure(f"onoff, {kind}, {name}", speed, "tokens/s", "limit", ratio, ">= 0.9"))
        ratio = medians["k = 20"] / medians["scripts"]
        figures.append(Figure(f"onoff, k = 20, {name}", medians["k = 20"], "tokens/s", "scripts", ratio, ">= 1.5"))
    return figures


def _large_vocabulary(repeats: int, folder: Path) -> list[Figure]:
    loaded = random_llama(151_936)
    samples = samples_table(loaded.vocab_size, 1, 4, 160)
    medians = interleaved(
        {
            "onoff": lambda: ours(loaded, samples, 20, folder),
            "scripts": lambda: scripts_way(loaded, samples, 20, folder),
        },
        repeats,
        _say,
    )
    speed, scripts = medians["onoff"], medians["scripts"]
    return [
        Figure("research scripts' way, V = 151,936, small model", scripts, "tokens/s"),
        Figure("onoff, V = 151,936, small model", speed, "tokens/s", "scripts", speed / scripts),
    ]


def _memory() -> Figure:
    """Measured in a process of its own, since the peak of resident memory counts from a process's start."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(_peak_above_model)
    return Figure("peak above the loaded model, 2,048 tokens, V = 151,936", peak, "MB", target="< 700 MB")


def _peak_above_model() -> float:
    loaded = random_llama(151_936)
    samples = samples_table(loaded.vocab_size, 1, 1, 2048)
    folder = scratch_folder()
    ours(loaded, samples_table(loaded.vocab_size, 1, 1, 8), 20, folder)  # packed weights belong to the loaded model
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here (Linux)
    before = _memory_line("VmRSS")
    ours(loaded, samples, 20, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return (_memory_line("VmHWM") - before) / 1024


def _memory_line(name: str) -> int:
    """A line of this process's memory status, in kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
