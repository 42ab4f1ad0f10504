"""A response as it grows: its uniform numbers, and the only code that decides when a response ends."""

import hashlib
import math
from typing import Protocol

import numpy as np

from onoff_core.backends.contract import ModelInfo, Tokenizer
from onoff_core.backends.requests import Request, Response
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import SamplingSettings


def uniform_stream(seed: int, problem_id: str, sample_index: int) -> np.random.Generator:
    """The uniform numbers of one response, one a token: they depend on (seed, problem_id, sample_index) only."""
    digest = hashlib.sha256(f"{seed}\x1f{problem_id}\x1f{sample_index}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))


def stream_of(request: Request, seed: int) -> np.random.Generator:
    """The uniform numbers of the tokens that a request still has to draw."""
    stream = uniform_stream(seed, request.problem_id, request.sample_index)
    if request.resumed:
        stream.random(request.begun)
    return stream


class Model(Protocol):
    """The properties of a model that decide where a response ends."""

    @property
    def max_positions(self) -> int | None: ...

    @property
    def stop_token_ids(self) -> frozenset[int]: ...

    @property
    def vocabulary(self) -> Vocabulary: ...


class DescribedModel:
    """A `Model` that has what is asked of it from its `info` and its `tokenizer`."""

    info: ModelInfo
    tokenizer: Tokenizer

    @property
    def max_positions(self) -> int | None:
        return self.info.max_positions

    @property
    def stop_token_ids(self) -> frozenset[int]:
        return self.info.stop_token_ids

    @property
    def vocabulary(self) -> Vocabulary:
        return self.tokenizer.vocabulary


class Draft:
    """A response that is being drawn, with its own uniform numbers."""

    def __init__(self, request: Request, model: Model, sampling: SamplingSettings, seed: int) -> None:
        self.response = Response(request)
        self._uniforms = stream_of(request, seed)
        self._model = model
        longest = model.max_positions
        room = sampling.max_length if longest is None else longest - len(request.prompt_ids)
        self.max_tokens = min(sampling.max_length - request.begun, room)
        self._stops = [text.encode() for text in sampling.stop_strings]
        self._keep = max(map(len, self._stops), default=0)
        self._tail = b""  # the last bytes, as many as a stop string may still need
        if self._stops and request.begun:
            self._tail = model.vocabulary.bytes_of(request.prompt_ids[-request.begun :])[-self._keep :]

    @property
    def last_token(self) -> int:
        return self.response.token_ids[-1]

    def uniform(self) -> float:
        """The number that decides the next token."""
        return float(self._uniforms.random())

    def accept(self, token: int, logprob: float) -> bool:
        """Take the next token; whether the response ends with it.

        It ends at a stop token, once its bytes hold a stop string (which may end inside a token), or when there is no
        room: `max_length` tokens, or what the model's positions leave after the prompt. Raises `ModelError` where the
        log-probability is no finite number, for then the logits that the token was drawn from are none either.
        """
        if not math.isfinite(logprob):
            request = self.response.request
            raise ModelError(
                f"problem {request.problem_id}, sample {request.sample_index}: the model's logits at position "
                f"{len(self.response.token_ids)} of the response are not numbers; try torch_dtype: float32, and check "
                "the weights"
            )
        self.response.token_ids.append(token)
        self.response.logprobs.append(logprob)
        reason = self._end(token)
        if reason is None:
            return False
        self.response.finish_reason = reason
        return True

    def _end(self, token: int) -> str | None:
        if token in self._model.stop_token_ids:
            return "stop"
        if self._stops:
            self._tail += self._model.vocabulary.pieces[token]
            if any(stop in self._tail for stop in self._stops):
                return "stop_string"
            self._tail = self._tail[-self._keep :]
        return "length" if len(self.response.token_ids) >= self.max_tokens else None
