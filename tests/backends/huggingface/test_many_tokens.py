"""Scoring as a GPU does it, forced onto the CPU: equal to one response after the other, and in few large passes."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu
from onoff_core.backends.huggingface import many_tokens, scoring
from onoff_core.backends.huggingface.many_tokens import score_many
from onoff_core.backends.huggingface.scoring import score
from onoff_core.errors import ModelError
from onoff_core.study import DistributionSettings

PROMPT = list(range(20, 29))
LENGTHS = (40, 1, 17, 40, 3)


@pytest.fixture
def responses() -> list[list[int]]:
    draw = np.random.default_rng(0)
    return [draw.integers(3, 270, length).tolist() for length in LENGTHS]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The shapes (rows, tokens) that go through the layers."""
    seen: list[tuple[int, int]] = []
    usual = many_tokens.hidden_states

    def hidden_states(loaded: Any, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        seen.append((ids.shape[0], ids.shape[1]))
        return usual(loaded, ids, cache)

    monkeypatch.setattr(many_tokens, "hidden_states", hidden_states)
    return seen


def assert_equal(found: list[Any], wanted: list[Any]) -> None:
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.keys() == theirs.columns.keys()
        for name, column in theirs.columns.items():
            np.testing.assert_allclose(ours[name], column, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("top_k", [4, None])
@pytest.mark.parametrize("slice_rows", [1, 7, 1000])
def test_together_is_one_after_the_other(
    tiny_loaded: Any, responses: list[list[int]], monkeypatch: pytest.MonkeyPatch, top_k: int | None, slice_rows: int
) -> None:
    monkeypatch.setattr(many_tokens, "_LOGITS_PER_SLICE", slice_rows * tiny_loaded.vocab_size)
    settings = DistributionSettings(top_k=top_k, temperature=0.7)
    wanted = list(score(tiny_loaded, PROMPT, responses, settings))
    assert_equal(list(score_many(tiny_loaded, PROMPT, responses, settings)), wanted)


def test_layers_see_all_responses_at_once(
    tiny_loaded: Any, responses: list[list[int]], passes: list[tuple[int, int]]
) -> None:
    """After a long prompt, which is computed once; a short one goes along with each response."""
    long = PROMPT * (max(LENGTHS) // len(PROMPT) + 1)
    list(score_many(tiny_loaded, long, responses, DistributionSettings()))
    assert passes == [(1, len(long)), (len(LENGTHS), max(LENGTHS) - 1)]
    passes.clear()
    list(score_many(tiny_loaded, PROMPT, responses, DistributionSettings()))
    assert passes == [(len(LENGTHS), len(PROMPT) + max(LENGTHS) - 1)]


def test_a_prompt_that_goes_along_is_the_prompt_that_is_shared(
    tiny_loaded: Any, responses: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DistributionSettings(top_k=4)
    along = list(score_many(tiny_loaded, PROMPT, responses, settings))
    monkeypatch.setattr(many_tokens, "_goes_along", lambda *arguments: False)
    for one, shared in zip(along, score_many(tiny_loaded, PROMPT, responses, settings), strict=True):
        for name, column in shared.items():
            np.testing.assert_allclose(one[name], column, atol=2e-5, err_msg=name)


def test_groups_and_segments_hold_no_more_tokens_than_allowed(
    tiny_loaded: Any, responses: list[list[int]], passes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_tokens, "_TOKENS_AT_ONCE", 30)
    settings = DistributionSettings(top_k=4)
    found = list(score_many(tiny_loaded, PROMPT, responses, settings))
    assert max(rows * tokens for rows, tokens in passes) <= 30
    assert_equal(found, list(score(tiny_loaded, PROMPT, responses, settings)))


def test_out_of_memory_halves_the_tokens_and_loses_nothing(
    tiny_loaded: Any, responses: list[list[int]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usual = many_tokens.hidden_states

    def hidden_states(loaded: Any, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        if ids.numel() > 45:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(loaded, ids, cache)

    monkeypatch.setattr(many_tokens, "hidden_states", hidden_states)
    monkeypatch.setattr(many_tokens, "_TOKENS_AT_ONCE", 160)
    monkeypatch.setattr(many_tokens, "_FEWEST_TOKENS", 40)
    monkeypatch.setattr(tiny_loaded.learnt, "scored_tokens", None)
    settings = DistributionSettings(top_k=4)
    found = list(score_many(tiny_loaded, PROMPT, responses, settings))
    assert tiny_loaded.learnt.scored_tokens == 40
    assert "out of memory scoring 160 tokens at once" in caplog.text
    assert_equal(found, list(score(tiny_loaded, PROMPT, responses, settings)))
    monkeypatch.setattr(many_tokens, "_FEWEST_TOKENS", 4096)
    monkeypatch.setattr(tiny_loaded.learnt, "scored_tokens", 160)
    with pytest.raises(torch.OutOfMemoryError):
        list(score_many(tiny_loaded, PROMPT, responses, settings))


def test_a_gpu_takes_this_way_and_yields_what_came_before_a_misfit(
    tiny_loaded: Any, responses: list[list[int]], passes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_is_cpu", lambda loaded: False)
    scores = score(tiny_loaded, PROMPT, [*responses[:2], [], responses[2]], DistributionSettings())
    assert [len(next(scores)["rank"]) for _ in range(2)] == list(LENGTHS[:2])
    with pytest.raises(ModelError, match="without tokens"):
        next(scores)
    assert passes == [(2, len(PROMPT) + max(LENGTHS[:2]) - 1)]


@pytest.mark.parametrize(("part", "nats"), [("agreement_float32", 1e-4), ("agreement_bfloat16", 0.5)])
def test_what_the_bench_of_a_gpu_finds_agrees(part: str, nats: float) -> None:
    _, agreement = gpu._parts(tiny=True)[part]
    found = agreement()
    for name in ("sampler_and_scorer", "scorer_and_plain_pass", "entropy_and_plain_pass", "told_and_plain_pass"):
        assert found[name] < nats, name
    assert found["scored_together_and_alone"] < nats
    if part == "agreement_float32":
        assert found["greedy_equal_to_generate"] == "4 of 4"
        assert found["responses_that_differ_alone"] <= 1


def test_a_group_is_on_its_way_before_the_last_one_is_fetched(
    tiny_loaded: Any, responses: list[list[int]], passes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device does not wait for whoever takes the statistics; whole vocabularies would take too much memory."""
    monkeypatch.setattr(many_tokens, "_TOKENS_AT_ONCE", 50)
    next(score_many(tiny_loaded, PROMPT, responses, DistributionSettings(top_k=4)))
    assert len(passes) == 2
    passes.clear()
    next(score_many(tiny_loaded, PROMPT, responses, DistributionSettings(top_k=None)))
    assert len(passes) == 1


def test_what_was_done_before_a_failure_is_given_first(
    tiny_loaded: Any, responses: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, calls = many_tokens.hidden_states, []

    def hidden_states(loaded: Any, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        calls.append(ids.shape)
        if len(calls) == 3:
            raise RuntimeError("the device is gone")
        return usual(loaded, ids, cache)

    monkeypatch.setattr(many_tokens, "hidden_states", hidden_states)
    monkeypatch.setattr(many_tokens, "_TOKENS_AT_ONCE", 50)
    scored = score_many(tiny_loaded, PROMPT, responses, DistributionSettings(top_k=4))
    assert [len(next(scored)["rank"]) for _ in LENGTHS[:2]] == list(LENGTHS[:2])
    with pytest.raises(RuntimeError, match="the device is gone"):
        next(scored)


def test_a_narrow_model_takes_more_tokens_at_once_on_a_gpu(tiny_loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = DistributionSettings(top_k=4)
    assert many_tokens._tokens_at_once(tiny_loaded, settings) == 4096
    monkeypatch.setattr(tiny_loaded, "device", torch.device("cuda"))
    assert many_tokens._tokens_at_once(tiny_loaded, settings) == 16_384
    assert many_tokens._tokens_at_once(tiny_loaded, DistributionSettings(top_k=None)) == 4096
    monkeypatch.setattr(tiny_loaded.model.config, "hidden_size", 5120)
    assert many_tokens._tokens_at_once(tiny_loaded, settings) == 4096
