"""Rollouts of prime-rl and of verifiers' evaluations: a JSON object a line, a trace or an episode of traces.

A trace is a tree of messages; each message has the tokens that it adds (`token_ids`), which of them the model sampled
(`mask`), and for those the engine's log-probabilities (`logprobs`) and perhaps the trainer's (`trainer_logprobs`).
Releases before that wrote `prompt`, `completion` and a `trajectory` of turns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.rollouts.rollout import Rollout, asked_in, ids_of, logprobs_of, number_of, text_of

Found = Rollout | str  # a rollout; or where something stands that is none, and why


def is_trace(row: Mapping[str, Any]) -> bool:
    return any(isinstance(row.get(name), list) for name in ("nodes", "traces", "trajectory")) or (
        "completion" in row and "example_id" in row
    )


def rollouts_of_traces(rows: Sequence[Mapping[str, Any]], where: str) -> Iterator[Found]:
    """The rollout of each trace of one turn."""
    for number, row in enumerate(rows):
        place = f"{where}: line {number + 1}"
        if isinstance(row.get("traces"), list):
            for index, trace in enumerate(row["traces"]):
                yield _of_trace({**trace, "run": row.get("run")}, f"{place}, trace {index}")
            if not row["traces"]:
                yield f"{place}: {_error(row)}"
        elif isinstance(row.get("nodes"), list):
            yield _of_trace(row, place)
        else:
            yield _of_turns(row, place)


def _of_trace(trace: Mapping[str, Any], place: str) -> Found:
    nodes = trace["nodes"]
    sampled = [index for index, node in enumerate(nodes) if node.get("sampled")]
    if len(sampled) != 1:
        return f"{place}: {_error(trace) if not sampled else f'has {len(sampled)} turns of the model; one is read'}"
    path = _path(nodes, sampled[0], place)
    last = nodes[sampled[0]]
    values = {name: logprobs_of(last.get(name), f"{place}: {name}") for name in ("logprobs", "trainer_logprobs")}
    tokens = ids_of(last.get("token_ids") or None, f"{place}: token_ids")
    own, before = None, None
    if tokens is not None:
        mask = last.get("mask") or []
        count = sum(map(bool, mask))
        if len(mask) != len(tokens) or not all(mask[len(mask) - count :]):
            raise ExchangeError(f"{place}: the mask of its response does not mark the last tokens of it")
        own = tokens[len(tokens) - count :]
        earlier = [ids_of(node.get("token_ids"), f"{place}: token_ids") or () for node in path[:-1]]
        before = tuple(token for ids in earlier for token in ids) + tokens[: len(tokens) - count]
    data = (trace.get("task") or {}).get("data") or {}
    messages = [node["message"] for node in path]
    return Rollout(
        place=place,
        problem_id=None if data.get("id") is None else str(data["id"]),
        question=data.get("question") or asked_in(messages[:-1]),
        response=text_of(messages[-1].get("content")) if own is None else None,
        prompt_token_ids=before or None,
        token_ids=own,
        rollout_logprobs=values["logprobs"] or None,
        trainer_logprobs=values["trainer_logprobs"],
        reward=_reward(trace.get("rewards"), place),
        answer=None if data.get("answer") is None else str(data["answer"]),
        step=_step(trace),
    )


def _path(nodes: Sequence[Mapping[str, Any]], leaf: int, place: str) -> list[Mapping[str, Any]]:
    """The messages from the root to this one."""
    path: list[Mapping[str, Any]] = []
    index: int | None = leaf
    while index is not None:
        if not 0 <= index < len(nodes) or len(path) > len(nodes):
            raise ExchangeError(f"{place}: its messages are no tree")
        path.insert(0, nodes[index])
        index = nodes[index].get("parent")
    return path


def _reward(rewards: Any, place: str) -> float | None:
    """The weighted sum of the named rewards; None where one was not computed, or there is none."""
    if not isinstance(rewards, dict) or not rewards or any(one is None for one in rewards.values()):
        return None
    values = [one if isinstance(one, dict) else {"score": one} for one in rewards.values()]
    numbers = [(number_of(one.get("score"), f"{place}: rewards"), one.get("weight", 1.0)) for one in values]
    return None if any(n is None for n, _ in numbers) else sum((n or 0.0) * weight for n, weight in numbers)


def _step(trace: Mapping[str, Any]) -> int | None:
    """The step that the run says; prime-rl's own file names it in its folder instead (`step_12`)."""
    work = ((trace.get("run") or {}).get("work") or {}) if isinstance(trace.get("run"), dict) else {}
    found = [value for value in (work.get("step"), trace.get("step")) if isinstance(value, int)]
    return found[0] if found else None


def _error(row: Mapping[str, Any]) -> str:
    errors = row.get("errors") or ([row["error"]] if row.get("error") else [])
    return f"has no response ({str(errors[-1])[:120]})" if errors else "has no response"


def _of_turns(row: Mapping[str, Any], place: str) -> Found:
    """The older form. prime-rl left the trajectory out of its files at times, and with it the ids."""
    turns = row.get("trajectory") or []
    if len(turns) > 1:
        return f"{place}: has {len(turns)} turns of the model; one is read"
    tokens = (turns[0].get("tokens") or {}) if turns else {}
    completion = row.get("completion") or (turns[0].get("completion") if turns else None)
    response = completion if isinstance(completion, str) else _last_content(completion)
    if response is None and not tokens:
        return f"{place}: {_error(row)}"
    return Rollout(
        place=place,
        question=asked_in(row.get("prompt")),
        response=None if tokens else response,
        prompt_token_ids=ids_of(tokens.get("prompt_ids"), f"{place}: prompt_ids"),
        token_ids=ids_of(tokens.get("completion_ids"), f"{place}: completion_ids"),
        rollout_logprobs=logprobs_of(tokens.get("completion_logprobs"), f"{place}: completion_logprobs"),
        reward=number_of(row.get("reward"), f"{place}: reward"),
        answer=None if row.get("answer") is None else str(row["answer"]),
    )


def _last_content(messages: Any) -> str | None:
    said = [one for one in messages or [] if isinstance(one, dict) and one.get("role") == "assistant"]
    return text_of(said[-1].get("content")) if said else None
