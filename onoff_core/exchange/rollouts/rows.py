"""Rollouts that are rows with columns: verl's, TRL's, and the plain format of our own.

A column is found under any of its names, so that a batch that somebody wrote out of verl or TRL with its tensors is
read as well. verl's and TRL's own files hold texts alone (docs/rollouts.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.rollout import Rollout, asked_in, ids_of, logprobs_of, number_of, text_of

# Our name of a column, and what others call it; the first that is there counts.
_IDS = {
    "prompt_token_ids": ("prompt_token_ids", "prompt_ids", "prompts"),
    "token_ids": ("token_ids", "response_token_ids", "response_ids", "completion_ids", "responses"),
}
_LOGPROBS = {
    "rollout_logprobs": (
        "rollout_logprobs",
        "rollout_log_probs",
        "sampling_per_token_logps",
        "completion_logprobs",
        "logprobs",
    ),
    "trainer_logprobs": ("trainer_logprobs", "trainer_log_probs", "old_log_probs", "old_per_token_logps"),
}
_MASKS = ("response_mask", "completion_mask")
_RESPONSES = ("response", "output", "completion", "responses")
_PROMPTS = ("prompt", "input")
_QUESTIONS = ("question", "problem")
_ANSWERS = ("answer", "gold_answer", "ground_truth", "gts")
_REWARDS = ("reward", "score")
_STEPS = ("step", "global_step")
MARKS = frozenset((*_RESPONSES, *_IDS["token_ids"]))  # a row with none of these is no rollout


def rollouts_of_rows(rows: Sequence[Mapping[str, Any]], where: str) -> Iterator[Rollout]:
    """The rollouts of rows; one with a list of texts under `responses` (as verl's generation writes) is several."""
    for number, row in enumerate(rows):
        place = f"{where}: row {number}"
        texts = row.get("responses")
        if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
            for index, text in enumerate(texts):
                yield _rollout({**row, "responses": text}, f"{place}, response {index}")
        else:
            yield _rollout(row, place)


def _rollout(row: Mapping[str, Any], place: str) -> Rollout:
    prompt, response = _first(row, _PROMPTS), _first_text(row, _RESPONSES)
    ids = {name: ids_of(_first_list(row, names), f"{place}: {name}") for name, names in _IDS.items()}
    logprobs = {name: logprobs_of(_first(row, names), f"{place}: {name}") for name, names in _LOGPROBS.items()}
    mask = _first(row, _MASKS)
    if ids["token_ids"] is not None and mask is not None:
        ids, logprobs = _unpadded(row, ids, logprobs, mask, place)
    columns: dict[str, Any] = {**ids, **logprobs}
    return Rollout(
        place=place,
        problem_id=None if row.get("problem_id") is None else str(row["problem_id"]),
        question=_first_text(row, _QUESTIONS) or asked_in(prompt),
        prompt=prompt if isinstance(prompt, str) else None,
        response=response,
        finish_reason=text_of(row.get("finish_reason")),
        reward=number_of(_first(row, _REWARDS), f"{place}: reward"),
        answer=_answer(row),
        step=_whole(_first(row, _STEPS), f"{place}: step"),
        temperature=number_of(row.get("temperature"), f"{place}: temperature"),
        **columns,
    )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _first_list(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Lists of texts or of messages stand under some of these names too."""
    found = (row[name] for name in names if isinstance(row.get(name), list))
    return next((one for one in found if not one or not isinstance(one[0], (str, dict))), None)


def _first_text(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """A text, or that of a conversation's messages, as TRL writes a completion."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            return "".join(text_of(one.get("content")) or "" for one in value)
    return None


def _unpadded(
    row: Mapping[str, Any], ids: dict[str, Any], logprobs: dict[str, Any], mask: Any, place: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row of a padded batch without its padding: prompts have it before, responses after."""
    tokens, prompt = ids["token_ids"], ids["prompt_token_ids"]
    kept = _flags(mask, f"{place}: mask")
    count = sum(kept)
    if len(kept) != len(tokens) or any(kept[count:]):
        raise ExchangeError(
            f"{place}: its mask of {len(kept)} values leaves out tokens inside the response of {len(tokens)} (of a "
            "tool, or of another turn); only responses of one turn are read"
        )
    attention = row.get("attention_mask")
    if prompt is not None and attention is not None:
        flags = _flags(attention, f"{place}: attention_mask")
        prompt = tuple(one for one, there in zip(prompt, flags, strict=False) if there)
    cut = {name: values if values is None else values[:count] for name, values in logprobs.items()}
    return {"token_ids": tokens[:count], "prompt_token_ids": prompt}, cut


def _flags(mask: Any, what: str) -> tuple[int, ...]:
    """A mask's 0 and 1, true and false among them."""
    if not isinstance(mask, list) or not all(one in (0, 1) for one in mask):
        raise ExchangeError(f"{what} should be a list of 0 and 1, not {mask!r:.40}")
    return tuple(int(one) for one in mask)


def _answer(row: Mapping[str, Any]) -> str | None:
    value = _first(row, _ANSWERS)
    model = row.get("reward_model")
    if value is None and isinstance(model, dict):
        value = model.get("ground_truth")
    return None if value is None or isinstance(value, (list, dict)) else str(value)


def _whole(value: Any, what: str) -> int | None:
    number = number_of(value, what)
    if number is not None and not number.is_integer():
        raise ExchangeError(f"{what} should be a whole number, not {value!r:.40}")
    return None if number is None else int(number)
