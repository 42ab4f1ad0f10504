"""The numbers behind every token against a float64 reference, and the scorer against the sampler."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from onoff_core.backends.huggingface.engine import HuggingfaceModel
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.huggingface.token_statistics import token_statistics
from onoff_core.distributions import extract_distributions
from onoff_core.problems import load_problems
from onoff_core.sampling import chunks_of, sample_chunks
from onoff_core.study import DatasetSettings, DistributionSettings, SamplingSettings, TaskSettings
from onoff_core.tasks import Prompt
from tests.conftest import ROOT


def reference(logits: torch.Tensor, targets: torch.Tensor, temperature: float) -> dict[str, torch.Tensor]:
    """The definitions, in float64, without a shift or a trick."""
    scaled = logits.double() / temperature
    logp = torch.log_softmax(scaled, -1)
    p = logp.exp()
    entropy = -torch.where(p > 0, p * logp, 0).sum(-1)
    chosen = logp.gather(-1, targets[:, None])[:, 0]
    return {
        "logprob": chosen,
        "rank": (logp > chosen[:, None]).sum(-1) + 1,
        "entropy": entropy,
        "varentropy": (p * (logp + entropy[:, None]) ** 2).sum(-1),
        "logsumexp": torch.logsumexp(scaled, -1),
        "mean_log_prob_vocabulary": logp.mean(-1),
        "logp": logp,
    }


def statistics(logits: torch.Tensor, targets: torch.Tensor, **settings: Any) -> dict[str, torch.Tensor]:
    columns = token_statistics(logits, targets, DistributionSettings(**settings))
    return {name: torch.from_numpy(column) for name, column in columns.items()}


def check(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], top_k: int | None) -> None:
    assert torch.equal(found["rank"].long(), wanted["rank"])
    tolerances = {"varentropy": 1e-4, "mean_log_prob_vocabulary": 3e-5}
    for name in ("logprob", "entropy", "varentropy", "logsumexp", "mean_log_prob_vocabulary"):
        tolerance = tolerances.get(name, 1e-5)
        error = (found[name].double() - wanted[name]).abs().max().item()
        assert error < tolerance, f"{name}: {error}"
    if top_k is None:
        assert "topk_ids" not in found
        assert (found["topk_logprobs"].double() - wanted["logp"]).abs().max() < 1e-5
        assert (found["tail_mass"] == 0).all()
        return
    values, _ = wanted["logp"].topk(top_k)
    assert (found["topk_logprobs"].double() - values).abs().max() < 1e-5
    picked = wanted["logp"].gather(-1, found["topk_ids"].long())
    assert (picked - values).abs().max() < 1e-5  # not equal: float32 may order a near tie the other way
    assert (found["tail_mass"].double() - (1 - values.exp().sum(-1))).abs().max() < 1e-6


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [1, 20, None])
def test_known_distributions(temperature: float, top_k: int | None) -> None:
    """Uniform: entropy is ln V and everything has rank 1; one sure token: 0. Beside them noise at many scales."""
    size, draw = 512, torch.Generator().manual_seed(1)
    sure = torch.full((size,), -1e4)
    sure[3] = 100.0
    noise = [torch.randn(size, generator=draw) * scale + shift for scale in (0.1, 3, 30) for shift in (0, 500)]
    logits = torch.stack([torch.zeros(size), sure, *noise])
    targets = torch.tensor([5, 3, *([7] * len(noise))])
    found = statistics(logits, targets, temperature=temperature, top_k=top_k)
    assert found["entropy"][0].item() == pytest.approx(np.log(size), abs=1e-5)
    assert found["rank"][0] == 1
    assert found["entropy"][1] == 0
    assert found["logprob"][1] == 0
    wanted = reference(logits, targets, temperature)
    for name, tolerance in (("logprob", 5e-5), ("entropy", 1e-5), ("varentropy", 1e-4), ("logsumexp", 1e-4)):
        assert (found[name].double() - wanted[name]).abs().max() < tolerance, name
    assert found["mean_log_prob_vocabulary"][0].item() == pytest.approx(-np.log(size), abs=1e-6)
    errors = (found["mean_log_prob_vocabulary"].double() - wanted["mean_log_prob_vocabulary"]).abs()
    assert (errors / wanted["mean_log_prob_vocabulary"].abs().clamp(min=10)).max() < 1e-6  # of -20,000 too


@pytest.fixture
def real_text(real_loaded: Any) -> tuple[list[int], list[int]]:
    """(prompt ids, response ids) of a sensible answer and then nonsense, so that sure and unsure tokens both occur."""
    prompt = "<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n"
    response = r"12 + 30 = 42. The answer is \boxed{42}. purple Ω the of 7\n\n"
    encode = real_loaded.encode
    return encode(Prompt(prompt, False)), encode(Prompt(response * 4, False))


@pytest.mark.real_model
@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 20), (0.6, 1000), (1.0, None)])
def test_the_real_models_logits_in_float64(
    real_loaded: Any, real_text: tuple[list[int], list[int]], temperature: float, top_k: int | None
) -> None:
    prompt, response = real_text
    with torch.inference_mode():
        logits = real_loaded.model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    targets = torch.tensor(response)
    found = statistics(logits, targets, temperature=temperature, top_k=top_k)
    check(found, reference(logits, targets, temperature), top_k)


@pytest.mark.real_model
def test_segments_on_a_shared_prefix_are_the_whole_forward_pass(
    real_loaded: Any, real_text: tuple[list[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small segments and several responses, short after long: nothing of one leaks into the next."""
    from onoff_core.backends.huggingface import scoring

    monkeypatch.setattr(scoring, "_LOGITS_PER_SEGMENT", 7 * real_loaded.vocab_size)
    prompt, response = real_text
    responses = [response, response[:1], response[5:20], response]
    for token_ids, scores in zip(responses, score(real_loaded, prompt, responses, DistributionSettings()), strict=True):
        with torch.inference_mode():
            logits = real_loaded.model(torch.tensor([prompt + token_ids])).logits[0, len(prompt) - 1 : -1]
        wanted = reference(logits, torch.tensor(token_ids), 1.0)
        assert len(scores["logprob"]) == len(token_ids)
        assert np.abs(scores["logprob"] - wanted["logprob"].numpy()).max() < 1e-3
        assert np.abs(scores["entropy"] - wanted["entropy"].numpy()).max() < 1e-3


