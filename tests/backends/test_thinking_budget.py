"""A thinking budget where a response grows: which tokens are put in, when, and that no other draw shifts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from onoff_core.backends import open_sampler
from onoff_core.backends.contract import ModelInfo, Sampler
from onoff_core.backends.drafts import DescribedModel, Draft, uniform_stream
from onoff_core.backends.fake import STOP, FakeTokenizer
from onoff_core.backends.requests import Forcing, Request, Response
from onoff_core.errors import ModelError
from onoff_core.study import BackendOptions, FakeScript, ModelSettings, SamplingSettings, ThinkingTags, parse_study
from onoff_core.tasks.thinking import as_bytes, known_tags

TAGS = ThinkingTags(open="<r>", close="</r>")
CLOSING = tuple(b"</r>")
PROMPT = tuple(b"asked")


class Model(DescribedModel):
    tokenizer = FakeTokenizer()
    info = ModelInfo("m", None, None, None, 258, None, frozenset({STOP}))


def forcing(budget: int, opened: bool = False) -> Forcing:
    return Forcing(budget, CLOSING, as_bytes(known_tags(TAGS)), opened)


def draft(budget: int, opened: bool = False, begun: bytes = b"", **sampling: Any) -> Draft:
    request = Request("p", 0, (*PROMPT, *begun), begun=len(begun), forcing=forcing(budget, opened))
    return Draft(request, Model(), SamplingSettings(**{"max_length": 60, **sampling}), 7)


def say(of: Draft, text: bytes) -> tuple[bytes, list[int]]:
    """What comes of a text whose bytes would be drawn: the response, and where tokens were put in."""
    at = 0
    while True:
        if of.forced_token is not None:
            token = of.forced_token
        else:
            token, at = (text[at] if at < len(text) else STOP), at + 1
        if of.accept(token, -1.0):
            break
    assert of.response.forced_positions is not None
    return bytes(token for token in of.response.token_ids if token != STOP), of.response.forced_positions


def test_the_closing_tag_follows_so_many_tokens_of_thinking() -> None:
    assert say(draft(5, opened=True), b"abcdefgh") == (b"abcde</r>fgh", [5, 6, 7, 8])
    assert say(draft(5), b"<r>abcdefgh") == (b"<r>ab</r>cdefgh", [5, 6, 7, 8])  # the opening tag counts
    assert say(draft(5), b"so <r>abcdefgh") == (b"so <r>ab</r>cdefgh", [8, 9, 10, 11])


def test_what_closes_in_time_or_does_not_think_is_left_alone() -> None:
    assert say(draft(6, opened=True), b"ab</r>answer") == (b"ab</r>answer", [])  # its last token is the sixth
    assert say(draft(5, opened=True), b"ab</r>answer") == (b"ab</r</r>>answer", [5, 6, 7, 8])
    assert say(draft(2), b"an answer alone") == (b"an answer alone", [])
    assert say(draft(9, opened=True), b"ab</think>answer")[1] == [9, 10, 11, 12]  # the tenth token would have closed it


def test_a_thinking_that_opens_again_has_what_is_left() -> None:
    assert say(draft(8), b"<r></r>x<r>abcdef") == (b"<r></r>x<r></r>abcdef", [11, 12, 13, 14])
    assert say(draft(12), b"<r></r>x<r>abcdef") == (b"<r></r>x<r>ab</r>cdef", [13, 14, 15, 16])


def test_the_end_of_a_response_is_as_ever() -> None:
    of = draft(5, opened=True, max_length=9)
    assert say(of, b"abcdefgh") == (b"abcde</r>", [5, 6, 7, 8])
    assert of.response.finish_reason == "length"
    of = draft(5, opened=True, stop_strings=("</r>",))
    assert say(of, b"abcdefgh") == (b"abcde</r>", [5, 6, 7, 8])
    assert of.response.finish_reason == "stop_string"


@pytest.mark.parametrize("begun", [b"", b"ab", b"abcde", b"abcde<", b"abcde</r", b"abcde</r>", b"abcde</r>fg"])
def test_a_response_that_is_gone_on_with_is_what_it_would_have_been(begun: bytes) -> None:
    text = b"abcdefgh"
    whole, forced = say(draft(5, opened=True), text)
    rest = whole[len(begun) :]
    drawn = bytes(one for at, one in enumerate(whole) if at >= len(begun) and at not in forced)
    found, put_in = say(draft(5, opened=True, begun=begun), drawn)
    assert found == rest
    assert [len(begun) + at for at in put_in] == [at for at in forced if at >= len(begun)]


def test_an_end_that_looks_like_a_part_of_the_tag_is_no_part_of_it() -> None:
    assert say(draft(5, opened=True, begun=b"abc</"), b"x") == (b"</r>x", [0, 1, 2, 3])


def fake(*responses: str) -> Sampler:
    options = BackendOptions(script=FakeScript(responses=responses))
    return open_sampler("f", ModelSettings(backend_type="fake", model_name="fake", backend_specific=options), Path())


def drawn(sampler: Sampler, requests: Sequence[Request], **sampling: Any) -> list[Response]:
    return list(sampler.sample(requests, SamplingSettings(max_length=40, **sampling), 3, lambda tokens: None))


def test_numbers_belong_to_positions_whatever_is_put_in() -> None:
    """Of a model whose tokens are its uniform numbers, each token that is not forced is the one that it was."""
    free, cut = (drawn(fake(), [Request("p", 1, PROMPT, forcing=one)])[0] for one in (None, forcing(6, opened=True)))
    numbers = uniform_stream(3, "p", 1).random(40)
    assert free.forced_positions is None
    assert cut.forced_positions == [6, 7, 8, 9]
    for at, token in enumerate(cut.token_ids):
        assert token == (CLOSING[at - 6] if 6 <= at < 10 else int(numbers[at] * 258))
    assert [cut.token_ids[at] for at in range(6)] == free.token_ids[:6]


def test_a_scripted_thinking_that_is_cut_goes_on_behind_its_own_end() -> None:
    request = Request("p", 0, PROMPT, forcing=forcing(8))
    (cut,) = drawn(fake("<r>a long thought</r>It is 4."), [request])
    assert bytes(cut.token_ids[:-1]) == b"<r>a lon</r>It is 4."
    (endless,) = drawn(fake("<r>a long thought"), [request])
    assert bytes(endless.token_ids[:-1]) == b"<r>a lon</r>g thought"


def test_two_models_in_turns_keep_to_it() -> None:
    models: dict[str, Any] = {
        name: {"model_name": name, "backend_type": "fake", "backend_specific": {"script": {"responses": [letter * 20]}}}
        for name, letter in (("one", "a"), ("two", "b"))
    }
    switch = {"first": "one", "second": "two", "when": {"entropy": 0.0}, "back": {"tokens": 2}}
    models["mixed"] = {"backend_type": "switch", "switch": switch}
    study = parse_study({"datasets": {"arithmetic": {}}, "models": models}, Path("/s/onoff.yaml"))
    sampler = open_sampler("mixed", study.models["mixed"], Path())
    (response,) = drawn(sampler, [Request("p", 0, PROMPT, forcing=forcing(4, opened=True))])
    assert bytes(response.token_ids[:10]) == b"bbbb</r>bb"
    assert response.forced_positions == [4, 5, 6, 7]
    assert response.drawn_by is not None
    assert len(response.drawn_by) == len(response.token_ids)


def test_an_engine_that_puts_nothing_in_is_told() -> None:
    of = draft(2, opened=True)
    for token in b"ab":
        assert not of.accept(token, -1.0)
    with pytest.raises(ModelError, match=r"problem p, sample 0: the engine drew a token where .*thinking_budget puts"):
        of.accept(b"c"[0], -1.0)


def test_a_server_refuses() -> None:
    from onoff_core.backends.openai.engine import ServedModel

    settings = ModelSettings(
        backend_type="openai", model_name="x", backend_specific=BackendOptions(endpoints=("http://127.0.0.1:1/v1",))
    )
    served = ServedModel(settings, Model.info, FakeTokenizer(), [], True)
    with pytest.raises(ModelError, match=r"models\.m: sampling\.thinking_budget puts tokens in, which servers cannot"):
        list(served.sample([Request("p", 0, PROMPT, forcing=forcing(3))], SamplingSettings(), 0, lambda tokens: None))
