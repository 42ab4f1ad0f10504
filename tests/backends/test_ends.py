"""Where a response ends and why: stop token, length, stop string; a model that writes what the test tells it to."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from onoff_core.backends.decoding import Request, Response, decode
from onoff_core.study import SamplingSettings

PROMPT = (5, 6, 7)


class Script:
    """Makes the small model say given tokens: the real loop, cache and attention run; the logits are replaced."""

    def __init__(self, loaded: Any, token_ids: Sequence[int]) -> None:
        self.loaded, self.token_ids, self.plain = loaded, list(token_ids), type(loaded.model).forward

    def __enter__(self) -> None:
        script = self

        def forward(model: Any, *args: Any, **kwargs: Any) -> Any:
            result = script.plain(model, *args, **kwargs)
            positions = kwargs.get("position_ids")
            # the token at position p of the sequence decides the one at p + 1
            at = 0 if positions is None else int(positions[0, -1]) - len(PROMPT) + 1
            logits = torch.zeros_like(result.logits)
            logits[..., script.token_ids[at]] = 50.0
            result.logits = logits
            return result

        self.loaded.model.forward = forward.__get__(self.loaded.model)

    def __exit__(self, *error: object) -> None:
        del self.loaded.model.forward


def run(loaded: Any, token_ids: Sequence[int], **sampling: Any) -> Response:
    settings = SamplingSettings(**{"max_length": len(token_ids), "num_samples": 1, "batch_size": 1, **sampling})
    with Script(loaded, token_ids):
        (response,) = decode(loaded, [Request("p", 0, PROMPT)], settings, 0)
    return response


def ids(loaded: Any, text: str) -> list[int]:
    found: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def token(loaded: Any, text: str) -> int:
    found: int = loaded.tokenizer.convert_tokens_to_ids(text)
    return found


def test_a_stop_token_ends_and_is_kept_among_the_ids_but_not_in_the_text(tiny_loaded: Any) -> None:
    end = token(tiny_loaded, "<|im_end|>")
    said = [*ids(tiny_loaded, "ab"), end]
    response = run(tiny_loaded, [*said, *ids(tiny_loaded, "cd")])
    assert (response.finish_reason, response.token_ids) == ("stop", said)
    assert tiny_loaded.decode(response.token_ids) == "ab"


def test_max_length_counts_generated_tokens_not_the_prompt(tiny_loaded: Any) -> None:
    response = run(tiny_loaded, ids(tiny_loaded, "abcdef"), max_length=4)
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("length", "abcd")


def test_a_stop_token_as_the_last_allowed_token_is_a_stop(tiny_loaded: Any) -> None:
    said = [*ids(tiny_loaded, "ab"), token(tiny_loaded, "<|im_end|>")]
    assert run(tiny_loaded, said, max_length=3).finish_reason == "stop"


def test_a_stop_string_over_several_tokens(tiny_loaded: Any) -> None:
    response = run(tiny_loaded, ids(tiny_loaded, "abENDcd"), stop_strings=("nothing", "END"))
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("stop_string", "abEND")


def test_a_stop_string_that_ends_inside_a_token(tiny_loaded: Any) -> None:
    """` answer` is one token: the string ends in its middle, and the token stays whole."""
    said = [*ids(tiny_loaded, "ab"), token(tiny_loaded, "Ġanswer"), *ids(tiny_loaded, "cd")]
    response = run(tiny_loaded, said, stop_strings=("b an",))
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("stop_string", "ab answer")


def test_a_stop_string_wholly_inside_a_token(tiny_loaded: Any) -> None:
    said = [*ids(tiny_loaded, "ab"), token(tiny_loaded, "Ġanswer"), *ids(tiny_loaded, "cd")]
    assert run(tiny_loaded, said, stop_strings=("nsw",)).finish_reason == "stop_string"


def test_a_stop_string_whose_character_is_split_among_tokens(tiny_loaded: Any) -> None:
    said = ids(tiny_loaded, "a🙂b")
    response = run(tiny_loaded, said, stop_strings=("🙂",))
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("stop_string", "a🙂")


def test_a_stop_string_in_the_prompt_does_not_count(tiny_loaded: Any) -> None:
    stop = bytes(tiny_loaded.vocabulary.bytes_of(PROMPT)).decode()
    assert run(tiny_loaded, ids(tiny_loaded, "xyz"), stop_strings=(stop[-1],)).finish_reason == "length"


def test_the_beginning_of_a_stop_string_does_not_end(tiny_loaded: Any) -> None:
    assert run(tiny_loaded, ids(tiny_loaded, "aENaEN"), stop_strings=("END",)).finish_reason == "length"


def test_a_stop_string_in_the_last_allowed_token_is_a_stop_string(tiny_loaded: Any) -> None:
    assert run(tiny_loaded, ids(tiny_loaded, "aEND"), stop_strings=("END",)).finish_reason == "stop_string"


@pytest.mark.parametrize("greedy", [{"do_sample": False}, {"temperature": 0.0}])
def test_greedy_takes_the_most_probable_token_every_time(tiny_loaded: Any, greedy: dict[str, Any]) -> None:
    settings = SamplingSettings(**{"max_length": 8, "num_samples": 2, **greedy})
    requests = [Request("p", index, PROMPT) for index in range(2)]
    first, second = decode(tiny_loaded, requests, settings, 0)
    assert first.token_ids == second.token_ids
    sequence = list(PROMPT)
    for chosen in first.token_ids:
        with torch.inference_mode():
            logits = tiny_loaded.model(torch.tensor([sequence])).logits[0, -1]
        assert chosen == int(logits.argmax())
        sequence.append(chosen)
