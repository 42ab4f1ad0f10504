"""Where a response ends and why: stop token, length, stop string. The model's weights spell what a test wants said."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import load_model
from onoff_core.backends.requests import Request, Response
from onoff_core.study import BackendOptions, ModelSettings, SamplingSettings
from tests.tiny import save_tiny_llama

PROMPT = (5, 6, 7)
Run = Callable[..., Response]


def spell(model: torch.nn.Module, token_ids: Sequence[int]) -> None:
    """Weights of a model in which each token is followed by the next one of these, the prompt by the first: nothing is
    added to a token's own embedding, which is one coordinate a token, and the head reads off its successor.
    """
    chain = [PROMPT[-1], *token_ids]
    assert len(set(chain)) == len(chain) <= model.config.hidden_size, "a token has one successor"
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.zero_()
        model.lm_head.weight.zero_()
        for coordinate, (token, successor) in enumerate(itertools.pairwise(chain)):
            model.model.embed_tokens.weight[token, coordinate] = 1
            model.lm_head.weight[successor, coordinate] = 20


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(token_ids: Sequence[int], **sampling: Any) -> Response:
        from transformers import LlamaForCausalLM

        folder = save_tiny_llama(tmp_path / "spelling")
        model = LlamaForCausalLM.from_pretrained(folder)
        spell(model, token_ids)
        model.save_pretrained(folder)
        settings = ModelSettings(model_name=str(folder), backend_specific=BackendOptions(device="cpu"))
        loaded = load_model("spelling", settings, folder)
        limits = SamplingSettings(**{"max_length": len(token_ids), "num_samples": 1, "batch_size": 1, **sampling})
        (response,) = decode(loaded, [Request("p", 0, PROMPT)], limits, 0)
        return response

    return run


def ids(loaded: Any, text: str) -> list[int]:
    found: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def token(loaded: Any, text: str) -> int:
    found: int = loaded.tokenizer.convert_tokens_to_ids(text)
    return found


def test_a_stop_token_ends_and_is_kept_among_the_ids_but_not_in_the_text(tiny_loaded: Any, run: Run) -> None:
    end = token(tiny_loaded, "<|im_end|>")
    said = [*ids(tiny_loaded, "ab"), end]
    response = run([*said, *ids(tiny_loaded, "cd")])
    assert (response.finish_reason, response.token_ids) == ("stop", said)
    assert tiny_loaded.decode(response.token_ids) == "ab"


def test_max_length_counts_generated_tokens_not_the_prompt(tiny_loaded: Any, run: Run) -> None:
    response = run(ids(tiny_loaded, "abcdef"), max_length=4)
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("length", "abcd")


def test_a_stop_token_as_the_last_allowed_token_is_a_stop(tiny_loaded: Any, run: Run) -> None:
    said = [*ids(tiny_loaded, "ab"), token(tiny_loaded, "<|im_end|>")]
    assert run(said, max_length=3).finish_reason == "stop"


def test_a_stop_string_over_several_tokens(tiny_loaded: Any, run: Run) -> None:
    response = run(ids(tiny_loaded, "abENDcd"), stop_strings=("nothing", "END"))
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("stop_string", "abEND")


def test_a_stop_string_that_ends_inside_a_token(tiny_loaded: Any, run: Run) -> None:
    """` answer` is one token: the string ends in its middle, and the token stays whole."""
    said = [*ids(tiny_loaded, "ab"), token(tiny_loaded, "Ġanswer"), *ids(tiny_loaded, "cd")]
    response = run(said, stop_strings=("b an",))
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("stop_string", "ab answer")


def test_a_stop_string_wholly_inside_a_token(tiny_loaded: Any, run: Run) -> None:
    said = [*ids(tiny_loaded, "ab"), token(tiny_loaded, "Ġanswer"), *ids(tiny_loaded, "cd")]
    assert run(said, stop_strings=("nsw",)).finish_reason == "stop_string"


def test_a_stop_string_whose_character_is_split_among_tokens(tiny_loaded: Any, run: Run) -> None:
    said = ids(tiny_loaded, "a🙂b")
    response = run(said, stop_strings=("🙂",))
    assert (response.finish_reason, tiny_loaded.decode(response.token_ids)) == ("stop_string", "a🙂")


def test_a_stop_string_in_the_prompt_does_not_count(tiny_loaded: Any, run: Run) -> None:
    stop = bytes(tiny_loaded.vocabulary.bytes_of(PROMPT)).decode()
    assert run(ids(tiny_loaded, "xyz"), stop_strings=(stop[-1],)).finish_reason == "length"


def test_the_beginning_of_a_stop_string_does_not_end(tiny_loaded: Any, run: Run) -> None:
    assert run(ids(tiny_loaded, "xENyz"), stop_strings=("END",)).finish_reason == "length"


def test_a_stop_string_in_the_last_allowed_token_is_a_stop_string(tiny_loaded: Any, run: Run) -> None:
    assert run(ids(tiny_loaded, "aEND"), stop_strings=("END",)).finish_reason == "stop_string"


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
