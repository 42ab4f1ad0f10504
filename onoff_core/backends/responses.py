"""What is asked of a decoder, and a response as it grows: the one place that knows when a response ends."""

from collections.abc import Callable
from dataclasses import dataclass, field

from onoff_core.backends.drawing import uniform_stream
from onoff_core.backends.loading import LoadedModel
from onoff_core.study import SamplingSettings

OnTokens = Callable[[int], None]  # is told how many tokens were drawn


@dataclass(frozen=True)
class Request:
    """One response to draw."""

    problem_id: str
    sample_index: int
    prompt_ids: tuple[int, ...]


@dataclass
class Response:
    """One response, as it ended."""

    request: Request
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)  # nats, raw model at temperature 1
    finish_reason: str = "length"  # stop, length, stop_string


class Draft:
    """A response that is being drawn, with its own uniform numbers."""

    def __init__(self, request: Request, loaded: LoadedModel, sampling: SamplingSettings, seed: int) -> None:
        self.response = Response(request)
        self._uniforms = uniform_stream(seed, request.problem_id, request.sample_index)
        self._loaded = loaded
        longest = loaded.max_positions
        room = sampling.max_length if longest is None else longest - len(request.prompt_ids)
        self.max_tokens = min(sampling.max_length, room)
        self._stops = [text.encode() for text in sampling.stop_strings]
        self._keep = max(map(len, self._stops), default=0)
        self._tail = b""  # the last bytes, as many as a stop string may still need

    @property
    def last_token(self) -> int:
        return self.response.token_ids[-1]

    def uniform(self) -> float:
        """The number that decides the next token."""
        return float(self._uniforms.random())

    def accept(self, token: int, logprob: float) -> bool:
        """Take the next token; whether the response ends with it.

        It ends at a stop token, once its bytes hold a stop string (which may end inside a token), or when there is no
        room: `max_length` tokens, or what the model's positions leave after the prompt.
        """
        self.response.token_ids.append(token)
        self.response.logprobs.append(logprob)
        reason = self._end(token)
        if reason is None:
            return False
        self.response.finish_reason = reason
        return True

    def _end(self, token: int) -> str | None:
        if token in self._loaded.stop_token_ids:
            return "stop"
        if self._stops:
            self._tail += self._loaded.vocabulary.pieces[token]
            if any(stop in self._tail for stop in self._stops):
                return "stop_string"
            self._tail = self._tail[-self._keep :]
        return "length" if len(self.response.token_ids) >= self.max_tokens else None
