"""Two models of transformers that write responses in turns, both loaded once; and what keeps two from doing so."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from onoff_core.backends.contract import ModelInfo, OnTokens
from onoff_core.backends.huggingface import cpu
from onoff_core.backends.huggingface.decoding import free_memory, in_fewer_rows
from onoff_core.backends.huggingface.loading import LoadedModel, load_beside, load_model
from onoff_core.backends.requests import Request, Response
from onoff_core.backends.stopping import StoppingTokenizer
from onoff_core.backends.switching import Rules, check_beginnings
from onoff_core.errors import ModelError
from onoff_core.study import Backend, ModelSettings, SamplingSettings, SwitchSettings

logger = logging.getLogger(__name__)


class HuggingfaceSwitch:
    """The sampler made of two models. The first one is kept after `close`, for it scores."""

    def __init__(self, name: str, first: LoadedModel, second: LoadedModel, switch: SwitchSettings) -> None:
        self.name, self.first, self._second = name, first, second
        check_pair(name, first, second, switch)
        self.rules = Rules.of(switch, first.vocabulary, name)
        self.tokenizer = StoppingTokenizer(first, first.stop_token_ids | second.stop_token_ids)
        known = [one.max_positions for one in (first, second) if one.max_positions is not None]
        self.info: ModelInfo = dataclasses.replace(
            first.info,
            max_positions=min(known, default=None),
            stop_token_ids=first.stop_token_ids | second.stop_token_ids,
            facts={"second_model": switch.second, "second_model_revision": second.revision},
            resumes=False,
        )

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        """As `decoding.decode`: half as many rows are tried where they do not fit into memory."""
        check_beginnings(requests, self.name)
        pair = (self.first, self._second)
        yield from in_fewer_rows(
            self.name,
            requests,
            sampling.batch_size,
            lambda todo, rows: cpu.decode_in_turns(pair, self.rules, todo, sampling, seed, rows, on_tokens),
            "in flight by two models; lower sampling.max_length, or load the second on another device",
        )

    def close(self) -> None:
        """Let the second model go; the first scores next."""
        del self._second
        free_memory()


def open_sampler(name: str, settings: ModelSettings, base_dir: Path) -> HuggingfaceSwitch:
    """Load both. Raises `ModelError`."""
    switch = settings.switch
    assert switch is not None
    assert switch.second_model is not None
    first = load_model(name, settings, base_dir)
    return HuggingfaceSwitch(name, first, load_beside(switch.second, _whole(switch.second_model), base_dir), switch)


def _whole(backend: Backend) -> ModelSettings:
    return ModelSettings(**{field: getattr(backend, field) for field in Backend.model_fields})


def check_pair(name: str, first: LoadedModel, second: LoadedModel, switch: SwitchSettings) -> None:
    """Raise a `ModelError` where the two have not one tokenizer, or cannot be decoded side by side."""
    for number, (one, other) in enumerate(zip(first.vocabulary.pieces, second.vocabulary.pieces, strict=False)):
        if one != other:
            raise ModelError(
                f"models.{name}: {switch.first} and {switch.second} have different tokenizers (token {number} is "
                f"{one!r} of the first and {other!r} of the second); two models can write one response only with one "
                "tokenizer"
            )
    if first.vocab_size != second.vocab_size:
        raise ModelError(
            f"models.{name}: {switch.first} has logits for {first.vocab_size} tokens and {switch.second} for "
            f"{second.vocab_size}, so their distributions are not over the same tokens; two models can write one "
            "response only with one vocabulary"
        )
    for short, loaded in ((switch.first, first), (switch.second, second)):
        reason = cpu.supports(loaded)
        if reason is not None:
            raise ModelError(f"models.{name}: {short} has {reason}; it cannot be decoded beside another model")
