"""Going on with a response in the decode loop: what is shared is computed once, and nothing else changes."""

from pathlib import Path
from typing import Any

import pytest
from transformers import DynamicCache

from onoff_core.backends.drafts import Draft
from onoff_core.backends.fake import FakeModel, open_sampler
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.requests import Request
from onoff_core.study import ModelSettings, SamplingSettings
from tests.backends.openai.server import serving
from tests.backends.openai.test_served import PROBES
from tests.backends.openai.test_served import drawn as served
from tests.backends.openai.test_served import settings as served_settings

PROMPT, RESPONSE = tuple(range(10, 40)), tuple(range(60, 90))
POSITIONS, TOKENS, EACH = (3, 11, 12, 29), (100, 101), 2
SAMPLING = SamplingSettings(max_length=40, num_samples=1, batch_size=3)


def requests(*, begun: bool) -> list[Request]:
    """The sampled token and two others at each position, twice each; or the same as prompts like any other."""
    return [
        Request(f"p, position {at}, token {token}", index, (*PROMPT, *RESPONSE[:at], token), at + 1 if begun else 0)
        for at in POSITIONS
        for token in (RESPONSE[at], *TOKENS)
        for index in range(EACH)
    ]


def drawn(loaded: Any, asked: list[Request], sampling: SamplingSettings) -> dict[tuple[str, int], Any]:
    return {(r.request.problem_id, r.request.sample_index): r for r in decode(loaded, asked, sampling, seed=5)}


def test_each_token_before_a_branch_is_computed_once_a_response(
    tiny_loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(tiny_loaded, requests(begun=True)[:1], SAMPLING)  # what a model can do is found out once, by trying
    computed, forward = [0], tiny_loaded.model.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("past_key_values"), DynamicCache):
            computed[0] += kwargs["input_ids"].numel()
        return forward(*args, **kwargs)

    monkeypatch.setattr(tiny_loaded.model, "forward", counting)
    drawn(tiny_loaded, requests(begun=True), SAMPLING)
    branches = len(POSITIONS) * (1 + len(TOKENS))
    assert computed[0] <= len(PROMPT) + POSITIONS[-1] + branches + len(POSITIONS)
    shared, computed[0] = computed[0], 0
    drawn(tiny_loaded, requests(begun=False), SAMPLING)
    assert computed[0] == sum(len(PROMPT) + at + 1 for at in POSITIONS) * (1 + len(TOKENS)) > 6 * shared


def test_what_is_drawn_is_what_a_prompt_of_its_own_would_give(tiny_loaded: Any) -> None:
    alone = drawn(tiny_loaded, requests(begun=False), SAMPLING.model_copy(update={"max_length": 10}))
    shared = drawn(tiny_loaded, requests(begun=True), SAMPLING)
    assert alone.keys() == shared.keys()
    for key, response in shared.items():
        known = alone[key]
        count = min(len(known.token_ids), len(response.token_ids))
        assert response.token_ids[:count] == known.token_ids[:count]
        assert response.logprobs[:count] == pytest.approx(known.logprobs[:count], abs=1e-4)


def test_max_length_counts_what_was_begun(tiny_loaded: Any) -> None:
    for response in drawn(tiny_loaded, requests(begun=True), SAMPLING).values():
        whole = response.request.begun + len(response.token_ids)
        assert whole == 40 if response.finish_reason == "length" else whole <= 40


@pytest.mark.parametrize(("tail", "stops"), [(b"xEN", True), (b"xNE", False)])
def test_a_stop_string_may_begin_before_the_branch(tail: bytes, stops: bool) -> None:
    model: FakeModel = open_sampler("fake", ModelSettings(model_name="fake", backend_type="fake"), None)  # type: ignore[arg-type]
    request = Request("p", 0, (*b"question", *tail), begun=len(tail))
    draft = Draft(request, model, SamplingSettings(stop_strings=("END",)), 0)
    assert draft.accept(ord("D"), -1.0) is stops


def test_a_server_gets_the_ids_and_what_is_left_of_max_length(tiny_folder: Path) -> None:
    asked = [Request("p, position 2, token 7", 0, (40, 50, 60, 61, 7), begun=3), Request("p", 0, (40, 50))]
    with serving(tiny_folder) as server:
        drawn_there = served(served_settings(tiny_folder, server), asked)
        said = {tuple(one["prompt"]): one["max_tokens"] for one in server.behaviour.seen[PROBES:]}
    assert said == {(40, 50, 60, 61, 7): 17, (40, 50): 20}
    lengths = {response.request.begun: len(response.token_ids) for response in drawn_there}
    assert lengths[3] <= 17


@pytest.mark.real_model
def test_the_embedded_model_goes_on_from_its_own_tokens(real_loaded: Any) -> None:
    """Greedily, from the sampled token at any position on, it writes the rest of its own response."""
    from onoff_core.tasks import Prompt

    prompt = tuple(real_loaded.encode(Prompt("<|im_start|>user\n2+3?<|im_end|>\n<|im_start|>assistant\n", False)))
    greedy = SamplingSettings(max_length=12, num_samples=1, temperature=0)
    (whole,) = decode(real_loaded, [Request("p", 0, prompt)], greedy, 0)
    branches = [
        Request(f"p, position {at}", 0, (*prompt, *whole.token_ids[: at + 1]), begun=at + 1)
        for at in range(0, len(whole.token_ids) - 1, 3)
    ]
    assert branches
    for response in decode(real_loaded, branches, greedy, 0):
        assert response.token_ids == whole.token_ids[response.request.begun :]
        assert response.finish_reason == whole.finish_reason
