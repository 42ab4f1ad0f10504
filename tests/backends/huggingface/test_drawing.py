"""Exactly the right distribution: against the definition, against transformers, and in a chi-square test."""

import math

import numpy as np
import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from onoff_core.backends.drafts import uniform_stream
from onoff_core.backends.huggingface.drawing import draw, truncate
from onoff_core.study import SamplingSettings

SETTINGS = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.8},
    {"top_k": 7},
    {"top_p": 0.8},
    {"top_k": 9, "top_p": 0.7},
    {"temperature": 1.5, "top_k": 40, "top_p": 0.9},
]


def by_transformers(logits: torch.Tensor, sampling: SamplingSettings) -> torch.Tensor:
    """The probabilities transformers would sample from, by its own warpers in its own order."""
    scores = logits.double()
    if sampling.temperature != 1:
        scores = TemperatureLogitsWarper(sampling.temperature)(None, scores)
    if sampling.top_k is not None:
        scores = TopKLogitsWarper(sampling.top_k)(None, scores)
    if sampling.top_p < 1:
        scores = TopPLogitsWarper(sampling.top_p)(None, scores)
    return scores.softmax(-1)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("vocab", [50, 700, 3000])
def test_truncation_is_that_of_transformers(settings: dict[str, float], vocab: int) -> None:
    """3,000 tokens are more than the nucleus is first looked for in; flat rows make it settle later."""
    noise = torch.randn(20, vocab, generator=torch.Generator().manual_seed(vocab))
    logits = noise * torch.linspace(0.05, 5, 20)[:, None]
    sampling = SamplingSettings(**settings)
    ours = truncate(logits, sampling).double().softmax(-1)
    theirs = by_transformers(logits, sampling)
    assert torch.equal(ours > 0, theirs > 0)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("vocab", [50, 700])
def test_drawn_tokens_follow_the_distribution(settings: dict[str, float], vocab: int) -> None:
    """Chi-square over 40,000 draws of one row; rare tokens are pooled. The seed is fixed, so this cannot flicker."""
    logits = torch.randn(1, vocab, generator=torch.Generator().manual_seed(3)) * 2
    sampling = SamplingSettings(**settings)
    wanted = by_transformers(logits, sampling)[0].numpy()
    draws, counts = 40_000, np.zeros(vocab)
    uniform = torch.from_numpy(np.random.default_rng(5).random(draws))
    for part in uniform.split(5_000):
        tokens, _ = draw(logits.expand(len(part), -1).contiguous(), part, sampling)
        counts += np.bincount(tokens.numpy(), minlength=vocab)
    assert counts[wanted == 0].sum() == 0
    common = wanted * draws >= 20
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(wanted[common], wanted[~common].sum()) * draws
    observed, expected = observed[expected > 5], expected[expected > 5]
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = len(expected) - 1
    # Wilson-Hilferty: the cube root of chi-square / freedom is nearly normal; 4 standard deviations
    z = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom)) if freedom else 0.0
    assert z < 4, (statistic, freedom)


@pytest.mark.parametrize("vocab", [1, 2, 255, 256, 257, 600])
def test_the_ends_of_the_unit_interval(vocab: int) -> None:
    """0 gives the first token with weight, the largest float below 1 the last; a token without weight is never
    drawn.
    """
    logits = torch.zeros(2, vocab)
    uniform = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    tokens, logprobs = draw(logits, uniform, SamplingSettings())
    assert tokens.tolist() == [0, vocab - 1]
    torch.testing.assert_close(logprobs, torch.full((2,), -math.log(vocab)))
    if vocab > 2:
        logits[:, [0, -1]] = -torch.inf
        assert draw(logits, uniform, SamplingSettings())[0].tolist() == [1, vocab - 2]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_logprobs_are_the_raw_models(settings: dict[str, float]) -> None:
    logits = torch.randn(64, 900, generator=torch.Generator().manual_seed(1)) * 3
    uniform = torch.rand(64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    tokens, logprobs = draw(logits, uniform, SamplingSettings(**settings))
    wanted = logits.double().log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
    torch.testing.assert_close(logprobs.double(), wanted, atol=1e-5, rtol=0)


def test_greedy_is_the_most_probable() -> None:
    logits = torch.randn(5, 100, generator=torch.Generator().manual_seed(1))
    uniform = torch.rand(5, dtype=torch.float64)
    for settings in (SamplingSettings(do_sample=False, temperature=2.0), SamplingSettings(temperature=0)):
        assert torch.equal(draw(logits, uniform, settings)[0], logits.argmax(-1))


def test_streams_are_their_own() -> None:
    first = uniform_stream(0, "a", 0).random(4)
    assert np.array_equal(first, uniform_stream(0, "a", 0).random(4))
    for other in ((1, "a", 0), (0, "b", 0), (0, "a", 1), (0, "a\x1f0", 0)):
        assert not np.array_equal(first, uniform_stream(*other).random(4))
