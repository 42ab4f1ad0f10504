"""A response as it grows: its uniform numbers, and the only code that decides when a response ends, and which of its
tokens are put in.
"""

import hashlib
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from onoff_core.backends.contract import ModelInfo, Tokenizer
from onoff_core.backends.requests import Forcing, Request, Response
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import SamplingSettings
from onoff_core.tasks.thinking import Scan


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


class ThinkingBudget:
    """The thinking of one response, counted as it grows, and the closing tokens where it is used up."""

    def __init__(self, forcing: Forcing, vocabulary: Vocabulary, begun: Sequence[int]) -> None:
        """`begun`: the response's first tokens, which are there already."""
        self._forcing, self._vocabulary = forcing, vocabulary
        self._scan = Scan(forcing.tags, forcing.opened)
        self._ends: list[int] = []  # bytes after each token
        self._spent = 0  # tokens of the thinking that is closed
        self._forced: deque[int] = deque()
        for token in begun:
            self._forced.clear()
            self.take(token)
        self._go_on_closing(begun)

    @property
    def forced_token(self) -> int | None:
        return self._forced[0] if self._forced else None

    def take(self, token: int) -> None:
        """Count a token that was drawn, or the one that was forced."""
        if self._forced:
            self._forced.popleft()
        piece = self._vocabulary.pieces[token]
        self._ends.append((self._ends[-1] if self._ends else 0) + len(piece))
        closed = len(self._scan.closed)
        self._scan.feed(piece)
        for begin, _ in self._scan.closed[closed:]:
            self._spent += self._since(begin)
        if not self._forced and self._scan.opened_at is not None and self._spent_now() >= self._forcing.budget:
            self._forced.extend(self._forcing.closing)

    def _since(self, byte: int) -> int:
        """Tokens from the one that holds this byte on."""
        return len(self._ends) - bisect_right(self._ends, byte)

    def _go_on_closing(self, begun: Sequence[int]) -> None:
        """Where the tokens that are there end within the closing ones, the rest of these is put in."""
        closing = self._forcing.closing
        there = next((n for n in range(len(closing) - 1, 0, -1) if tuple(begun[-n:]) == closing[:n]), 0)
        if self._forced and self._spent_now() - there >= self._forcing.budget:
            self._forced = deque(closing[there:])

    def _spent_now(self) -> int:
        return self._spent + (0 if self._scan.opened_at is None else self._since(self._scan.opened_at))


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
        begun = request.prompt_ids[-request.begun :] if request.begun else ()
        if self._stops and begun:
            self._tail = model.vocabulary.bytes_of(begun)[-self._keep :]
        self._budget = None if request.forcing is None else ThinkingBudget(request.forcing, model.vocabulary, begun)
        if self._budget is not None:
            self.response.forced_positions = []

    @property
    def last_token(self) -> int:
        return self.response.token_ids[-1]

    @property
    def forced_token(self) -> int | None:
        """The token that comes next, whatever would be drawn; None: the next one is drawn."""
        return None if self._budget is None else self._budget.forced_token

    def uniform(self) -> float:
        """The number that decides the next token. Each position has one of its own, that of a forced token too, so that
        what comes after is drawn by the same numbers as without.
        """
        return float(self._uniforms.random())

    def accept(self, token: int, logprob: float) -> bool:
        """Take the next token, which is the forced one where there is one; whether the response ends with it.

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
        if self._budget is not None:
            self._count(self._budget, token)
        self.response.token_ids.append(token)
        self.response.logprobs.append(logprob)
        reason = self._end(token)
        if reason is None:
            return False
        self.response.finish_reason = reason
        return True

    def _count(self, budget: ThinkingBudget, token: int) -> None:
        forced = budget.forced_token
        if forced is not None:
            if token != forced:  # an engine that does not ask for `forced_token`
                request = self.response.request
                raise ModelError(
                    f"problem {request.problem_id}, sample {request.sample_index}: the engine drew a token where "
                    "sampling.thinking_budget puts one in, so it cannot keep to a budget; set it to null"
                )
            assert self.response.forced_positions is not None
            self.response.forced_positions.append(len(self.response.token_ids))
        budget.take(token)

    def _end(self, token: int) -> str | None:
        if token in self._model.stop_token_ids:
            return "stop"
        if self._stops:
            self._tail += self._model.vocabulary.pieces[token]
            if any(stop in self._tail for stop in self._stops):
                return "stop_string"
            self._tail = self._tail[-self._keep :]
        return "length" if len(self.response.token_ids) >= self.max_tokens else None
