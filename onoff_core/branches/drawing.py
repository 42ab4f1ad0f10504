"""Go on from branches. All chunks go to the sampler at once, so that no row waits for a chunk to end.

The numbers that decide a continuation are hashed from (seed, problem, sample, position, token, index), through the name
that its request has. So it is the same whatever else is drawn, now or later, and one that is known is not drawn again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onoff_core.backends.contract import OnTokens, Sampler
from onoff_core.backends.requests import Request, Response
from onoff_core.branches.planning import Branch, BranchChunk, BranchedPosition, BranchKey
from onoff_core.sampling import NO_PLAN, ThinkingPlan
from onoff_core.study import SamplingSettings

ContinuationKey = tuple[BranchKey, int]


@dataclass(frozen=True)
class Continuation:
    """What followed a branch, once."""

    token_ids: tuple[int, ...]  # after the branch's token
    logprobs: tuple[float, ...]  # nats, raw model at temperature 1
    response: str  # the whole: what stood before the position, the token, what followed
    finish_reason: str
    forced: tuple[int, ...] | None = None  # which of token_ids were put in; None: there was no thinking budget


def branch_name(key: BranchKey) -> str:
    """The name under which a branch's continuations are drawn, and errors speak of them. No two have the same."""
    problem_id, sample_index, position, token_id = key
    return f"{problem_id}, sample {sample_index}, position {position}, token {token_id}"


def draw_chunks(
    sampler: Sampler,
    chunks: Sequence[BranchChunk],
    sampling: SamplingSettings,
    seed: int,
    continuations: int,
    known: Mapping[ContinuationKey, Continuation],
    on_tokens: OnTokens = lambda tokens: None,
    thinking: ThinkingPlan = NO_PLAN,
) -> Iterator[tuple[BranchChunk, dict[ContinuationKey, Continuation]]]:
    """Yield each chunk with its continuations as soon as the last of them has ended; `known` ones are not drawn."""
    requests: list[Request] = []
    begun: dict[
        tuple[str, int], tuple[BranchChunk, ContinuationKey]
    ] = {}  # what each request draws, and for which chunk
    waiting: dict[int, int] = {chunk.index: 0 for chunk in chunks}
    for chunk in chunks:
        for position, branch in branches_of(chunk):
            so_far = _response_so_far(position, branch)
            forcing = thinking.forcing(position.response.prompt)
            ids, name = (*position.response.prompt_ids, *so_far), branch_name(branch.key)
            for key in keys_of_branch(branch, continuations) if branch.end is None else ():
                if key not in known:
                    requests.append(Request(name, key[1], ids, begun=len(so_far), forcing=forcing))
                    begun[name, key[1]] = (chunk, key)
                    waiting[chunk.index] += 1
    drawn: dict[int, dict[ContinuationKey, Response]] = {chunk.index: {} for chunk in chunks}
    for chunk in chunks:
        if not waiting[chunk.index]:
            yield chunk, _gathered(sampler, thinking, chunk, continuations, known, drawn.pop(chunk.index))
    for response in sampler.sample(requests, sampling, seed, on_tokens) if requests else ():
        chunk, key = begun[response.request.problem_id, response.request.sample_index]
        drawn[chunk.index][key] = response
        waiting[chunk.index] -= 1
        if not waiting[chunk.index]:
            yield chunk, _gathered(sampler, thinking, chunk, continuations, known, drawn.pop(chunk.index))


def _gathered(
    sampler: Sampler,
    thinking: ThinkingPlan,
    chunk: BranchChunk,
    continuations: int,
    known: Mapping[ContinuationKey, Continuation],
    drawn: Mapping[ContinuationKey, Response],
) -> dict[ContinuationKey, Continuation]:
    """All continuations of a chunk: those that were drawn, those that were known, and the empty ones."""
    found: dict[ContinuationKey, Continuation] = {}
    for position, branch in branches_of(chunk):
        so_far = _response_so_far(position, branch)
        for key in keys_of_branch(branch, continuations):
            if branch.end is not None:
                found[key] = Continuation((), (), sampler.tokenizer.decode(so_far), branch.end)
            elif key in drawn:
                response = drawn[key]
                whole = [*so_far, *response.token_ids]
                pieces = [sampler.tokenizer.vocabulary.pieces[token] for token in whole]
                found[key] = Continuation(
                    tuple(response.token_ids),
                    tuple(response.logprobs),
                    sampler.tokenizer.decode(whole),
                    thinking.reason(response.finish_reason, pieces, position.response.prompt),
                    None if response.forced_positions is None else tuple(response.forced_positions),
                )
            else:
                found[key] = known[key]
    return found


def branches_of(chunk: BranchChunk) -> Iterator[tuple[BranchedPosition, Branch]]:
    for position in chunk.positions:
        for branch in position.branches:
            yield position, branch


def keys_of_branch(branch: Branch, continuations: int) -> list[ContinuationKey]:
    """Of a token that ends the response there is one, the empty one."""
    return [(branch.key, index) for index in range(1 if branch.end is not None else continuations)]


def _response_so_far(position: BranchedPosition, branch: Branch) -> tuple[int, ...]:
    return (*position.response.token_ids[: position.place.position], branch.key[3])
