"""Every family of models: the tokens of `generate`, the numbers of float64, and the table of docs/families.md.

`ONOFF_WRITE_TABLE=1 pytest tests/backends/huggingface/test_families.py` writes the table anew.
"""

import copy
import os
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from onoff_core.backends.huggingface import continuous, cpu
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.many_tokens import score_many
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.huggingface.trying import parts_head, shares_prefix
from onoff_core.backends.requests import Request
from onoff_core.study import DistributionSettings, SamplingSettings
from tests.backends.huggingface.families import FAMILIES, random_family
from tests.conftest import ROOT

TABLE = ROOT / "docs" / "families.md"
NATS = 3e-5
PROMPT = list(range(20, 29))
RESPONSES = [list(range(30, 60)), [5, 6, 7], [9]]
KEPT: dict[str, LoadedModel] = {}


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> LoadedModel:
    if request.param not in KEPT:
        KEPT[request.param] = random_family(request.param)
    return KEPT[request.param]


def by_generate(loaded: LoadedModel, prompt: Sequence[int], tokens: int) -> list[int]:
    ids = torch.tensor([list(prompt)])
    end = min(loaded.stop_token_ids)
    config = GenerationConfig(do_sample=False, max_new_tokens=tokens, eos_token_id=end, pad_token_id=end)
    found = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    continued: list[int] = found[0, len(prompt) :].tolist()
    return continued


def test_greedy_is_that_of_generate(family: LoadedModel) -> None:
    asked = [Request(f"p{n}", 0, tuple(range(20 + n, 23 + 4 * n))) for n in range(4)]
    for response in decode(family, asked, SamplingSettings(max_length=12, do_sample=False), 0):
        assert response.token_ids == by_generate(family, response.request.prompt_ids, 12)


def in_float64(loaded: LoadedModel, response: list[int]) -> dict[str, np.ndarray]:
    model = copy.deepcopy(loaded.model).double()
    model.config._experts_implementation = "eager"  # products by groups know no float64
    with torch.inference_mode():
        logits = model(torch.tensor([PROMPT + response]), use_cache=False).logits[0, len(PROMPT) - 1 : -1]
    logp = logits.double().log_softmax(-1)
    chosen = logp.gather(-1, torch.tensor(response)[:, None])[:, 0]
    return {"logprob": chosen.numpy(), "entropy": -(logp.exp() * logp).sum(-1).numpy()}


def test_scores_are_those_of_float64(family: LoadedModel) -> None:
    """One response after the other as on a CPU, and together as on a GPU; short ones beside long ones."""
    settings = DistributionSettings(top_k=3)
    ways = [
        [scores.columns for scores in score(family, PROMPT, RESPONSES, settings)],
        list(score_many(family, PROMPT, RESPONSES, settings)),
    ]
    for number, response in enumerate(RESPONSES):
        wanted = in_float64(family, response)
        for columns in (way[number] for way in ways):
            assert len(columns["logprob"]) == len(response)
            for name, column in wanted.items():
                assert np.abs(columns[name] - column).max() < NATS, name


def test_a_response_is_the_same_alone_and_among_64(family: LoadedModel) -> None:
    asked = [Request(f"p{n}", s, tuple(range(20 + n, 23 + 3 * n))) for n in range(8) for s in range(8)]
    sampling = SamplingSettings(max_length=4, batch_size=64)
    together = {r.request: r.token_ids for r in decode(family, asked, sampling, 5)}
    alone = {request: next(iter(decode(family, [request], sampling, 5))).token_ids for request in asked[::16]}
    assert {request: together[request] for request in alone} == alone


def test_continuous_batching_is_refused_where_it_draws_from_other_logits(family: LoadedModel) -> None:
    """What it accepts it decodes greedily as `generate` does."""
    if continuous.supports(family) is not None:
        return
    asked = [Request(f"p{n}", 0, tuple(range(20 + n, 23 + 4 * n))) for n in range(2)]
    greedy = SamplingSettings(max_length=12, do_sample=False)
    for response in list(continuous.continuous_batches(family, asked, greedy, 0, 2, lambda count: None)):
        assert response.token_ids == by_generate(family, response.request.prompt_ids, 12)


def row(name: str, loaded: LoadedModel) -> str:
    loop, batching = cpu.supports(loaded), continuous.supports(loaded)
    on_cpu = "our loop" if loop is None else f"`generate`: {in_words(loop)}"
    on_gpu = f"our loop: {in_words(batching)}" if batching else "continuous batching"
    if loop is not None and batching is not None:
        on_gpu = on_cpu if loop == batching else f"`generate`: {in_words(batching)}"
    scored = "prompt shared" if shares_prefix(loaded) else "whole"
    return f"| {name} | {on_cpu} | {on_gpu} | {scored} | {'yes' if parts_head(loaded) else 'no'} |"


def in_words(reason: str) -> str:
    """Without the error that a library's release words in its own way."""
    return reason.partition(" (AttributeError")[0].partition(" (RuntimeError")[0]


def test_the_table_of_families_says_what_is() -> None:
    rows = [row(name, KEPT.setdefault(name, random_family(name))) for name in FAMILIES]
    text = TABLE.read_text()
    begin = text.index("|---") + len(text[text.index("|---") :].partition("\n")[0]) + 1
    end = text.index("\n\n", begin) + 1
    if os.environ.get("ONOFF_WRITE_TABLE"):
        TABLE.write_text(text[:begin] + "\n".join(rows) + "\n" + text[end:])
    else:
        assert text[begin:end].splitlines() == rows
