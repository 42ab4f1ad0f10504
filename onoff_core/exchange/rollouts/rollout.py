"""One rollout, whatever program wrote it; and the checks of its values, each of which names the place in the file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from onoff_core.errors import ExchangeError

_NO_NUMBER = -9999.0  # how vLLM writes NaN and -inf
_HIGHEST = 1e-3  # a log-probability is at most 0, but for rounding


@dataclass(frozen=True)
class Rollout:
    """A response as a program wrote it down. None: it does not say."""

    place: str  # where it stands, for messages
    problem_id: str | None = None
    question: str | None = None  # a text that is the question, or that holds it
    prompt: str | None = None  # the whole text that the model was given
    prompt_token_ids: tuple[int, ...] | None = None
    response: str | None = None
    token_ids: tuple[int, ...] | None = None
    token_pieces: tuple[bytes, ...] | None = None  # the tokens' bytes, where there are no ids
    rollout_logprobs: tuple[float, ...] | None = None  # nats, by the engine that drew the tokens
    trainer_logprobs: tuple[float, ...] | None = None  # nats, by the trainer
    finish_reason: str | None = None
    reward: float | None = None
    answer: str | None = None  # the gold answer
    step: int | None = None
    temperature: float | None = None  # of the log-probabilities


@dataclass(frozen=True)
class Read:
    """What a file holds."""

    format: str  # the name of its format
    rollouts: tuple[Rollout, ...]
    left_out: tuple[str, ...] = ()  # what is there and is no rollout, and why


def checked(rollout: Rollout) -> Rollout:
    """The rollout; an `ExchangeError` where its lists do not go together or hold no numbers."""
    if rollout.token_ids is None and rollout.response is None and rollout.token_pieces is None:
        raise ExchangeError(f"{rollout.place}: has neither a response nor token ids")
    tokens = rollout.token_ids if rollout.token_ids is not None else rollout.token_pieces
    if rollout.token_ids is not None and not rollout.token_ids:
        raise ExchangeError(f"{rollout.place}: its response has no tokens")
    if rollout.reward is not None and math.isinf(rollout.reward):  # NaN is told by whoever compares
        raise ExchangeError(
            f"{rollout.place}: a reward should be a finite number, not {rollout.reward!r}; write null where there is "
            "none"
        )
    for name in ("rollout_logprobs", "trainer_logprobs"):
        values = getattr(rollout, name)
        if values is not None and tokens is not None:
            _check_logprobs(values, len(tokens), f"{rollout.place}: {name}")
    return rollout


def _check_logprobs(values: Sequence[float], count: int, what: str) -> None:
    if len(values) != count:
        raise ExchangeError(f"{what} has {len(values)} values for a response of {count} tokens")
    for position, value in enumerate(values):
        if not math.isfinite(value) or value <= _NO_NUMBER:
            raise ExchangeError(f"{what} is no number at position {position} ({value}); the logits were broken there")
        if value > _HIGHEST:
            raise ExchangeError(
                f"{what} is {value:g} at position {position}, above 0; natural log-probabilities are wanted, not "
                "probabilities"
            )


def ids_of(value: Any, what: str) -> tuple[int, ...] | None:
    """A list of token ids; None stays None."""
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ExchangeError(f"{what} should be a list of token ids, not {value!r:.40}")
    for one in value:
        if isinstance(one, bool) or not isinstance(one, int) or one < 0:
            raise ExchangeError(f"{what} holds {one!r:.40}, which is no token id")
    return tuple(value)


def logprobs_of(value: Any, what: str) -> tuple[float, ...] | None:
    """A list of log-probabilities; None stays None, and a null in it is no number."""
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ExchangeError(f"{what} should be a list of log-probabilities, not {value!r:.40}")
    for one in value:
        if one is not None and (isinstance(one, bool) or not isinstance(one, (int, float))):
            raise ExchangeError(f"{what} holds {one!r:.40}, which is no log-probability")
    return tuple(math.nan if one is None else _float(one, what) for one in value)


def number_of(value: Any, what: str) -> float | None:
    """A number; None stays None."""
    if value is None:
        return None
    if not isinstance(value, (int, float, str, Decimal)):
        raise ExchangeError(f"{what} should be a number, not {value!r:.40}")
    return _float(value, what)


def _float(value: Any, what: str) -> float:
    """A number as written: a whole one may be too large for any float, a text may be none."""
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise ExchangeError(f"{what} should be a number, not {value!r:.40}") from error


def text_of(value: Any) -> str | None:
    """The text of a message's content: a text, or the texts of its parts; None where there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in value]
        return "".join(part for part in parts if isinstance(part, str))
    return None


def asked_in(messages: Any) -> str | None:
    """The text of a conversation's last message by a user; a text is itself."""
    if isinstance(messages, str):
        return messages
    if not isinstance(messages, Sequence):
        return None
    asked = [one for one in messages if isinstance(one, dict) and one.get("role") == "user"]
    return text_of(asked[-1].get("content")) if asked else None
