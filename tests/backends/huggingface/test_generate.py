"""The fall-back of families that keep other states, or take no notice of what fills a shorter prompt up, and models
that do not write from left to right.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    GenerationConfig,
    MambaConfig,
    PretrainedConfig,
    RwkvConfig,
)

from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.generate_trial import way_to_generate
from onoff_core.backends.huggingface.loading import GenerateWay, LoadedModel, load_model
from onoff_core.backends.huggingface.preflight import what_loading_refuses
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.huggingface.tokenizer import load_tokenizer
from onoff_core.backends.requests import Request
from onoff_core.errors import ModelError
from onoff_core.study import BackendOptions, DistributionSettings, ModelSettings, SamplingSettings
from tests.tiny import tiny_tokenizer

REQUESTS = [Request(f"p{n}", 0, tuple(range(20 + n, 23 + 4 * n))) for n in range(3)]


def random_model(config: PretrainedConfig) -> LoadedModel:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
    tokenizer = tiny_tokenizer()
    return LoadedModel("own", model, tokenizer, torch.device("cpu"), None, frozenset({tokenizer.eos_token_id}))


def plain(loaded: LoadedModel, request: Request, tokens: int) -> list[int]:
    """The most probable tokens, each by a forward pass of its own."""
    ids = list(request.prompt_ids)
    with torch.inference_mode():
        for _ in range(tokens):
            ids.append(int(loaded.model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(request.prompt_ids) :]


def test_a_model_that_sees_what_fills_a_prompt_up() -> None:
    """RWKV looks at no mask, and mixes rows up where it goes on from a state: its logits were of other prompts."""
    loaded = random_model(
        RwkvConfig(vocab_size=280, hidden_size=32, attention_hidden_size=32, intermediate_size=64, num_hidden_layers=2)
    )
    assert way_to_generate(loaded) == GenerateWay(padded=False, cached=False)
    greedy = SamplingSettings(max_length=6, do_sample=False)
    for response in decode(loaded, [*REQUESTS, Request("p1", 1, REQUESTS[1].prompt_ids)], greedy, 0):
        wanted = plain(loaded, response.request, 6)
        assert response.token_ids == wanted[: len(response.token_ids)]


@pytest.fixture(scope="module")
def mamba() -> LoadedModel:
    return random_model(MambaConfig(vocab_size=280, hidden_size=32, state_size=8, num_hidden_layers=2))


DEFAULTS: list[dict[str, Any]] = [
    {"suppress_tokens": list(range(100, 280))},
    {"min_new_tokens": 6, "guidance_scale": 1.5},
    {"forced_eos_token_id": 7, "encoder_repetition_penalty": 1.3},
    {"exponential_decay_length_penalty": (1, 3.0), "max_time": 1e-9, "stop_strings": ["a"]},
    {"num_beams": 3, "repetition_penalty": 1.5, "penalty_alpha": 0.5},
]


@pytest.mark.parametrize("defaults", DEFAULTS)
def test_the_makers_defaults_change_nothing(mamba: LoadedModel, defaults: dict[str, Any]) -> None:
    assert way_to_generate(mamba) == GenerateWay(padded=True, cached=True)
    sampling = SamplingSettings(max_length=6)
    usual = {r.request.problem_id: r.token_ids for r in decode(mamba, REQUESTS, sampling, 0)}
    kept = mamba.model.generation_config
    mamba.model.generation_config = GenerationConfig(**defaults)
    try:
        assert {r.request.problem_id: r.token_ids for r in decode(mamba, REQUESTS, sampling, 0)} == usual
    finally:
        mamba.model.generation_config = kept


def test_a_model_that_looks_at_later_tokens_is_refused() -> None:
    loaded = random_model(
        BertConfig(vocab_size=280, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    )
    with pytest.raises(ModelError, match=r"depends on the tokens after it.* name a causal language model"):
        list(decode(loaded, REQUESTS, SamplingSettings(max_length=2), 0))
    with pytest.raises(ModelError, match="depends on the tokens after it"):
        list(score(loaded, [5, 6], [[7, 8]], DistributionSettings()))


def test_a_model_that_reads_one_text_and_writes_another_is_refused(tmp_path: Path) -> None:
    """Its decoder alone would load, and say nothing sensible."""
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    small = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    BartForConditionalGeneration(BartConfig(vocab_size=280, d_model=32, **heads, **small)).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    settings = ModelSettings(model_name=str(tmp_path), backend_specific=BackendOptions(device="cpu"))
    words = "is of kind 'bart', which reads one text and writes another .* name a causal language model"
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelError, match=words):
            load("own", settings, tmp_path)
    (found,) = what_loading_refuses(settings, tmp_path, needs_template=False)
    assert "reads one text and writes another" in found


def test_tokens_that_a_model_rules_out(mamba: LoadedModel) -> None:
    """A head that says minus infinity of the padding of its vocabulary: 0 ln 0 is 0."""
    prompt, response = [5, 6, 7], [30, 31, 40, 32]
    with torch.inference_mode():
        logits = mamba.model(torch.tensor([prompt + response])).logits[0, 2:-1, :270].double()
    logp = logits.log_softmax(-1).numpy()
    hook = mamba.model.get_output_embeddings().register_forward_hook(
        lambda module, given, found: found.index_fill(-1, torch.arange(270, 280), -torch.inf)
    )
    try:
        (scores,) = score(mamba, prompt, [response], DistributionSettings(top_k=3))
        drawn = [t for r in decode(mamba, REQUESTS, SamplingSettings(max_length=6), 0) for t in r.token_ids]
        with pytest.raises(ModelError, match="rules out the token at position 1 of the response"):
            list(score(mamba, prompt, [[30, 275]], DistributionSettings()))
    finally:
        hook.remove()
    assert max(drawn) < 270
    entropy = -(np.exp(logp) * logp).sum(-1)
    varentropy = (np.exp(logp) * logp**2).sum(-1) - entropy**2
    assert np.abs(scores.columns["entropy"] - entropy).max() < 3e-5
    assert np.abs(scores.columns["varentropy"] - varentropy).max() < 1e-4
    assert np.abs(scores.columns["mean_log_prob_vocabulary"] - logp.mean(-1)).max() < 1e-4
