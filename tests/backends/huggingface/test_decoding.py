"""The decode loop on small random models of several families: same tokens whatever decodes them and whatever shares
a step.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GenerationConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from onoff_core.backends.huggingface.continuous import continuous_batches
from onoff_core.backends.huggingface.cpu import slots
from onoff_core.backends.huggingface.cpu.loop import SlotLoop, supports
from onoff_core.backends.huggingface.cpu.packing import packed_linears
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.generate import generate_batches
from onoff_core.backends.huggingface.loading import LoadedModel, load_model
from onoff_core.backends.huggingface.scoring import score, shares_prefix
from onoff_core.backends.requests import Request, Response
from onoff_core.study import BackendOptions, DistributionSettings, ModelSettings, SamplingSettings
from tests.tiny import tiny_config, tiny_tokenizer

FAMILIES: dict[str, tuple[type, dict[str, Any]]] = {
    "llama": (LlamaConfig, {}),
    "qwen2": (Qwen2Config, {}),
    "qwen3": (Qwen3Config, {}),
    "mistral": (MistralConfig, {"sliding_window": 6}),  # a window shorter than the sequences
    "gemma2": (Gemma2Config, {"sliding_window": 6, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 8}),
    "gemma3": (Gemma3TextConfig, {"sliding_window": 6, "query_pre_attn_scalar": 8}),
}


def random_model(kind: str, folder: Path) -> LoadedModel:
    """A random model of a family, through a folder and the real loading code."""
    tokenizer = tiny_tokenizer()
    config_class, changes = FAMILIES[kind]
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config_class(**tiny_config(tokenizer, **changes)))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.3)  # sharp enough for attention to matter
    return saved(model, tokenizer, folder)


def saved(model: Any, tokenizer: Any, folder: Path) -> LoadedModel:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = ModelSettings(
        model_name=str(folder), backend_specific=BackendOptions(device="cpu", torch_dtype="float32")
    )
    return load_model(folder.name, settings, folder)


def requests(problems: int = 5, samples: int = 4) -> list[Request]:
    """Prompts of 3 to 11 tokens."""
    return [Request(f"p{n}", s, tuple(range(20 + n, 23 + 3 * n))) for n in range(problems) for s in range(samples)]


def by_key(responses: Any) -> dict[tuple[str, int], Response]:
    return {(r.request.problem_id, r.request.sample_index): r for r in responses}


def silent(count: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedModel:
    return random_model(request.param, tmp_path / request.param)


@pytest.fixture
def tensor_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention as other devices and number types have it."""
    monkeypatch.setattr(slots, "_can_be_compiled", lambda tensor: False)


@pytest.mark.parametrize("compiled", [True, False])
def test_every_family_decodes_by_slots_as_by_generate(
    family: LoadedModel, compiled: bool, request: pytest.FixtureRequest
) -> None:
    """Sampled, not greedy: equal tokens mean equal logits to within a uniform number's distance to a boundary."""
    if not compiled:
        request.getfixturevalue("tensor_operations")
    assert supports(family) is None
    sampling = SamplingSettings(max_length=24, temperature=1.2, top_k=80, top_p=0.95)
    ours = by_key(SlotLoop(family, requests(), sampling, 3, 7, silent).run())
    plain = by_key(generate_batches(family, requests(), sampling, 3, 20, silent))
    assert ours.keys() == plain.keys()
    assert {key: r.token_ids for key, r in ours.items()} == {key: r.token_ids for key, r in plain.items()}
    assert {r.finish_reason for r in ours.values()} <= {"stop", "length"}


def test_sampler_and_scorer_agree_in_every_family(family: LoadedModel) -> None:
    assert shares_prefix(family)
    sampling = SamplingSettings(max_length=20, temperature=1.0)
    for response in by_key(decode(family, requests(2, 2), sampling, 0)).values():
        (scores,) = score(family, response.request.prompt_ids, [response.token_ids], DistributionSettings(top_k=3))
        assert abs(scores["logprob"] - torch.tensor(response.logprobs).numpy()).max() < 1e-4


def test_a_response_does_not_depend_on_its_neighbours(tiny_loaded: LoadedModel) -> None:
    sampling = SamplingSettings(max_length=25, temperature=1.0)
    alone = {}
    for request in requests():
        alone |= by_key(decode(tiny_loaded, [request], sampling, 11))
    for rows in (1, 3, 8, 64):
        settings = sampling.model_copy(update={"batch_size": rows})
        together = by_key(decode(tiny_loaded, requests()[::-1], settings, 11))
        assert {key: r.token_ids for key, r in together.items()} == {key: r.token_ids for key, r in alone.items()}
    other_seed = by_key(decode(tiny_loaded, requests(), sampling, 12))
    assert any(other_seed[key].token_ids != alone[key].token_ids for key in alone)


