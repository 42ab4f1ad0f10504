"""What a GPU must show, as one script of at most ten minutes for a machine without a network.

    python -m benchmarks.gpu --output gpu.json        # or: onoff bench gpu

Weights are random and made there. It needs torch, transformers, accelerate, numpy, numba, pyyaml, filelock, safetensors
and pydantic (whose wheels can travel: pydantic, pydantic-core, annotated-types, typing-inspection). Each part has a
limit of its own, and stands in the JSON when it ends, with its figures, the error that ended it, or as left out for
lack of time. `--tiny` runs the checks of agreement alone, with small models, on whatever device there is.
"""

import argparse
import gc
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, Gemma2Config, GenerationConfig, LlamaConfig, Qwen3Config

from benchmarks.gpu_cross import cross_agreement, cross_cost
from benchmarks.gpu_parts import busiest, killed_replica, limited, median_seconds, one_pass
from benchmarks.gpu_switch import switch_agreement
from onoff_core.backends.huggingface import continuous, cpu
from onoff_core.backends.huggingface import gpu as fused
from onoff_core.backends.huggingface.continuous import continuous_batches
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import LoadedModel, load_model
from onoff_core.backends.huggingface.many_tokens import score_many
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.huggingface.trying import plain_logits
from onoff_core.backends.requests import Request
from onoff_core.study import BackendOptions, DistributionSettings, ModelSettings, SamplingSettings

SECONDS = 540  # after so many nothing is running any more
QWEN3_8B: dict[str, Any] = {
    "vocab_size": 151_936,
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
SMOLLM2_135M: dict[str, Any] = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
}
SMALL: dict[str, Any] = {
    "vocab_size": 3000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
STOP = 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def random_model(config: Any, dtype: torch.dtype, std: float = 0.02, seed: int = 0) -> LoadedModel:
    """Random weights on the device; a response ends at token 2, which is rare."""
    config.eos_token_id, config.bos_token_id, config.pad_token_id = STOP, 1, 0
    config.max_position_embeddings, config.initializer_range = 8192, std
    torch.manual_seed(seed)
    with torch.device(DEVICE):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    return LoadedModel("random", model, None, model.device, None, frozenset({STOP}))


def small(dtype: torch.dtype, kind: Any = Qwen3Config) -> LoadedModel:
    return random_model(kind(**SMALL), dtype, std=0.3)


def asked(problems: int, samples: int, prompt: int = 9, vocab: int = 3000) -> list[Request]:
    ids = np.random.default_rng(0).integers(3, vocab, (problems, prompt + problems))
    return [Request(f"p{n}", s, tuple(ids[n, : prompt + n].tolist())) for n in range(problems) for s in range(samples)]


def agreement(dtype: torch.dtype) -> dict[str, Any]:
    """The sampler, the scorer and plain forward passes, in nats; and responses by other batches and decoders."""
    loaded = small(dtype)
    sampling = SamplingSettings(max_length=24, temperature=0.8, top_p=0.95, batch_size=16)
    responses = {r.request: r for r in decode(loaded, asked(4, 4), sampling, 0)}
    told, scored, entropies = [], [], []
    for request, response in responses.items():
        (scores,) = score(loaded, request.prompt_ids, [response.token_ids], DistributionSettings())
        logits = plain_logits(loaded, [*request.prompt_ids, *response.token_ids])[len(request.prompt_ids) - 1 : -1]
        logp = logits.double().log_softmax(-1).cpu()
        plain = logp.gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0].numpy()
        told.append(np.abs(np.array(response.logprobs) - scores["logprob"]).max())
        scored.append(np.abs(scores["logprob"] - plain).max())
        entropies.append(np.abs(scores["entropy"] + (logp.exp() * logp).sum(-1).numpy()).max())
    alone = {
        r.request: r.token_ids for r in decode(loaded, asked(4, 4), sampling.model_copy(update={"batch_size": 1}), 0)
    }
    return {
        "decoder": "continuous batching" if _batched(loaded) else str(cpu.supports(loaded) or "our loop"),
        "sampler_and_scorer": float(max(told)),
        "scorer_and_plain_pass": float(max(scored)),
        "entropy_and_plain_pass": float(max(entropies)),
        "responses": len(alone),
        "responses_that_differ_alone": sum(alone[r] != response.token_ids for r, response in responses.items()),
        **_together(loaded),
        **_continuous(loaded),
    }