def sampled(loaded: Any, max_length: int, num_samples: int, **sampling: Any) -> pa.Table:
    problems = load_problems("arithmetic", DatasetSettings(num_examples=2), ROOT)
    settings = SamplingSettings(max_length=max_length, num_samples=num_samples, batch_size=4, seed=3, **sampling)
    chunks = chunks_of(problems, num_samples)
    sampler = HuggingfaceModel(loaded)
    return pa.concat_tables(table for _, table in sample_chunks(sampler, chunks, TaskSettings(), settings, 3))


def extracted(loaded: Any, samples: pa.Table, **settings: Any) -> Iterator[pa.Table]:
    return extract_distributions(HuggingfaceModel(loaded), samples, DistributionSettings(**settings))


def compared(loaded: Any, samples: pa.Table) -> float:
    """The largest difference between the log-probabilities that sampling kept and those that scoring finds."""
    worst = 0.0
    tables = list(extracted(loaded, samples))
    assert len(tables) == samples.num_rows
    for row, table in zip(samples.to_pylist(), tables, strict=True):
        assert table["token_id"].to_pylist() == row["token_ids"]
        assert table["position"].to_pylist() == list(range(row["num_tokens"]))
        difference = np.abs(table["logprob"].to_numpy() - np.array(row["token_logprobs"]))
        worst = max(worst, float(difference.max()))
    return worst


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.6, "top_k": 50, "top_p": 0.9}, {"do_sample": False}])
def test_scorer_and_sampler_agree_on_the_small_model(tiny_loaded: Any, sampling: dict[str, Any]) -> None:
    """Also under truncation and temperature: what sampling keeps is the raw model at temperature 1."""
    assert compared(tiny_loaded, sampled(tiny_loaded, 24, 5, **sampling)) < 1e-4


@pytest.mark.real_model
def test_scorer_and_sampler_agree_on_the_real_model(real_loaded: Any) -> None:
    assert compared(real_loaded, sampled(real_loaded, 24, 3, temperature=0.8, top_p=0.95)) < 1e-3


def test_whole_vocabulary_rows_are_distributions(tiny_loaded: Any) -> None:
    samples = sampled(tiny_loaded, 8, 2)
    for table in extracted(tiny_loaded, samples, top_k=None):
        assert table["topk_ids"].null_count == table.num_rows
        logprobs = np.array(table["topk_logprobs"].to_pylist(), dtype=np.float64)
        assert logprobs.shape == (table.num_rows, tiny_loaded.vocab_size)
        assert np.abs(np.exp(logprobs).sum(-1) - 1).max() < 2e-3  # kept to 10 mantissa bits
        token_ids = table["token_id"].to_numpy()
        kept = logprobs[np.arange(table.num_rows), token_ids]
        assert np.abs(kept / table["logprob"].to_numpy() - 1).max() < 2**-10
        entropy = -(np.exp(logprobs) * logprobs).sum(-1)
        assert np.abs(entropy - table["entropy"].to_numpy()).max() < 1e-2


def test_whole_vocabulary_rows_come_in_parts_of_bounded_bytes(
    tiny_loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a reader of one token reads little; a response's rows are the same, in the same order."""
    samples = sampled(tiny_loaded, 8, 2)
    whole = list(extracted(tiny_loaded, samples, top_k=None))
    assert len(whole) == samples.num_rows
    most = 3 * 4 * tiny_loaded.vocab_size + 500  # bytes: three tokens' log-probabilities and the other columns
    monkeypatch.setattr("onoff_core.distributions.extract._MOST_BYTES", most)
    parts = list(extracted(tiny_loaded, samples, top_k=None))
    assert max(part.num_rows for part in parts) == 3
    assert all(part["position"].to_pylist() and part.nbytes <= most for part in parts)
    assert pa.concat_tables(parts).combine_chunks() == pa.concat_tables(whole).combine_chunks()
    kept = list(extracted(tiny_loaded, samples, top_k=5))
    assert len(kept) == samples.num_rows  # a response each


def test_logsumexp_turns_logprobs_into_the_models_logits(tiny_loaded: Any) -> None:
    samples = sampled(tiny_loaded, 6, 1)
    row = samples.to_pylist()[0]
    table = next(extracted(tiny_loaded, samples, temperature=2.0, top_k=None))
    ids = torch.tensor([row["prompt_token_ids"] + row["token_ids"]])
    with torch.inference_mode():
        logits = tiny_loaded.model(ids).logits[0, len(row["prompt_token_ids"]) - 1 : -1].numpy()
    found = np.array(table["topk_logprobs"].to_pylist()) + table["logsumexp"].to_numpy()[:, None]
    assert np.abs(found - logits / 2.0).max() < 1e-2  # kept to 10 mantissa bits
    chosen = table["logprob"].to_numpy() + table["logsumexp"].to_numpy()
    assert np.abs(chosen - logits[np.arange(len(chosen)), row["token_ids"]] / 2.0).max() < 1e-4
