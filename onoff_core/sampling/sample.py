"""Draw the responses of chunks. All go to the sampler at once, so that no row waits for a chunk to end."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from onoff_core.backends.contract import ModelInfo, OnTokens, Sampler, Tokenizer
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError
from onoff_core.sampling.chunks import Chunk
from onoff_core.sampling.thinking import ThinkingPlan, thinking_plan
from onoff_core.study import SamplingSettings, TaskSettings
from onoff_core.tables import SCHEMAS
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
    chunk_of = {problem.problem_id: chunk for chunk in chunks for problem in chunk.problems}
    prompts: dict[str, str] = {}
    requests: list[Request] = []
    for problem_id, chunk in chunk_of.items():
        question = next(p.question for p in chunk.problems if p.problem_id == problem_id)
        prompt = render_prompt(question, task, sampler.tokenizer.chat_template)
        ids = tuple(sampler.tokenizer.encode(prompt))
        _check_length(sampler.info, problem_id, len(ids))
        sampler.info.check_token_ids(ids, f"problem {problem_id}: its prompt")
        prompts[problem_id] = prompt.text
        forcing = plan.forcing(prompt.text)
        requests += [Request(problem_id, index, ids, forcing=forcing) for index in range(sampling.num_samples)]
    ended: dict[int, list[Response]] = {chunk.index: [] for chunk in chunks}
    for response in sampler.sample(requests, sampling, seed, on_tokens):
        chunk = chunk_of[response.request.problem_id]
        ended[chunk.index].append(response)
        if len(ended[chunk.index]) == len(chunk.problems) * sampling.num_samples:
            yield chunk, _table(sampler.tokenizer, plan, chunk, ended.pop(chunk.index), prompts)


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
            "forced_positions": r.forced_positions,
            **plan.columns(tokenizer.vocabulary, r.token_ids, prompts[r.request.problem_id], r.finish_reason),
        }
        for r in responses
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])