def _batched(loaded: LoadedModel) -> bool:
    return loaded.device.type == "cuda" and continuous.supports(loaded) is None


def _together(loaded: LoadedModel) -> dict[str, Any]:
    """Responses of uneven length scored together, as on a GPU, against one by one."""
    draw, prompt = np.random.default_rng(1), list(range(3, 20))
    responses = [draw.integers(3, 3000, length).tolist() for length in (70, 1, 33, 5)]
    worst = 0.0
    for top_k in (5, 1000):
        settings = DistributionSettings(top_k=top_k)
        together = list(score_many(loaded, prompt, responses, settings))
        alone = [next(score_many(loaded, prompt, [response], settings)) for response in responses]
        for one, other in zip(together, alone, strict=True):
            worst = max(worst, *(float(np.abs(one[name] - other[name]).max()) for name in ("logprob", "topk_logprobs")))
    return {"scored_together_and_alone": worst}


def _continuous(loaded: LoadedModel) -> dict[str, Any]:
    """What the library was told of log-probabilities, against a plain pass; and greedy tokens against `generate`."""
    reason = continuous.supports(loaded)
    if reason is not None:
        return {"continuous_batching": reason}
    worst, equal, requests = 0.0, 0, asked(4, 1)
    sampled = SamplingSettings(max_length=16)
    for response in list(continuous_batches(loaded, requests, sampled, 0, 4, lambda count: None)):
        prompt = response.request.prompt_ids
        logp = plain_logits(loaded, [*prompt, *response.token_ids])[len(prompt) - 1 : -1].float().log_softmax(-1).cpu()
        plain = logp.gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0]
        worst = max(worst, float((plain - torch.tensor(response.logprobs)).abs().max()))
    greedy = SamplingSettings(max_length=16, do_sample=False)
    for response in list(continuous_batches(loaded, requests, greedy, 0, 4, lambda count: None)):
        ids = torch.tensor([response.request.prompt_ids], device=loaded.device)
        config = GenerationConfig(do_sample=False, max_new_tokens=16, eos_token_id=STOP, pad_token_id=STOP)
        found = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
        equal += found[0, ids.shape[1] :].tolist() == response.token_ids
    return {"told_and_plain_pass": worst, "greedy_equal_to_generate": f"{equal} of {len(requests)}"}


def speed_of_scoring(loaded: LoadedModel) -> dict[str, Any]:
    """16 responses of 1,024 tokens to one prompt of 150 against the bare pass over the same tokens; and the memory of
    one response of 2,048.
    """
    draw, vocab = np.random.default_rng(0), loaded.vocab_size
    prompt = draw.integers(3, vocab, 150).tolist()
    responses = [draw.integers(3, vocab, 1024).tolist() for _ in range(16)]
    tokens = 16 * 1024

    @torch.inference_mode()
    def bare() -> None:
        for begin in range(0, 16, 4):
            ids = torch.tensor([prompt + response for response in responses[begin : begin + 4]], device=loaded.device)
            loaded.model(input_ids=ids, use_cache=False, logits_to_keep=1024)

    found: dict[str, Any] = {"bare_tokens_per_second": tokens / median_seconds(bare)}
    for top_k in (20, 1000):
        settings = DistributionSettings(top_k=top_k)
        speed = tokens / median_seconds(lambda settings=settings: list(score(loaded, prompt, responses, settings)))
        found[f"k_{top_k}_tokens_per_second"] = speed
        found[f"k_{top_k}_of_bare"] = speed / found["bare_tokens_per_second"]
    with patch.object(fused, "can_run", lambda *arguments: False):
        usual = DistributionSettings(top_k=20)
        speed = tokens / median_seconds(lambda: list(score(loaded, prompt, responses, usual)))
        found["k_20_without_kernel_of_bare"] = speed / found["bare_tokens_per_second"]
    for top_k in (20, 1000):
        settings = DistributionSettings(top_k=top_k)
        found[f"k_{top_k}_milliseconds"] = busiest(
            lambda settings=settings: list(score(loaded, prompt, responses, settings))
        )
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    list(score(loaded, prompt, [draw.integers(3, vocab, 2048).tolist()], DistributionSettings(top_k=20)))
    found["megabytes_above_model_2048_tokens"] = (torch.cuda.max_memory_allocated() - before) / 2**20
    return found


