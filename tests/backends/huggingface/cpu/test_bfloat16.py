"""bfloat16 on a CPU: compiled attention over keys as the model made them, packed products, and what they agree with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Gemma2Config

from benchmarks import gpu
from onoff_core.backends.huggingface import cpu
from onoff_core.backends.huggingface.cpu import attention, loop, packing
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import LoadedModel, load_model
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.requests import Request
from onoff_core.study import BackendOptions, DistributionSettings, ModelSettings, SamplingSettings

REQUESTS = [Request(f"p{number}", sample, (65, 3 + number, 7)) for number in range(4) for sample in range(4)]


def worst_difference(loaded: LoadedModel) -> float:
    """Nats between what the sampler was told and what the scorer finds."""
    assert cpu.supports(loaded) is None
    worst = 0.0
    for response in list(decode(loaded, REQUESTS, SamplingSettings(max_length=40, batch_size=16), 0)):
        (scores,) = score(loaded, response.request.prompt_ids, [response.token_ids], DistributionSettings())
        worst = max(worst, float(np.abs(scores["logprob"] - np.array(response.logprobs)).max()))
    return worst


@pytest.fixture
def loaded(tiny_folder: Path) -> LoadedModel:
    options = BackendOptions(device="cpu", torch_dtype="bfloat16")
    return load_model("tiny", ModelSettings(model_name=str(tiny_folder), backend_specific=options), tiny_folder)


def test_the_compiled_attention_is_taken_and_the_scorer_agrees(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, usual = [], attention._compiled

    def compiled(query: torch.Tensor, layer: Any, *rest: Any) -> torch.Tensor:
        kept.append((query.dtype, layer.keys.dtype, layer.values.dtype))
        return usual(query, layer, *rest)

    monkeypatch.setattr(attention, "_compiled", compiled)
    assert worst_difference(loaded) < 0.02
    assert set(kept) == {(torch.float32, torch.bfloat16, torch.bfloat16)}
    assert loaded.model.dtype == torch.bfloat16


def test_soft_caps_take_tensor_operations_and_agree_too() -> None:
    assert worst_difference(gpu.small(torch.bfloat16, Gemma2Config)) < 0.3  # its weights are large


def test_weights_of_bfloat16_are_packed_where_the_processor_has_such_products(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_MIN_WEIGHTS", 1)
    for supported in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda supported=supported: supported)
        assert packing._is_packable(torch.bfloat16) is supported
        assert packing._is_packable(torch.float32)
        assert not packing._is_packable(torch.float16)


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16 products")
def test_packed_products_of_bfloat16_are_the_usual_ones(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_MIN_WEIGHTS", 1)
    packed = packing._pack(loaded)
    assert len(packed) == sum(type(module) is torch.nn.Linear for module in loaded.model.modules())
    for linear, stand_in in packed:
        x = torch.randn((5, 1, linear.in_features)).bfloat16()
        torch.testing.assert_close(stand_in(x), torch.nn.functional.linear(x, linear.weight, linear.bias))


@pytest.mark.parametrize(
    ("dtype", "rows", "refused"), [("bfloat16", 2, False), ("bfloat16", 3, True), ("float32", 1, True)]
)
def test_a_prompt_or_two_may_differ_in_half_precision(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, rows: int, refused: bool
) -> None:
    """As those do whose logits bfloat16 does not tell; attention that is another one differs after all prompts."""
    options = BackendOptions(device="cpu", torch_dtype=dtype)
    loaded = load_model(f"tiny {rows}", ModelSettings(model_name=str(tiny_folder), backend_specific=options), Path())
    usual = loop.SlotLoop._step

    def step(self: loop.SlotLoop, tokens: list[int]) -> torch.Tensor:
        logits = usual(self, tokens)
        logits[:rows] += 100
        return logits

    monkeypatch.setattr(loop.SlotLoop, "_step", step)
    reason = cpu.supports(loaded)
    assert (reason == "attention that gives other logits over a shared cache") is refused
