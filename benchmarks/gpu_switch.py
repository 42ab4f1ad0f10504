"""Two models that write responses in turns, for `onoff bench gpu`."""

from typing import Any

import torch

from onoff_core.backends.huggingface import cpu
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.trying import plain_logits
from onoff_core.backends.requests import Request, Response
from onoff_core.backends.switching import SECOND, Rules
from onoff_core.study import Condition, SamplingSettings

_SAMPLING = SamplingSettings(max_length=24, temperature=0.8, batch_size=16)
_NEAR = 1e-2  # nats: an entropy that is nearer to the condition's number may be on either side of it


def switch_agreement(first: LoadedModel, second: LoadedModel, requests: list[Request]) -> dict[str, Any]:
    """A condition that never holds against the first alone, one that always holds against the second, and one between:
    each token's writer and log-probability against plain passes. The same with the second model on the CPU.
    """
    never = _in_turns((first, second), Condition(kl=1e6), requests)
    always = _in_turns((first, second), Condition(entropy=0.0), requests)
    entropies = torch.cat([_Thoughts(first, response).entropy for response in never])
    condition = Condition(entropy=float(entropies.median()))
    return {
        "first_alone": _equal(never, _alone(first, requests)),
        "second_alone": _equal(always, _alone(second, requests)),
        "responses": len(requests),
        **_against_plain((first, second), condition, requests),
        "second_on_cpu": _against_plain((first, _on_cpu(second)), condition, requests),
    }


def _in_turns(pair: tuple[LoadedModel, LoadedModel], when: Condition, requests: list[Request]) -> list[Response]:
    rules = Rules(when, None, frozenset(), frozenset())
    drawn = cpu.decode_in_turns(pair, rules, requests, _SAMPLING, 0, _SAMPLING.batch_size, lambda count: None)
    return sorted(drawn, key=_key)


def _alone(loaded: LoadedModel, requests: list[Request]) -> list[Response]:
    return sorted(cpu.decode(loaded, requests, _SAMPLING, 0, _SAMPLING.batch_size, lambda count: None), key=_key)


def _key(response: Response) -> tuple[str, int]:
    return response.request.problem_id, response.request.sample_index


def _equal(found: list[Response], wanted: list[Response]) -> int:
    return sum(one.token_ids == other.token_ids for one, other in zip(found, wanted, strict=True))


class _Thoughts:
    """What a model thinks at each token of a response, by a plain forward pass."""

    def __init__(self, loaded: LoadedModel, response: Response) -> None:
        prompt = response.request.prompt_ids
        logits = plain_logits(loaded, [*prompt, *response.token_ids])[len(prompt) - 1 : -1]
        log_p = logits.double().log_softmax(-1).cpu()
        self.entropy = -(log_p.exp() * log_p).sum(-1)  # (tokens,), nats
        self.logprob = log_p.gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0]  # (tokens,), of each token


def _against_plain(pair: tuple[LoadedModel, LoadedModel], when: Condition, requests: list[Request]) -> dict[str, Any]:
    """How many tokens the second wrote, how many the wrong one did, and the worst log-probability, in nats."""
    assert when.entropy is not None
    of_second = wrong = tokens = 0
    worst = 0.0
    for response in _in_turns(pair, when, requests):
        thoughts = [_Thoughts(loaded, response) for loaded in pair]
        writers = torch.tensor(response.drawn_by) == SECOND
        should = thoughts[0].entropy > when.entropy
        clear = (thoughts[0].entropy - when.entropy).abs() > _NEAR
        logprob = torch.where(writers, thoughts[1].logprob, thoughts[0].logprob)
        tokens += len(writers)
        of_second += int(writers.sum())
        wrong += int(((writers != should) & clear).sum())
        worst = max(worst, float((logprob - torch.tensor(response.logprobs)).abs().max()))
    return {"tokens": tokens, "by_the_second": of_second, "by_the_wrong_one": wrong, "worst_logprob": worst}


def _on_cpu(loaded: LoadedModel) -> LoadedModel:
    """The same model there; what it learnt of the device is forgotten."""
    model = loaded.model.to("cpu")
    return LoadedModel(loaded.name, model, loaded.tokenizer, model.device, None, loaded.stop_token_ids)