@pytest.mark.usefixtures("tensor_operations")
def test_rows_of_uneven_length_are_read_in_blocks(tiny_loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_BLOCK_ROWS", 2)
    monkeypatch.setattr(slots, "_BLOCK_COLUMNS", 16)
    sampling = SamplingSettings(max_length=60, temperature=1.0)
    many = [Request(f"p{n}", s, tuple(range(20, 26 + n % 3))) for n in range(8) for s in range(3)]
    widths = set()
    loop = SlotLoop(tiny_loaded, many, sampling, 0, 7, silent)
    usual = loop.cache.begin_step

    def begin_step() -> Any:
        step = usual()
        widths.add(len(step.blocks))
        return step

    loop.cache.begin_step = begin_step  # type: ignore[method-assign]
    blocks = by_key(loop.run())
    assert max(widths) > 1
    plain = by_key(generate_batches(tiny_loaded, many, sampling, 0, 24, silent))
    assert {key: r.token_ids for key, r in blocks.items()} == {key: r.token_ids for key, r in plain.items()}


def test_no_more_columns_are_kept_than_the_longest_response_can_fill(tiny_loaded: LoadedModel) -> None:
    sampling = SamplingSettings(max_length=70)
    loop = SlotLoop(tiny_loaded, requests(2, 2), sampling, 0, 4, silent)
    longest = max(len(response.token_ids) for response in loop.run())
    assert longest > slots._COLUMNS_AT_LEAST + 1  # so that the columns grew
    assert loop.cache.layers[0].keys.shape[2] <= 70


def test_continuous_batching_draws_the_same_tokens(tiny_loaded: LoadedModel) -> None:
    """What a GPU runs, here on the CPU: our uniform numbers, and a stop string the library does not know."""
    sampling = SamplingSettings(max_length=16, temperature=1.3, top_k=50, top_p=0.9, stop_strings=("a",))
    ours = by_key(SlotLoop(tiny_loaded, requests(3, 2), sampling, 0, 4, silent).run())
    theirs = by_key(continuous_batches(tiny_loaded, requests(3, 2), sampling, 0, 4, silent))
    for key, response in ours.items():
        assert theirs[key].token_ids == response.token_ids
        assert theirs[key].finish_reason == response.finish_reason
        assert torch.allclose(torch.tensor(theirs[key].logprobs), torch.tensor(response.logprobs), atol=1e-4)


def test_a_model_with_a_running_state_falls_back_on_generate(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=32, state_size=4, num_hidden_layers=2)
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    loaded = saved(AutoModelForCausalLM.from_config(config), tokenizer, tmp_path / "mamba")
    assert supports(loaded) is not None
    assert not shares_prefix(loaded)
    sampling = SamplingSettings(max_length=10, temperature=1.0, batch_size=4)
    same_length = [Request(f"p{n}", s, tuple(range(20 + n, 25 + n))) for n in range(3) for s in range(2)]
    for response in by_key(decode(loaded, same_length, sampling, 0)).values():
        (scores,) = score(loaded, response.request.prompt_ids, [response.token_ids], DistributionSettings(top_k=3))
        assert abs(scores["logprob"] - torch.tensor(response.logprobs).numpy()).max() < 1e-3


def test_packed_products_are_the_usual_ones_and_are_put_away(tiny_loaded: LoadedModel) -> None:
    def stand_ins() -> int:
        return sum("forward" in vars(module) for module in tiny_loaded.model.modules())

    ids = torch.arange(20, 40)[None]
    with torch.inference_mode():
        usual = tiny_loaded.model(ids).logits
        with packed_linears(tiny_loaded):
            assert (stand_ins() > 0) == torch.backends.mkldnn.is_available()
            packed = tiny_loaded.model(ids).logits
    assert stand_ins() == 0
    torch.testing.assert_close(packed, usual, atol=1e-5, rtol=1e-4)


def test_a_response_ends_where_the_models_positions_do(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**tiny_config(tokenizer, max_position_embeddings=16)))
    loaded = saved(model, tokenizer, tmp_path / "short")
    loaded.stop_token_ids = frozenset()
    (response,) = decode(loaded, [Request("p", 0, tuple(range(20, 30)))], SamplingSettings(max_length=50), 0)
    assert (len(response.token_ids), response.finish_reason) == (6, "length")
    assert (
        len(next(score(loaded, response.request.prompt_ids, [response.token_ids], DistributionSettings()))["rank"]) == 6
    )


@pytest.mark.real_model
def test_greedy_equals_generate_on_fifty_prompts(real_loaded: LoadedModel) -> None:
    """The embedded model, token for token, 50 prompts through 16 rows; `generate` takes them side by side, since one by
    one is minutes.
    """
    from benchmarks.workloads import word_problem_requests

    asked = word_problem_requests(real_loaded, 50, 1)
    sampling = SamplingSettings(max_length=20, do_sample=False, batch_size=16)
    found = by_key(decode(real_loaded, asked, sampling, 0))
    width = max(len(request.prompt_ids) for request in asked)
    ids, mask = torch.full((len(asked), width), 2), torch.zeros((len(asked), width), dtype=torch.long)
    for row, request in enumerate(asked):
        ids[row, width - len(request.prompt_ids) :] = torch.tensor(request.prompt_ids)
        mask[row, width - len(request.prompt_ids) :] = 1
    config = GenerationConfig(do_sample=False, max_new_tokens=20, eos_token_id=2, pad_token_id=2)
    wanted = real_loaded.model.generate(ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
    assert len(found) == len(asked) == 50
    for request, tokens in zip(asked, wanted, strict=True):
        ended = tokens.index(2) + 1 if 2 in tokens else len(tokens)  # what follows a row's end is filling
        assert found[request.problem_id, 0].token_ids == tokens[:ended]
