"""Cross-scoring on a GPU: divergences against float64, and its cost beside scoring by each of the two models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_parts import median_seconds
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.pairs import HuggingfacePair
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.huggingface.trying import plain_logits
from onoff_core.study import DistributionSettings, ModelSettings


def pair_of(first: LoadedModel, second: LoadedModel) -> HuggingfacePair:
    """The pair scorer over two models that are there already."""
    names = [(name, ModelSettings(model_name=name)) for name in ("first", "second")]
    pair = HuggingfacePair(names[0], names[1], Path.cwd(), "in_turn")  # which loads nothing until it is asked
    pair._take(first, second)
    return pair


def cross_agreement(first: LoadedModel, second: LoadedModel) -> dict[str, Any]:
    """The worst differences from the definitions in float64 over the same logits' models, in nats."""
    draw, prompt = np.random.default_rng(2), list(range(3, 20))
    texts = [draw.integers(3, 3000, length).tolist() for length in (40, 1, 90, 7)]
    worst: dict[str, float] = {}
    for text, found in zip(texts, pair_of(first, second).score(prompt, texts, 5), strict=True):
        p, q = (
            plain_logits(one, [*prompt, *text])[len(prompt) - 1 : -1].double().log_softmax(-1)
            for one in (first, second)
        )
        m = (p.exp() + q.exp()).log() - np.log(2)
        wanted = {
            "kl": (p.exp() * (p - q)).sum(-1),
            "reverse_kl": (q.exp() * (q - p)).sum(-1),
            "js": ((p.exp() * (p - m)).sum(-1) + (q.exp() * (q - m)).sum(-1)) / 2,
        }
        for name, values in wanted.items():
            worst[name] = max(worst.get(name, 0.0), float(np.abs(found[name] - values.cpu().numpy()).max()))
    itself = next(iter(pair_of(first, first).score(prompt, texts[:1], 5)))
    return {**worst, "kl_of_a_model_with_itself": float(itself["kl"].max())}


def cross_cost(first: LoadedModel, second: LoadedModel) -> dict[str, Any]:
    """16 responses of 1,024 tokens: by both in turn, and compared by both at once."""
    draw, vocab = np.random.default_rng(0), first.vocab_size
    prompt = draw.integers(3, vocab, 150).tolist()
    texts = [draw.integers(3, vocab, 1024).tolist() for _ in range(16)]
    settings, pair = DistributionSettings(top_k=20), pair_of(first, second)

    def alone() -> None:
        for one in (first, second):
            list(score(one, prompt, texts, settings))

    works: dict[str, Callable[[], Any]] = {"alone": alone, "cross": lambda: list(pair.score(prompt, texts, 20))}
    seconds = {name: median_seconds(work) for name, work in works.items()}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    list(pair.score(prompt, [draw.integers(3, vocab, 2048).tolist()], 20))
    return {
        **{f"seconds_{name}": value for name, value in seconds.items()},
        "cross_of_both_alone": seconds["cross"] / seconds["alone"],
        "megabytes_above_both_models_2048_tokens": (torch.cuda.max_memory_allocated() - before) / 2**20,
    }
