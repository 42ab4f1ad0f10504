"""The engine of `backend_type: switch`: two models of one engine write each response in turns.

Which engine it is, the settings of the first say. Scoring and the tokenizer are the first's. Two fake models take turns
here, without torch; those of transformers in `huggingface.switch`.
"""

import dataclasses
import importlib
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from onoff_core.backends import fake
from onoff_core.backends.contract import ModelInfo, OnTokens, Sampler, Scorer, Tokenizer
from onoff_core.backends.drafts import Draft
from onoff_core.backends.requests import Request, Response
from onoff_core.backends.switching import SECOND, Rules, Turns, check_beginnings
from onoff_core.study import Backend, FakeScript, ModelSettings, SamplingSettings

_ENGINES = {"huggingface": "onoff_core.backends.huggingface.engine", "fake": "onoff_core.backends.fake"}


class FakeSwitch:
    """Two scripted models. All their logits are 0, so KL is 0 and the entropy ln V at every token."""

    def __init__(self, name: str, settings: ModelSettings) -> None:
        switch = settings.switch
        assert switch is not None
        self.model = fake.open_sampler(name, settings, Path())
        self.tokenizer = self.model.tokenizer
        self.info: ModelInfo = dataclasses.replace(self.model.info, resumes=False)
        self.rules = Rules.of(switch, self.tokenizer.vocabulary, name)
        self._texts = tuple(_script(one).responses for one in (switch.first_model, switch.second_model))

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        check_beginnings(requests, self.info.name)
        for request in requests:
            response = self._say(Draft(request, self.model, sampling, seed), request)
            on_tokens(len(response.token_ids))
            yield response

    def _say(self, draft: Draft, request: Request) -> Response:
        """Each says the byte of its own text at this position, or any token where it has no text."""
        turns, size = Turns(self.rules), fake.VOCABULARY_SIZE
        scripted = [None if not texts else texts[request.sample_index % len(texts)].encode() for texts in self._texts]
        draft.response.drawn_by = drawn_by = []
        for position in itertools.count():
            writer = turns.next(0.0, math.log(size), draft.response.token_ids)
            drawn_by.append(writer)
            text, uniform = scripted[writer == SECOND], draft.uniform()
            if draft.forced_token is not None:
                token = draft.forced_token
            elif text is None:
                token = int(uniform * size)
            else:
                token = text[position] if position < len(text) else fake.STOP
            if draft.accept(token, -math.log(size)):
                break
        return draft.response

    def close(self) -> None:
        """There is nothing to release."""


def _script(backend: Backend | None) -> FakeScript:
    script = None if backend is None else backend.backend_specific.script
    return script or FakeScript()


def open_sampler(name: str, settings: ModelSettings, base_dir: Path) -> Sampler:
    if _kind(settings) == "fake":
        return FakeSwitch(name, settings)
    module = importlib.import_module("onoff_core.backends.huggingface.switch")
    return cast(Sampler, module.open_sampler(name, settings, base_dir))


def open_scorer(name: str, settings: ModelSettings, base_dir: Path) -> Scorer:
    return cast(Scorer, _engine(settings).open_scorer(name, settings, base_dir))


def open_tokenizer(name: str, settings: ModelSettings, base_dir: Path) -> Tokenizer:
    return cast(Tokenizer, _engine(settings).open_tokenizer(name, settings, base_dir))


def num_gpus() -> int:
    """Those that transformers could use; two fake models take no replicas that would ask."""
    return int(importlib.import_module(_ENGINES["huggingface"]).num_gpus())


def _kind(settings: ModelSettings) -> str:
    assert settings.switch is not None
    assert settings.switch.first_model is not None
    return settings.switch.first_model.backend_type


def _engine(settings: ModelSettings) -> Any:
    return importlib.import_module(_ENGINES[_kind(settings)])
