"""Rollouts that are responses of a server that speaks OpenAI's protocol, such as vLLM: completions and chat.

A line is a response's body, or an object that holds one: `{"request": ..., "response": ...}`, or a line of a batch
(`custom_id`, `response.body`). vLLM says the ids with `return_token_ids` (`token_ids` and `prompt_token_ids` of a
choice), or in the tokens' texts with `return_tokens_as_token_ids` (`token_id:123`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.rollout import Rollout, asked_in, ids_of, logprobs_of, number_of, text_of

_AS_ID = re.compile(r"token_id:(\d+)")


def is_response(row: Mapping[str, Any]) -> bool:
    return isinstance(_body(row).get("choices"), list)


def rollouts_of_responses(rows: Sequence[Mapping[str, Any]], where: str) -> Iterator[Rollout | str]:
    """The rollout of each choice of each response."""
    for number, row in enumerate(rows):
        place = f"{where}: line {number + 1}"
        body = _body(row)
        if not isinstance(body.get("choices"), list):
            yield f"{place}: has no response ({str(row.get('error') or body.get('error') or 'no choices')[:120]})"
            continue
        for index, choice in enumerate(body["choices"]):
            if not isinstance(choice, dict):
                yield f"{place}: choice {index} is no response, but {choice!r:.40}"
                continue
            yield _of_choice(row, body, choice, f"{place}, choice {choice.get('index', 0)}")


def _body(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The response itself, which may stand under `response`, and there under `body`."""
    response = row.get("response")
    if not isinstance(response, dict):
        return row
    return response["body"] if isinstance(response.get("body"), dict) else response


def _of_choice(row: Mapping[str, Any], body: Mapping[str, Any], choice: Mapping[str, Any], place: str) -> Rollout:
    request = row["request"] if isinstance(row.get("request"), dict) else {}
    request = request["body"] if isinstance(request.get("body"), dict) else request
    message, logprobs = choice.get("message"), choice.get("logprobs") or {}
    prompt = request.get("prompt", row.get("prompt"))
    ids = choice.get("prompt_token_ids") or body.get("prompt_token_ids")
    if ids is None and isinstance(prompt, list) and all(isinstance(one, int) for one in prompt):
        ids = prompt
    if message is None:
        tokens = _of_completion(choice, logprobs, place)
    else:
        tokens = tokens_of(logprobs.get("content"), place)
    own = ids_of(choice.get("token_ids"), f"{place}: token_ids")
    if own is not None:
        tokens = {**tokens, "token_ids": own, "token_pieces": None}
    named = row.get("problem_id", row.get("custom_id"))
    return Rollout(
        place=place,
        problem_id=None if named is None else str(named),
        question=row.get("question") or asked_in(request.get("messages")) or asked_in(prompt),
        prompt=prompt if isinstance(prompt, str) else None,
        prompt_token_ids=ids_of(ids, f"{place}: prompt_token_ids"),
        response=choice.get("text") if message is None else text_of(message.get("content")),
        finish_reason=choice.get("finish_reason"),
        reward=number_of(row.get("reward"), f"{place}: reward"),
        answer=None if row.get("answer") is None else str(row["answer"]),
        step=row.get("step"),
        **tokens,
    )


def _of_completion(choice: Mapping[str, Any], logprobs: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The tokens of `/v1/completions`: their texts, which are no bytes where a token is a part of a character."""
    values = logprobs_of(logprobs.get("token_logprobs"), f"{place}: token_logprobs")
    ids = _ids_in_texts(logprobs.get("tokens") or [])
    return {"rollout_logprobs": values, "token_ids": ids}


def tokens_of(content: Any, place: str) -> dict[str, Any]:
    """The tokens of `logprobs.content`, as chat responses and Inspect's logs have them: ids or bytes, and values."""
    if not content:
        return {}
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ExchangeError(f"{place}: logprobs.content should be a list of tokens")
    values = logprobs_of([one.get("logprob") for one in content], f"{place}: logprobs")
    ids = _ids_in_texts([one.get("token") for one in content])
    pieces = None
    if ids is None:
        pieces = tuple(
            bytes(one["bytes"]) if one.get("bytes") is not None else str(one.get("token")).encode() for one in content
        )
    return {"rollout_logprobs": values, "token_ids": ids, "token_pieces": pieces}


def _ids_in_texts(texts: Sequence[Any]) -> tuple[int, ...] | None:
    """The ids of tokens that are written as `token_id:123`; None where one is not."""
    found = [_AS_ID.fullmatch(text) if isinstance(text, str) else None for text in texts]
    return tuple(int(one[1]) for one in found if one) if found and all(found) else None
