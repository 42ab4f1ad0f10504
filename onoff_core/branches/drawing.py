"""Go on from branches. All chunks go to the sampler at once, so that no row waits for a chunk to end.

The numbers that decide a continuation are hashed from (seed, problem, sample, position, token, index), through the name
that its request has. So it is the same whatever else is drawn, now or later, and one that is known is not drawn again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onoff_core.backends.contract import OnTokens, Sampler
from onoff_core.backends.requests import Request
from onoff_core.branches.planning import Branch, BranchChunk, BranchedPosition, BranchKey
from onoff_core.study import SamplingSettings

ContinuationKey = tuple[BranchKey, int]


@dataclass(frozen=True)
class Continuation:
    """What followed a branch, once."""

    token_ids: tuple[int, ...]  # after the branch's token
    logprobs: tuple[float, ...]  # nats, raw model at temperature 1
    response: str  # the whole: what stood before the position, the token, what followed
    finish_reason: str


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
) -> Iterator[tuple[BranchChunk, dict[ContinuationKey, Continuation]]]:
    """Yield each chunk with its continuations as soon as the last of them has ended; `known` ones are not drawn."""
    requests: list[Request] = []
    begun: dict[tuple[str, int], tuple[int, ContinuationKey]] = {}  # of each request: its chunk, and what it draws
    prefixes: dict[BranchKey, tuple[int, ...]] = {}
    found: dict[int, dict[ContinuationKey, Continuation]] = {chunk.index: {} for chunk in chunks}
    waiting: dict[int, int] = {}
    for chunk in chunks:
        for position, branch in branches_of(chunk):
            prefixes[branch.key] = _response_so_far(position, branch)
            ids, name = (*position.response.prompt_ids, *prefixes[branch.key]), branch_name(branch.key)
            for key in keys_of_branch(branch, continuations):
                if branch.end is not None:
                    found[chunk.index][key] = _ended(sampler, prefixes[branch.key], branch.end)
                elif key in known:
                    found[chunk.index][key] = known[key]
                else:
                    requests.append(Request(name, key[1], ids, begun=len(prefixes[branch.key])))
                    begun[name, key[1]] = (chunk.index, key)
                    waiting[chunk.index] = waiting.get(chunk.index, 0) + 1
    by_index = {chunk.index: chunk for chunk in chunks}
    for chunk in chunks:
        if chunk.index not in waiting:
            yield chunk, found.pop(chunk.index)
    for drawn in sampler.sample(requests, sampling, seed, on_tokens) if requests else ():
        index, key = begun[drawn.request.problem_id, drawn.request.sample_index]
        whole = [*prefixes[key[0]], *drawn.token_ids]
        text = sampler.tokenizer.decode(whole)
        found[index][key] = Continuation(tuple(drawn.token_ids), tuple(drawn.logprobs), text, drawn.finish_reason)
        waiting[index] -= 1
        if not waiting[index]:
            yield by_index[index], found.pop(index)


def branches_of(chunk: BranchChunk) -> Iterator[tuple[BranchedPosition, Branch]]:
    for position in chunk.positions:
        for branch in position.branches:
            yield position, branch


def keys_of_branch(branch: Branch, continuations: int) -> list[ContinuationKey]:
    """Of a token that ends the response there is one, the empty one."""
    return [(branch.key, index) for index in range(1 if branch.end is not None else continuations)]


def _response_so_far(position: BranchedPosition, branch: Branch) -> tuple[int, ...]:
    return (*position.response.token_ids[: position.place.position], branch.key[3])


def _ended(sampler: Sampler, so_far: Sequence[int], reason: str) -> Continuation:
    return Continuation((), (), sampler.tokenizer.decode(so_far), reason)
