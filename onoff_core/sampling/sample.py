"""Draw the responses of chunks. All go to the sampler at once, so that no row waits for a chunk to end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from onoff_core.backends.contract import ModelInfo, OnTokens, Sampler, Tokenizer
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError
from onoff_core.problems import Problem
from onoff_core.sampling.chunks import Begun, Chunk, ResponseKey
from onoff_core.study import SamplingSettings, TaskSettings
from onoff_core.tables import SCHEMAS
from onoff_core.tasks import render_prompt

_BY_TOKEN = ("token_logprobs", "drawn_by")  # columns of a value a token, besides the ids


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
            requests.append(_request(key, prompts[key[0]][1], chunk.begun.get(key)))
    texts = {problem_id: text for problem_id, (text, _) in prompts.items()}
    ended: dict[int, list[Response]] = {chunk.index: [] for chunk in chunks}
    for response in sampler.sample(requests, sampling, seed, on_tokens):
        key = (response.request.problem_id, response.request.sample_index)
        chunk = chunk_of[key]
        ended[chunk.index].append(_whole(response, chunk.begun.get(key)))
        if len(ended[chunk.index]) == sizes[chunk.index]:
            yield chunk, _table(sampler.tokenizer, chunk, ended.pop(chunk.index), texts)


def _prompt(sampler: Sampler, problem: Problem, task: TaskSettings) -> tuple[str, tuple[int, ...]]:
    """The prompt's text and its token ids."""
    prompt = render_prompt(problem.question, task, sampler.tokenizer.chat_template)
    ids = tuple(sampler.tokenizer.encode(prompt))
    _check_length(sampler.info, problem.problem_id, len(ids))
    sampler.info.check_token_ids(ids, f"problem {problem.problem_id}: its prompt")
    return prompt.text, ids


def _request(key: ResponseKey, prompt_ids: tuple[int, ...], begun: Begun | None) -> Request:
    if begun is None or begun.prompt_ids != prompt_ids:
        return Request(*key, prompt_ids)
    return Request(*key, (*prompt_ids, *begun.token_ids), begun=len(begun.token_ids), resumed=True)


def _whole(response: Response, begun: Begun | None) -> Response:
    """The response from its first token on, of its prompt alone."""
    request = response.request
    if begun is None or not request.resumed:
        return response
    return replace(
        response,
        request=Request(request.problem_id, request.sample_index, begun.prompt_ids),
        token_ids=[*begun.token_ids, *response.token_ids],
        logprobs=[*begun.logprobs, *response.logprobs],
    )


def cut_responses(tokenizer: Tokenizer, samples: pa.Table, max_length: int) -> pa.Table:
    """Responses that were drawn with a larger `max_length`, as they are drawn with this one (`samples` schema)."""
    rows = samples.to_pylist()
    for row in rows:
        if row["num_tokens"] > max_length:
            ids = row["token_ids"][:max_length]
            row |= {
                **{name: row[name][:max_length] for name in _BY_TOKEN if row[name] is not None},
                "token_ids": ids,
                "response": tokenizer.decode(ids),
                "finish_reason": "length",
                "num_tokens": max_length,
            }
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])


def _check_length(model: ModelInfo, problem_id: str, num_tokens: int) -> None:
    if num_tokens == 0:
        raise ModelError(f"problem {problem_id}: its prompt has no tokens")
    if model.max_positions is not None and num_tokens >= model.max_positions:
        raise ModelError(
            f"problem {problem_id}: its prompt has {num_tokens} tokens, "
            f"but models.{model.name} takes {model.max_positions}"
        )


def _table(tokenizer: Tokenizer, chunk: Chunk, responses: list[Response], prompts: dict[str, str]) -> pa.Table:
    order = {problem.problem_id: number for number, problem in enumerate(chunk.problems)}
    responses.sort(key=lambda r: (order[r.request.problem_id], r.request.sample_index))
    rows: list[dict[str, Any]] = [
        {
            "problem_id": r.request.problem_id,
            "sample_index": r.request.sample_index,
            "prompt": prompts[r.request.problem_id],
            "prompt_token_ids": r.request.prompt_ids,
            "response": tokenizer.decode(r.token_ids) if r.text is None else r.text,
            "token_ids": r.token_ids,
            "token_logprobs": r.logprobs,
            "finish_reason": r.finish_reason,
            "num_tokens": len(r.token_ids),
            "drawn_by": r.drawn_by,
        }
        for r in responses
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])
