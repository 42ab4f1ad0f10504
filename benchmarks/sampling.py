"""Sampling beside what the research scripts do, and beside the matrix products alone.

16 GSM8K-like prompts x 8 samples, up to 256 new tokens, temperature 1, float32, the embedded model. Reference A
repeats each prompt 8 times, cuts the rows into batches, left-pads, and generates until a batch's last row ends; its
rows are the best of 16, 48 and 128, found with 48 new tokens. Limit L is the matrix products of our own row-steps,
with random inputs, by PyTorch's usual product. The last pair has lengths as uneven as real ones: a random model that
ends at random. Then other engines where they are installed (`engines`; with `--engines` these alone). With `--beside N`
see `beside`.
"""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig

from benchmarks import beside, engines
from benchmarks.figures import Figure, interleaved
from benchmarks.others import registry
from benchmarks.workloads import embedded_model, products_alone, random_llama, word_problem_requests
from onoff_core.backends.huggingface.cpu.loop import SlotLoop
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.requests import Request
from onoff_core.study import SamplingSettings

PROBLEMS, SAMPLES, MAX_TOKENS, ROWS = 16, 8, 256, 128
REFERENCE_ROWS = (16, 48, 128)


class _Counted(SlotLoop):
    """Our loop, which also counts the rows of every step."""

    steps: Counter[int]

    def _step(self, tokens: list[int]) -> torch.Tensor:
        self.steps[len(tokens)] += 1
        return super()._step(tokens)


def ours(loaded: LoadedModel, requests: Sequence[Request], max_tokens: int, rows: int, steps: Counter[int]) -> float:
    """Tokens a second; `steps` counts how many steps had how many rows."""
    sampling = SamplingSettings(max_length=max_tokens, num_samples=SAMPLES, batch_size=rows, temperature=1.0)
    loop = _Counted(loaded, requests, sampling, seed=0, max_rows=rows, on_tokens=lambda count: None)
    loop.steps = steps
    steps.clear()
    began = time.perf_counter()
    tokens = sum(len(response.token_ids) for response in loop.run())
    return tokens / (time.perf_counter() - began)


@torch.inference_mode()
def reference(loaded: LoadedModel, requests: Sequence[Request], max_tokens: int, rows: int) -> float:
    """Tokens a second of `generate` on repeated prompts in batches; tokens after a row's end are not counted."""
    ends = sorted(loaded.stop_token_ids)
    config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=max_tokens,
        eos_token_id=ends,
        pad_token_id=ends[0],
    )
    tokens, began = 0, time.perf_counter()
    for begin in range(0, len(requests), rows):
        batch = [request.prompt_ids for request in requests[begin : begin + rows]]
        width = max(map(len, batch))
        ids = torch.tensor([[ends[0]] * (width - len(prompt)) + list(prompt) for prompt in batch])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in batch])
        output = loaded.model.generate(ids, attention_mask=mask, generation_config=config)[:, width:]
        ended = torch.isin(output, torch.tensor(ends))
        first = torch.where(ended.any(-1), ended.int().argmax(-1) + 1, output.shape[1])
        tokens += int(first.sum())
    return tokens / (time.perf_counter() - began)


def run_beside(repeats: int, neighbours: int) -> list[Figure]:
    """Our speed beside so many busy processes."""
    return beside.run(repeats, neighbours, _say)


def run_engines(repeats: int, pythons: Mapping[str, Path]) -> list[Figure]:
    """Other engines alone, by the Python of each that is there."""
    return engines.run(repeats, pythons, _say)


def run(repeats: int, pythons: Mapping[str, Path] | None = None) -> list[Figure]:
    """`pythons`: of other engines' environments; None: those that `make` makes."""
    there = registry.pythons({}) if pythons is None else pythons
    loaded = embedded_model()
    requests = word_problem_requests(loaded, PROBLEMS, SAMPLES)
    steps: Counter[int] = Counter()
    trial = {rows: reference(loaded, requests, 48, rows) for rows in REFERENCE_ROWS}
    best = max(trial, key=lambda rows: trial[rows])
    _say(f"reference A by rows, 48 new tokens: {trial}")
    ours(loaded, requests[:SAMPLES], 8, ROWS, steps)  # packs the weights
    medians = interleaved(
        {
            "onoff": lambda: ours(loaded, requests, MAX_TOKENS, ROWS, steps),
            "limit L": lambda: products_alone(loaded, steps),
            "reference A": lambda: reference(loaded, requests, MAX_TOKENS, best),
        },
        repeats,
        _say,
    )
    speed, limit, plain = medians["onoff"], medians["limit L"], medians["reference A"]
    return [
        Figure(f"reference A, {best} rows", plain, "tokens/s"),
        Figure("limit L, matrix products alone", limit, "tokens/s"),
        Figure(f"onoff, {ROWS} rows", speed, "tokens/s", "reference A", speed / plain, ">= 2.5, aim 3"),
        Figure("onoff, of the limit", speed, "tokens/s", "limit L", speed / limit, ">= 0.55"),
        *_uneven(repeats),
        *(run_engines(repeats, there) if there else []),
    ]


def _uneven(repeats: int) -> list[Figure]:
    """A random model with 320 tokens ends with probability of about 1/320 a token: 1 to 2,048 tokens, 320 on
    average.
    """
    loaded = random_llama(320, hidden_size=576, intermediate_size=1536, num_attention_heads=9, num_key_value_heads=3)
    requests = [Request(f"p{number}", sample, tuple(range(3, 67))) for number in range(8) for sample in range(8)]
    steps: Counter[int] = Counter()
    medians = interleaved(
        {
            "onoff, uneven": lambda: ours(loaded, requests, 2048, 32, steps),
            "reference A, uneven": lambda: reference(loaded, requests, 2048, 32),
        },
        repeats,
        _say,
    )
    speed, plain = medians["onoff, uneven"], medians["reference A, uneven"]
    return [
        Figure("reference A, uneven lengths, 32 rows", plain, "tokens/s"),
        Figure("onoff, uneven lengths, 32 rows", speed, "tokens/s", "reference A, uneven", speed / plain),
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
