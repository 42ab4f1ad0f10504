"""Draw the responses of chunks. All go to the sampler at once, so that no row waits for a chunk to end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from onoff_core.backends.contract import ModelInfo, OnTokens, Sampler, Tokenizer
from onoff_core.backends.requests import Forcing, Request, Response
from onoff_core.errors import ModelError
from onoff_core.problems import Problem
from onoff_core.sampling.chunks import Begun, Chunk, ResponseKey
from onoff_core.sampling.thinking import ThinkingPlan, thinking_plan
from onoff_core.study import SamplingSettings, TaskSettings
from onoff_core.tables import LENGTH, LENGTH_IN_THINKING, SCHEMAS
from onoff_core.tasks import render_prompt


def sample_chunks(
    sampler: Sampler,
    chunks: Sequence[Chunk],
    task: TaskSettings,
    sampling: SamplingSettings,
    seed: int,
    on_tokens: OnTokens = lambda tokens: None,
) -> Iterator[tuple[Chunk, pa.Table]]:
    """Yield each chunk with its table (`samples` schema, by problem and sample index) as soon as its last response
    has ended.
    """
    plan = thinking_plan(sampler.tokenizer, task, sampling)
    prompts: dict[str, tuple[str, tuple[int, ...]]] = {}
    chunk_of: dict[ResponseKey, Chunk] = {}
    requests: list[Request] = []
    sizes: dict[int, int] = {}
    for chunk in chunks:
        keys = chunk.keys
        sizes[chunk.index] = len(keys)
        for problem in chunk.problems:
            if problem.problem_id not in prompts:
                prompts[problem.problem_id] = _prompt(sampler, problem, task)
        for key in keys:
            chunk_of[key] = chunk
            text, ids = prompts[key[0]]
            requests.append(_request(key, ids, chunk.begun.get(key), plan.forcing(text)))
    texts = {problem_id: text for problem_id, (text, _) in prompts.items()}
    ended: dict[int, list[Response]] = {chunk.index: [] for chunk in chunks}
    for response in sampler.sample(requests, sampling, seed, on_tokens):
        key = (response.request.problem_id, response.request.sample_index)
        chunk = chunk_of[key]
        ended[chunk.index].append(_whole(response, chunk.begun.get(key)))
        if len(ended[chunk.index]) == sizes[chunk.index]:
            yield chunk, _table(sampler.tokenizer, plan, chunk, ended.pop(chunk.index), texts)


def _prompt(sampler: Sampler, problem: Problem, task: TaskSettings) -> tuple[str, tuple[int, ...]]:
    """The prompt's text and its token ids."""
    prompt = render_prompt(problem.question, task, sampler.tokenizer.chat_template)
    ids = tuple(sampler.tokenizer.encode(prompt))
    _check_length(sampler.info, problem.problem_id, len(ids))
    sampler.info.check_token_ids(ids, f"problem {problem.problem_id}: its prompt")
    return prompt.text, ids


def _request(key: ResponseKey, prompt_ids: tuple[int, ...], begun: Begun | None, forcing: Forcing | None) -> Request:
    if begun is None or begun.prompt_ids != prompt_ids:
        return Request(*key, prompt_ids, forcing=forcing)
    ids = (*prompt_ids, *begun.token_ids)
    return Request(*key, ids, begun=len(begun.token_ids), resumed=True, forcing=forcing)


def _whole(response: Response, begun: Begun | None) -> Response:
    """The response from its first token on, of its prompt alone."""
    request, forced = response.request, response.forced_positions
    if begun is None or not request.resumed:
        return response
    return replace(
        response,
        request=Request(request.problem_id, request.sample_index, begun.prompt_ids),
        token_ids=[*begun.token_ids, *response.token_ids],
        logprobs=[*begun.logprobs, *response.logprobs],
        forced_positions=None
        if forced is None
        else [*begun.forced_positions, *(request.begun + position for position in forced)],
    )


def rewritten(tokenizer: Tokenizer, plan: ThinkingPlan, samples: pa.Table, max_length: int) -> pa.Table:
    """Responses that were drawn with this `max_length` or a larger one, as they are drawn and looked at now, in their
    order (`samples` schema). Their ids have to be what was drawn, not their text tokenized.
    """
    rows = samples.to_pylist()
    return pa.Table.from_pylist(
        [{**row, **_row(tokenizer, plan, _cut(row, max_length, plan), row["prompt"])} for row in rows],
        schema=SCHEMAS["samples"],
    )


def _cut(row: Mapping[str, Any], max_length: int, plan: ThinkingPlan) -> Response:
    """The response of a row, of so many tokens at most. Without a thinking budget no token can have been put in."""
    ended = row["finish_reason"] if row["num_tokens"] <= max_length else LENGTH
    forced, drawn_by = None if plan.budget is None else row["forced_positions"] or [], row["drawn_by"]
    return Response(
        Request(row["problem_id"], row["sample_index"], tuple(row["prompt_token_ids"])),
        row["token_ids"][:max_length],
        row["token_logprobs"][:max_length],
        LENGTH if ended == LENGTH_IN_THINKING else ended,
        drawn_by=None if drawn_by is None else drawn_by[:max_length],
        forced_positions=None if forced is None else [position for position in forced if position < max_length],
    )


def _check_length(model: ModelInfo, problem_id: str, num_tokens: int) -> None:
    if num_tokens == 0:
        raise ModelError(f"problem {problem_id}: its prompt has no tokens")
    if model.max_positions is not None and num_tokens >= model.max_positions:
        raise ModelError(
            f"problem {problem_id}: its prompt has {num_tokens} tokens, "
            f"but models.{model.name} takes {model.max_positions}"
        )


def _table(
    tokenizer: Tokenizer, plan: ThinkingPlan, chunk: Chunk, responses: list[Response], prompts: dict[str, str]
) -> pa.Table:
    order = {problem.problem_id: number for number, problem in enumerate(chunk.problems)}
    responses.sort(key=lambda r: (order[r.request.problem_id], r.request.sample_index))
    rows = [_row(tokenizer, plan, r, prompts[r.request.problem_id]) for r in responses]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])


def _row(tokenizer: Tokenizer, plan: ThinkingPlan, response: Response, prompt: str) -> dict[str, Any]:
    return {
        "problem_id": response.request.problem_id,
        "sample_index": response.request.sample_index,
        "prompt": prompt,
        "prompt_token_ids": response.request.prompt_ids,
        "response": tokenizer.decode(response.token_ids) if response.text is None else response.text,
        "token_ids": response.token_ids,
        "token_logprobs": response.logprobs,
        "finish_reason": response.finish_reason,
        "num_tokens": len(response.token_ids),
        "drawn_by": response.drawn_by,
        "forced_positions": response.forced_positions,
        "answer_start": None,
        "step_starts": None,
        **plan.columns(tokenizer.vocabulary, response.token_ids, prompt, response.finish_reason),
    }
