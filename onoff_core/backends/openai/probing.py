"""What has to be known of a server before the first response: which model, which version, and what it can promise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from onoff_core.backends.openai.protocol import Completion, Endpoint, ids_payload
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import BackendOptions, ModelSettings, SamplingSettings

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


def probe(
    name: str, endpoint: Endpoint, settings: ModelSettings, prompt_ids: Sequence[int], stop_token_ids: Sequence[int]
) -> Found:
    """Ask a server what it is and try what it promises. Raises `SettingsError` or `ModelError` where it is not what the
    settings say, `EndpointFailed` where it does not answer.
    """
    options = settings.backend_specific
    served = options.served_model_name or settings.model_name
    model = _served_model(endpoint, served)
    root, longest = model.get("root"), model.get("max_model_len")
    _check_root(name, endpoint, settings, served, root)
    found = Found(
        model_root=root if isinstance(root, str) else None,
        max_positions=longest if isinstance(longest, int) else None,
        version=endpoint.version(options.engine),
        returns_ids=True,
    )
    prompt = list(prompt_ids[:_PROMPT_TOKENS])
    room = _PROBE_TOKENS if found.max_positions is None else found.max_positions - len(prompt) - 1
    payload = {"model": served, "prompt": prompt, "max_tokens": min(_PROBE_TOKENS, room)}

    def ask(seed: int, temperature: float, **more: Any) -> Completion:
        sampling = ids_payload(SamplingSettings(temperature=temperature), stop_token_ids)
        return endpoint.complete({**payload, **sampling, "seed": seed, **more})

    first = _first(endpoint, options, lambda: ask(_SEEDS[0], _HOT))
    if first is None:
        return Found(found.model_root, found.max_positions, found.version, returns_ids=False)
    broken = _broken(first, ask)
    refused = [promise for promise in broken if promise in options.require]
    if refused:
        raise ModelError(_refusal(name, endpoint, options, refused))
    return Found(found.model_root, found.max_positions, found.version, True, tuple(broken))


def _first(endpoint: Endpoint, options: BackendOptions, ask: Callable[[], Completion]) -> Completion | None:
    """A first response; None where the server takes or returns no ids, which only `engine: other` may do."""
    try:
        completion = ask()
    except ModelError:
        if options.engine == "other":  # it refuses parameters that it does not know
            return None
        raise
    if completion.token_ids:
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
    for model in models:
        if model["id"] == served:
            return dict(model)
    names = ", ".join(str(one["id"]) for one in models) or "none"
    raise SettingsError(
        f"{endpoint.url}: no model is served as {served!r} there; it has: {names}. Name one in "
        "backend_specific.served_model_name"
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
