"""A response that ended at a smaller `max_length` goes on as if it had never ended, whichever decoder runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from onoff_core.backends.huggingface import cpu
from onoff_core.backends.huggingface.continuous import continuous_batches
from onoff_core.backends.huggingface.generate import generate_batches
from onoff_core.backends.requests import Request, Response
from onoff_core.study import SamplingSettings

SHORT, LONG = SamplingSettings(max_length=6, temperature=0.9), SamplingSettings(max_length=18, temperature=0.9)
PROMPTS = {"a": (5, 9, 17, 30), "b": (8, 8, 41)}
Decode = Callable[..., Iterator[Response]]


def by_slots(loaded: Any, requests: Sequence[Request], *rest: Any) -> Iterator[Response]:
    return cpu.decode(loaded, list(requests), *rest, True)


def drawn(decode: Decode, loaded: Any, requests: Sequence[Request], sampling: SamplingSettings) -> dict[Any, Response]:
    found = decode(loaded, requests, sampling, 11, 8, lambda count: None)
    return {(one.request.problem_id, one.request.sample_index): one for one in found}


@pytest.mark.parametrize("decode", [by_slots, generate_batches, continuous_batches])
def test_it_goes_on_as_if_it_had_never_ended(tiny_loaded: Any, decode: Decode) -> None:
    requests = [Request(name, sample, ids) for name, ids in PROMPTS.items() for sample in range(4)]
    short = drawn(decode, tiny_loaded, requests, SHORT)
    whole = drawn(by_slots, tiny_loaded, requests, LONG)
    begun = {key: one for key, one in short.items() if one.finish_reason == "length"}
    assert len(begun) > 4
    resumed = [
        Request(name, sample, (*one.request.prompt_ids, *one.token_ids), begun=len(one.token_ids), resumed=True)
        for (name, sample), one in begun.items()
    ]
    for key, one in drawn(decode, tiny_loaded, resumed, LONG).items():
        assert [*begun[key].token_ids, *one.token_ids] == whole[key].token_ids
        assert [*begun[key].logprobs, *one.logprobs] == pytest.approx(whole[key].logprobs, abs=1e-4)
        assert one.finish_reason == whole[key].finish_reason
    # A branch that begins with the same tokens draws by numbers of its own, from the first on.
    branches = [replace(request, resumed=False) for request in resumed]
    others = drawn(decode, tiny_loaded, branches, LONG)
    assert any(one.token_ids != whole[key].token_ids[6:] for key, one in others.items())
