"""Where a response is gone back into: at its most uncertain tokens, at its forks, or where its paragraphs end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError, SettingsError
from onoff_core.study import ThinkingTags
from onoff_core.study.branch_settings import BranchedPositions
from onoff_core.tasks import paragraph_ends as ends_of_paragraphs
from onoff_core.tasks import step_starts


@dataclass(frozen=True)
class BranchedResponse:
    """A response, and of each of its tokens what `token_distributions` keeps: (num_tokens,), and (num_tokens, k)."""

    problem_id: str
    sample_index: int
    prompt: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    reward: int
    entropy: NDArray[Any]  # nats
    logprob: NDArray[Any]  # nats, of the sampled token, at the distribution's temperature
    topk_ids: NDArray[Any]  # by falling probability
    topk_logprobs: NDArray[Any]  # nats, never renormalised
    forced: frozenset[int] = frozenset()  # positions of tokens that were put in: no other one can be drawn there

    @property
    def name(self) -> str:
        return f"problem {self.problem_id}, sample {self.sample_index}"

    def without_distributions(self) -> "BranchedResponse":
        nothing = np.empty(0, np.float32)
        return replace(self, entropy=nothing, logprob=nothing, topk_ids=nothing, topk_logprobs=nothing)


@dataclass(frozen=True)
class Place:
    """A position of a response. `begin`: with paragraphs, where the one that ends here begins; else the position."""

    position: int
    begin: int
    step: int | None = None  # number of the paragraph that ends here


def choose_places(
    settings: BranchedPositions,
    response: BranchedResponse,
    vocabulary: Vocabulary,
    thinking: ThinkingTags | None = None,
) -> list[Place]:
    """The positions of a response, rising; at most `settings.limit`, and none but of `steps` where a token was put in.

    entropy  the tokens whose distributions have the highest entropy. They are few, and they steer what follows (Wang
             et al. 2025, "Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement Learning
             for LLM Reasoning", arXiv:2506.01939).
    forks    the tokens where the second most probable one has at least `second_probability`, the most probable second
             tokens first: the places where another outcome is one token away (forking tokens: Bigelow et al. 2024,
             "Forking Paths in Neural Text Generation", arXiv:2412.07961).
    every, tokens   where there are more than the limit, evenly spread ones among them.
    steps    the last token of each paragraph, and of the response; the first ones, with a limit.
    thinking_steps   the first token of each paragraph of the thinking, by the tags `thinking`; the first ones.
    """
    if settings.how == "steps":
        ends = paragraph_ends(response.token_ids, vocabulary)[: settings.limit]
        begins = [0, *(end + 1 for end in ends)]
        return [Place(end, begin, step) for step, (end, begin) in enumerate(zip(ends, begins, strict=False))]
    if settings.how == "thinking_steps":
        starts = thinking_steps(response, vocabulary, thinking)
        return [Place(at, at) for at in starts if at not in response.forced][: settings.limit]
    return [Place(position, position) for position in sorted(_positions(settings, response, vocabulary))]


def thinking_steps(response: BranchedResponse, vocabulary: Vocabulary, thinking: ThinkingTags | None) -> list[int]:
    """The position of the first token of each paragraph of a response's thinking, rising."""
    if thinking is None:
        raise SettingsError(
            "branches.positions: how: thinking_steps needs task.thinking, which says what stands around the thinking: "
            "auto, or {open, close}"
        )
    pieces = [vocabulary.pieces[token] for token in response.token_ids]
    return step_starts(pieces, [vocabulary.special[token] for token in response.token_ids], thinking, response.prompt)


def _positions(settings: BranchedPositions, response: BranchedResponse, vocabulary: Vocabulary) -> list[int]:
    count = len(response.token_ids)
    drawn = np.array([at for at in range(count) if at not in response.forced], np.int64)
    match settings.how:
        case "entropy":
            return _highest(response.entropy, drawn, settings.limit)
        case "forks":
            second = np.exp(response.topk_logprobs[:, 1].astype(np.float64))
            return _highest(second, drawn[second[drawn] >= settings.second_probability], settings.limit)
        case "every":
            return _spread([at for at in range(0, count, settings.n) if at not in response.forced], settings.limit)
        case "tokens":
            wanted = named_tokens(settings.tokens, vocabulary)
            return _spread([at for at in drawn.tolist() if response.token_ids[at] in wanted], settings.limit)
    forced = [at for at in settings.at if at in response.forced]
    if forced:
        raise SettingsError(
            f"branches.positions.at: the token at position {forced[0]} of {response.name} was put in by "
            "sampling.thinking_budget and not drawn, so no other one could stand there; leave that position out"
        )
    beyond = [at for at in settings.at if at >= count]
    if beyond:
        raise SettingsError(
            f"branches.positions.at: {response.name} has {count} tokens, so there is no position {beyond[0]}; the last "
            f"one is {count - 1}"
        )
    return sorted(set(settings.at))[: settings.limit]


def _highest(values: NDArray[Any], among: NDArray[Any], limit: int) -> list[int]:
    """The positions with the highest values, the earlier one of equal ones."""
    order = np.argsort(-values[among], kind="stable")[:limit]
    return [int(position) for position in among[order]]


def _spread(positions: list[int], limit: int) -> list[int]:
    if len(positions) <= limit:
        return positions
    return [positions[number * len(positions) // limit] for number in range(limit)]


def named_tokens(tokens: Sequence[int | str], vocabulary: Vocabulary) -> frozenset[int]:
    """The ids of tokens by text or id. A text stands for the token of just this text, and of this text after a space.

    Raises `SettingsError` for one that the tokenizer does not have.
    """
    found: set[int] = set()
    ids_of: dict[bytes, list[int]] = {}
    for token_id, piece in enumerate(vocabulary.pieces):
        ids_of.setdefault(piece, []).append(token_id)
    for token in tokens:
        if isinstance(token, int):
            if token >= len(vocabulary) or not vocabulary.pieces[token]:
                raise SettingsError(f"branches.positions.tokens: the tokenizer has no token with the id {token}")
            found.add(token)
            continue
        ids = [*ids_of.get(token.encode(), []), *ids_of.get(b" " + token.encode(), [])]
        if not ids:
            raise SettingsError(
                f"branches.positions.tokens: the tokenizer has no token {token!r}; it writes that text as several, so "
                "name one of them, or an id"
            )
        found.update(ids)
    return frozenset(found)


def paragraph_ends(token_ids: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """The position of the last token of each paragraph, rising; the response's last token is the last of them.

    Paragraphs are parted by empty lines. A token that holds the end of one and the beginning of the next ends it.
    """
    if not token_ids:
        raise ModelError("a response without tokens has no paragraphs")
    pieces = [vocabulary.pieces[token] for token in token_ids]
    return ends_of_paragraphs(pieces, [vocabulary.special[token] for token in token_ids])
