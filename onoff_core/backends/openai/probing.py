"""What has to be known of a server before the first response: which model, which version, and what it can promise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from onoff_core.backends.contract import Tokenizer
from onoff_core.backends.openai.answers import Completion
from onoff_core.backends.openai.protocol import Endpoint, ids_payload
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BackendOptions, ModelSettings, SamplingSettings
from onoff_core.tasks import Prompt

_PROBE = Prompt("The first thing that comes to mind is: 12 x 7 = 84, naïve café", add_special_tokens=True)
_PROMPT_TOKENS, _PROBE_TOKENS = 8, 12
_SEEDS = (11, 2**62 + 3, 12, 13)
_SAME_NATS = 0.05  # a batch of half precision rounds differently from the next
_HOT = 1.5  # temperature at which seeds that are heeded do not draw the same


@dataclass(frozen=True)
class Found:
    """What a server says of itself, and shows."""

    model_root: str | None
    max_positions: int | None
    version: str | None
    returns_ids: bool
    not_promised: tuple[str, ...] = ()


_MENDS = {
    ("sglang", "seeds_repeat"): "start it with --enable-deterministic-inference",
    ("sglang", "seeds_differ"): "start it with --enable-deterministic-inference",
    ("sglang", "raw_logprobs"): "start it with SGLANG_RETURN_ORIGINAL_LOGPROB=1 in its environment",
    ("vllm", "raw_logprobs"): "start it with --logprobs-mode raw_logprobs",
}
_MEANINGS = {
    "seeds_repeat": "equal seeds draw different responses",
    "seeds_differ": "different seeds draw the same response",
    "raw_logprobs": "log-probabilities change with the temperature, so they are not the model's own",
}


def probe(name: str, endpoint: Endpoint, settings: ModelSettings, tokenizer: Tokenizer) -> Found:
    """Ask a server what it is and try what it promises. Raises `SettingsError` or `ModelError` where it is not what the
    settings say, `EndpointFailed` where it does not answer.
    """
    options = settings.backend_specific
    served = options.served_model_name or settings.model_name
    model = _served_model(endpoint, served)
    root, longest = model.get("root"), _longest(endpoint, model)
    _check_root(name, endpoint, settings, served, root)
    found = Found(
        model_root=endpoint.shown(root) if isinstance(root, str) else None,
        max_positions=longest,
        version=endpoint.version(options.engine),
        returns_ids=True,
    )
    prompt = tokenizer.encode(_PROBE)[:_PROMPT_TOKENS]
    room = _PROBE_TOKENS if longest is None else longest - len(prompt) - 1
    payload = {"model": served, "max_tokens": min(_PROBE_TOKENS, room)}

    def ask(seed: int, temperature: float, prompt: Sequence[int] | str = prompt, **more: Any) -> Completion:
        sampling = ids_payload(SamplingSettings(temperature=temperature), sorted(tokenizer.stop_token_ids))
        return endpoint.complete({**payload, **sampling, "prompt": prompt, "seed": seed, **more})

    first = _first(endpoint, options, lambda: ask(_SEEDS[0], _HOT))
    if first is None:
        return replace(found, returns_ids=False)
    if longest is None or len(tokenizer.encode(_PROBE)) + 2 <= longest:
        _check_tokenizer(name, endpoint, settings, tokenizer, ask(_SEEDS[0], 1.0, _PROBE.text, max_tokens=1))
    broken = _broken(first, ask)
    refused = [promise for promise in broken if promise in options.require]
    if refused:
        raise ModelError(_refusal(name, endpoint, options, refused))
    return replace(found, not_promised=tuple(broken))


def _first(endpoint: Endpoint, options: BackendOptions, ask: Callable[[], Completion]) -> Completion | None:
    """A first response; None where the server takes or returns no ids, which only `engine: other` may do."""
    try:
        completion = ask()
    except ModelError:
        if options.engine == "other":  # it refuses parameters that it does not know
            return None
        raise
    if completion.token_ids:
        if completion.finish_reason is None:
            raise ModelError(f"{endpoint.url}: a response came without finish_reason, so nobody knows that it is whole")
        return completion
    if options.engine == "other":
        return None
    raise ModelError(
        f"{endpoint.url}: the server returns no token ids (return_token_ids), which {options.engine} does since 2025; "
        "update it, or write engine: other to keep text alone, which cannot be scored"
    )


def _broken(first: Completion, ask: Callable[..., Completion]) -> list[str]:
    """The promises that do not hold."""
    broken = []
    if ask(_SEEDS[0], _HOT).token_ids != first.token_ids:
        broken.append("seeds_repeat")
    if all(ask(seed, _HOT).token_ids == first.token_ids for seed in _SEEDS[1:]):
        broken.append("seeds_differ")
    cold, plain = (ask(_SEEDS[0], temperature, max_tokens=1, logprobs=1).most_probable for temperature in (0.5, 1.0))
    if cold is None or plain is None or not abs(cold - plain) <= _SAME_NATS:
        broken.append("raw_logprobs")
    return broken


def _refusal(name: str, endpoint: Endpoint, options: BackendOptions, refused: Sequence[str]) -> str:
    sentences = []
    for promise in refused:
        mend = _MENDS.get((options.engine, promise))
        sentences.append(f"{_MEANINGS[promise]} ({promise}{f'; {mend}' if mend else ''})")
    kept = [one for one in options.require if one not in refused]
    return (
        f"models.{name}: {endpoint.url}: {'; '.join(sentences)}. To do without, which is recorded: "
        f"backend_specific.require: [{', '.join(kept)}]"
    )


def _served_model(endpoint: Endpoint, served: str) -> dict[str, Any]:
    found = endpoint.get("/models")
    models = found.get("data") if isinstance(found, dict) else None
    if not isinstance(models, list) or not all(isinstance(one, dict) and "id" in one for one in models):
        raise ModelError(f"{endpoint.url}: /models lists no models; is this the address of a server of models?")
    ours = [model for model in models if model["id"] == served]
    if not ours:
        names = endpoint.shown(", ".join(str(one["id"]) for one in models)) or "none"
        raise SettingsError(
            f"{endpoint.url}: no model is served as {served!r} there; it has: {names}. Name one in "
            "backend_specific.served_model_name"
        )
    if any(model.get("root") != ours[0].get("root") for model in ours):
        roots = endpoint.shown(", ".join(str(model.get("root")) for model in ours))
        raise ModelError(
            f"{endpoint.url}: {len(ours)} models are served as {served!r} there ({roots}), and nobody can say which "
            "answers; serve each under a name of its own"
        )
    return dict(ours[0])


def _longest(endpoint: Endpoint, model: dict[str, Any]) -> int | None:
    """The longest sequence of the served model, where the server says one that can be."""
    said = model.get("max_model_len")
    if type(said) is not int:
        return None
    if said < _PROMPT_TOKENS + 2:
        raise ModelError(
            f"{endpoint.url}: its model takes {said} tokens (max_model_len), which is too few for a prompt and a "
            "response; start the server with --max-model-len, or without it"
        )
    return said


def _check_tokenizer(
    name: str, endpoint: Endpoint, settings: ModelSettings, tokenizer: Tokenizer, completion: Completion
) -> None:
    """What the server makes of a text has to be what we make of it, but for a mark of the text's beginning."""
    seen = completion.prompt_token_ids
    if seen is None:  # it does not say
        return
    special = tokenizer.vocabulary.special
    ours, theirs = (
        [token for token in ids if token >= len(special) or not special[token]]
        for ids in (tokenizer.encode(_PROBE), seen)
    )
    if ours != theirs:
        raise ModelError(
            f"models.{name}: {endpoint.url} splits a text into other tokens than the tokenizer of "
            f"{settings.model_name} ({len(theirs)} and {len(ours)} of them, {theirs[:3]}... and {ours[:3]}...), so it "
            "serves another model; make the two one"
        )


def _check_root(name: str, endpoint: Endpoint, settings: ModelSettings, served: str, root: Any) -> None:
    """Where both sides name the model on the hub, the names have to be one. Folders differ from machine to machine."""
    if not isinstance(root, str) or not (_is_hub_id(root) and _is_hub_id(settings.model_name)):
        return
    if root.lower() != settings.model_name.lower():
        raise ModelError(
            f"models.{name}: {endpoint.url} serves {root} as {served!r}, but model_name is {settings.model_name}; "
            "make the two one: its tokenizer and scores would be another model's"
        )


def _is_hub_id(text: str) -> bool:
    return text.count("/") == 1 and not text.startswith((".", "/", "~")) and ":" not in text