def speed_of_sampling(loaded: LoadedModel, rows: int = 64, tokens: int = 256) -> dict[str, Any]:
    """`rows` responses side by side, ours against the library's own `generate_batch`."""
    requests = asked(8, rows // 8, 120, loaded.vocab_size)
    sampling = SamplingSettings(max_length=tokens, batch_size=rows)
    config = GenerationConfig(do_sample=True, max_new_tokens=tokens, eos_token_id=-1, pad_token_id=STOP)
    counted: list[int] = []

    def ours() -> None:
        counted.append(sum(len(response.token_ids) for response in decode(loaded, requests, sampling, 0)))

    def theirs() -> None:
        found = loaded.model.generate_batch([list(r.prompt_ids) for r in requests], generation_config=config)
        counted.append(sum(len(output.generated_tokens) for output in found.values()))

    speeds = {}
    for name, work in (("onoff", ours), ("generate_batch", theirs)):
        seconds = median_seconds(work, 1)
        speeds[name] = counted[-1] / seconds
    return {**speeds, "ratio": speeds["onoff"] / speeds["generate_batch"]}


def out_of_memory() -> dict[str, Any]:
    """With little of the memory allowed, scoring and our loop halve what they do at once, and find the same."""
    loaded = random_model(Qwen3Config(**{**SMALL, "vocab_size": 151_936}), torch.float32, std=0.3)
    draw = np.random.default_rng(0)
    responses = [draw.integers(3, 3000, 1000).tolist() for _ in range(8)]
    free = list(score(loaded, [5, 6, 7], responses, DistributionSettings()))
    looped = random_model(Gemma2Config(**{**SMALL, "hidden_size": 1024, "head_dim": 256}), torch.float32)
    requests = asked(1, 64)
    sampling = SamplingSettings(max_length=600, batch_size=64)
    tokens = {r.request: r.token_ids for r in decode(looped, requests[:2], sampling, 0)}
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    used = torch.cuda.memory_allocated()
    try:
        torch.cuda.set_per_process_memory_fraction((used + 250 * 2**20) / total)
        tight = list(score(loaded, [5, 6, 7], responses, DistributionSettings()))
        tight_tokens = {r.request: r.token_ids for r in decode(looped, requests, sampling, 0)}
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    difference = max(np.abs(a["logprob"] - b["logprob"]).max() for a, b in zip(free, tight, strict=True))
    return {
        "scored_tokens": loaded.learnt.scored_tokens,
        "difference_of_scores": float(difference),
        "rows": looped.learnt.max_rows,
        "same_responses": all(tight_tokens[request] == ids for request, ids in tokens.items()),
    }


def device_map_auto() -> dict[str, Any]:
    """A model that accelerate places: sampled and scored alike."""
    from tests.tiny import save_tiny_llama

    with tempfile.TemporaryDirectory() as folder:
        save_tiny_llama(Path(folder))
        settings = ModelSettings(
            model_name=folder, backend_specific=BackendOptions(device_map="auto", torch_dtype="float32")
        )
        loaded = load_model("placed", settings, Path(folder))
        sampling = SamplingSettings(max_length=20, batch_size=4)
        worst = 0.0
        # All of them first: while continuous batching runs, the model's attention is its own.
        for response in list(decode(loaded, [Request("p", index, (5, 6, 7)) for index in range(4)], sampling, 0)):
            (scores,) = score(loaded, (5, 6, 7), [response.token_ids], DistributionSettings())
            worst = max(worst, float(np.abs(scores["logprob"] - np.array(response.logprobs)).max()))
        return {"device": str(loaded.device), "sampler_and_scorer": worst}


def _of_model(config: Any, part: Callable[[LoadedModel], dict[str, Any]]) -> dict[str, Any]:
    loaded = random_model(config, torch.bfloat16)
    try:
        return part(loaded)
    finally:
        del loaded
        torch.cuda.empty_cache()


def _of_two(config: Any, dtype: torch.dtype, std: float, part: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    pair = [random_model(config, dtype, std, seed) for seed in (0, 1)]
    try:
        return part(*pair)
    finally:
        del pair
        torch.cuda.empty_cache()


def _switched(first: LoadedModel, second: LoadedModel) -> dict[str, Any]:
    return switch_agreement(first, second, asked(4, 4))


# Seconds that a part may take at most; twice what the slowest took on an H100, and together less than SECONDS.
Part = tuple[float, Callable[[], dict[str, Any]]]


def _parts(tiny: bool) -> dict[str, Part]:
    parts: dict[str, Part] = {
        "agreement_float32": (30, lambda: agreement(torch.float32)),
        "agreement_bfloat16": (30, lambda: agreement(torch.bfloat16)),
        "cross_agreement": (30, lambda: _of_two(Qwen3Config(**SMALL), torch.float32, 0.3, cross_agreement)),
        "switch": (50, lambda: _of_two(Qwen3Config(**SMALL), torch.float32, 0.3, _switched)),
    }
    if tiny:
        return parts
    return {
        **parts,
        "one_pass_over_logits": (60, one_pass),
        "scoring_qwen3_8b": (80, lambda: _of_model(Qwen3Config(**QWEN3_8B), speed_of_scoring)),
        "scoring_smollm2": (40, lambda: _of_model(LlamaConfig(**SMOLLM2_135M), speed_of_scoring)),
        "cross_qwen3_8b": (90, lambda: _of_two(Qwen3Config(**QWEN3_8B), torch.bfloat16, 0.02, cross_cost)),
        "device_map_auto": (30, device_map_auto),
        "out_of_memory": (90, out_of_memory),
        "killed_replica": (100, lambda: killed_replica("cuda")),
        "sampling_smollm2": (120, lambda: _of_model(LlamaConfig(**SMOLLM2_135M), speed_of_sampling)),
        "sampling_qwen3_8b": (130, lambda: _of_model(Qwen3Config(**QWEN3_8B), speed_of_sampling)),
    }


def run(tiny: bool = False, output: Path | None = None, only: Sequence[str] = ()) -> dict[str, Any]:
    """All parts, by name. A part that fails says so and the next goes on: the machine may not be there again. The
    output is written whenever a part has ended.
    """
    if not tiny and DEVICE == "cpu":
        raise SystemExit("onoff bench gpu: this machine shows torch no GPU; --tiny checks agreement without one")
    began = time.monotonic()
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    for name, (seconds, part) in _parts(tiny).items():
        if only and name not in only:
            continue
        started = time.monotonic()
        limit = min(seconds, SECONDS - (started - began))
        found[name] = limited(part, limit) if limit >= 5 else {"left_out": "no time was left"}
        found[name]["seconds"] = round(time.monotonic() - started, 1)
        print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
        if output is not None:
            output.write_text(json.dumps(found, indent=1))
        gc.collect()
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Agreement and speed on a GPU, as one JSON.")
    parser.add_argument("--output", type=Path, default=Path("gpu.json"))
    parser.add_argument("--tiny", action="store_true", help="the checks of agreement alone, with small models")
    parser.add_argument("--only", nargs="+", default=(), metavar="PART", help="these parts alone")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    found = run(args.tiny, args.output, args.only)
    return int(any("error" in part for part in found.values() if isinstance(part, dict)))


if __name__ == "__main__":
    sys.exit(main())
