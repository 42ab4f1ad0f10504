"""What a server's answer says of one response, read strictly: an answer may hold anything that JSON can.

Functions raise `ValueError` with the fault; whoever knows the server's address says where.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NO_NUMBER = -9999.0  # how vLLM writes NaN and -inf
_ROUNDING_NATS = 0.01  # a log-probability may be above 0 by so much, where half precision rounds


@dataclass(frozen=True)
class Completion:
    """What a server said of one response."""

    token_ids: list[int] | None  # None: it says text only
    logprobs: list[float] | None  # nats, one a token; NaN where what it says is no number
    most_probable: float | None  # nats, of the first token's alternatives, where they were asked for
    text: str | None
    finish_reason: str | None
    prompt_token_ids: list[int] | None  # what the server made of the prompt, where it says that


def parsed(body: bytes) -> Any:
    """The value that a body in JSON holds."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("its JSON is nested without end") from None


def read_completion(content: Any) -> Completion:
    """One response, out of an answer that may be anything."""
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, list):
        raise ValueError("there are no choices in it")
    if len(choices) != 1:
        raise ValueError(f"it has {len(choices)} choices where one was asked for")
    [choice] = choices
    if not isinstance(choice, dict):
        raise ValueError("its choice is no object")
    logprobs = choice.get("logprobs") or {}
    if not isinstance(logprobs, dict):
        raise ValueError("logprobs is no object")
    text, reason = choice.get("text"), choice.get("finish_reason")
    if not isinstance(text, str | None) or not isinstance(reason, str | None):
        raise ValueError("text or finish_reason is no text")
    return Completion(
        token_ids=_ids(choice, "token_ids"),
        logprobs=_numbers(logprobs.get("token_logprobs"), "token_logprobs"),
        most_probable=_most_probable(logprobs.get("top_logprobs")),
        # JSON may hold halves of characters, and files may not
        text=None if text is None else text.encode("utf-8", "replace").decode(),
        finish_reason=reason,
        prompt_token_ids=_ids(choice, "prompt_token_ids"),
    )


def checked_ids(completion: Completion) -> tuple[list[int], list[float]]:
    """The ids of a response and their log-probabilities, all there and all numbers."""
    ids, logprobs = completion.token_ids, completion.logprobs
    if not ids:
        raise ValueError("a response came without token ids, which the server had given before")
    if logprobs is None or len(logprobs) != len(ids):
        count = "no" if logprobs is None else str(len(logprobs))
        raise ValueError(f"a response of {len(ids)} tokens came with {count} log-probabilities")
    if not all(math.isfinite(value) and value > _NO_NUMBER for value in logprobs):
        raise ValueError(
            "a log-probability is no number (-9999 is how vLLM writes NaN and -inf); the model's logits are broken "
            "there: try another precision (--dtype) or another build of the server"
        )
    if max(logprobs) > _ROUNDING_NATS:
        raise ValueError(f"a log-probability is {max(logprobs):g}, which is above 0: it is of no probability")
    return ids, [min(0.0, value) for value in logprobs]


def _ids(choice: Mapping[str, Any], name: str) -> list[int] | None:
    found = choice.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(type(one) is int and one >= 0 for one in found):
        raise ValueError(f"{name} is no list of token ids")
    return found


def _numbers(found: Any, name: str) -> list[float] | None:
    if found is None:
        return None
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list of numbers")
    return [_number(one) for one in found]


def _number(found: Any) -> float:
    """NaN for what is no number, and for one that no float can hold."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return math.nan
    try:
        return float(found)
    except OverflowError:
        return math.nan


def _most_probable(alternatives: Any) -> float | None:
    first: Any = alternatives[0] if isinstance(alternatives, list) and alternatives else None
    if not isinstance(first, dict) or not first:
        return None
    values: Sequence[float] = [_number(value) for value in first.values()]
    return max(values) if all(map(math.isfinite, values)) else None
