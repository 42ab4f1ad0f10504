"""The requests to an engine and its answers: plain values that can be pickled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Forcing:
    """When a response that thinks too long is made to end its thinking, and with what."""

    budget: int  # tokens of thinking, its opening tag included, that are drawn at most
    closing: tuple[int, ...]  # the tokens that are put in then
    tags: tuple[tuple[bytes, bytes], ...]  # (opening, closing), as `tasks.thinking` looks for them
    opened: bool  # the prompt ends with an opening tag


@dataclass(frozen=True)
class Request:
    """One response to draw.

    `begun`: so many of the prompt's last tokens are the first ones of the response, which is gone on with. They count
    in `max_length` and may be the beginning of a stop string; what is drawn comes after them. Requests that go on with
    one response should stand side by side, shorter ones first: an engine may compute what they share once.

    `resumed`: these tokens are what this very request drew before, up to a smaller `max_length`. So the numbers that
    drew them are passed over, and the rest is what it would have drawn in one go; for engines whose `ModelInfo` says
    `resumes`.
    """

    problem_id: str
    sample_index: int
    prompt_ids: tuple[int, ...]
    begun: int = 0
    resumed: bool = False
    forcing: Forcing | None = None  # None: every token is drawn


@dataclass
class Response:
    """One response, as it ended."""

    request: Request
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)  # nats, raw model at temperature 1
    finish_reason: str = "length"  # stop, length, stop_string; an engine knows of no thinking
    text: str | None = None  # where the engine says text and no ids: then the ids are of this text, tokenized here
    drawn_by: list[int] | None = None  # of two models in turns: 1 the first, 2 the second; None: one drew all
    forced_positions: list[int] | None = None  # where a token was put in, not drawn, rising; None: without `forcing`


@dataclass(frozen=True)
class TokenScores:
    """The distribution behind every token of one response.

    The columns, by name, are those of the table `token_distributions`, in its units, of the distribution at the
    settings' temperature: (num_tokens,) each, and (num_tokens, k) for `topk_ids` (int32, by falling probability) and
    `topk_logprobs` (float32, never renormalised). Without `topk_ids`, `topk_logprobs` holds the whole vocabulary in the
    order of ids. Values of a single token, such as `logprob` and `rank`, are those of the token that was sampled.
    """

    columns: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]


@dataclass(frozen=True)
class PairScores:
    """Two models' distributions behind every token of one text.

    The columns, by name, are those of the table `cross_scores` that hang on the models, (num_tokens,) each, at
    temperature 1. Those that are null there are left out.
    """

    columns: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]


@dataclass(frozen=True)
class KeptDistributions:
    """What is kept of a model's distributions behind the tokens of one response: `token_distributions` at T = 1."""

    logprob: NDArray[Any]  # (num_tokens,) float32, nats, of the sampled token
    entropy: NDArray[Any]  # (num_tokens,) float32, nats, over the whole vocabulary
    tail_mass: NDArray[Any]  # (num_tokens,) float32, probability outside the top-k
    topk_ids: NDArray[Any]  # (num_tokens, k) int32, by falling probability
    topk_logprobs: NDArray[Any]  # (num_tokens, k) float32, nats
