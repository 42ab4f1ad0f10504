"""Which tokens are taken at which positions, and what that will cost: all of it known before anything is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from onoff_core.backends.contract import ModelInfo
from onoff_core.backends.drafts import Draft
from onoff_core.backends.requests import Request
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.branches.positions import BranchedResponse, Place, choose_places
from onoff_core.errors import ModelError, SettingsError
from onoff_core.sampling import NO_PLAN, ThinkingPlan
from onoff_core.study import BranchSettings, SamplingSettings

_MIN_CONTINUATIONS, _MAX_CONTINUATIONS, _CHUNKS = 32, 512, 100

BranchKey = tuple[str, int, int, int]  # problem_id, sample_index, position, token_id


@dataclass(frozen=True)
class Branch:
    """A token taken at a position of a response."""

    key: BranchKey
    probability: float  # by the model's distribution, as it is kept
    is_sampled: bool
    weight: float  # the probability with which the sampler takes it, among the position's branches
    end: str | None  # the finish_reason, where the token ends the response; else None


@dataclass(frozen=True)
class BranchedPosition:
    """A position of a response, with the tokens taken there: the sampled one first."""

    response: BranchedResponse  # without its distributions, which are large
    place: Place
    branches: tuple[Branch, ...]
    entropy: float  # nats, of the distribution there; with paragraphs, the mean of the one that ends there

    @property
    def num_ids(self) -> int:
        """The token ids that the requests for its branches hold."""
        return len(self.branches) * (len(self.response.prompt_ids) + self.place.position + 1)


@dataclass(frozen=True)
class Model:
    """What decides where a response ends, as `drafts.Model` asks for it."""

    max_positions: int | None
    stop_token_ids: frozenset[int]
    vocabulary: Vocabulary

    @staticmethod
    def of(info: ModelInfo, vocabulary: Vocabulary) -> "Model":
        return Model(info.max_positions, info.stop_token_ids, vocabulary)


@dataclass(frozen=True)
class Planner:
    """Plans the branches of one partition."""

    settings: BranchSettings
    sampling: SamplingSettings
    temperature: float  # at which the distributions are kept
    model: Model
    thinking: ThinkingPlan = NO_PLAN

    @property
    def continuations(self) -> int:
        """Of a branch that can go on: one where decoding is greedy, since all would be the same."""
        return 1 if self.sampling.greedy else self.settings.continuations

    def positions(self, response: BranchedResponse) -> list[BranchedPosition]:
        """The positions of a response where other tokens are taken, rising."""
        if not response.token_ids:
            raise ModelError(f"{response.name} has no token ids; there is nothing to go back into")
        self._check_top_k(response)
        places = choose_places(self.settings.positions, response, self.model.vocabulary, self.thinking.tags)
        kept = response.without_distributions()
        return [
            BranchedPosition(kept, place, self._branches(response, place), _entropy(response, place))
            for place in places
        ]

    def _check_top_k(self, response: BranchedResponse) -> None:
        kept, how = response.topk_ids.shape[1], self.settings.positions.how
        needed = 0 if how == "steps" else self.settings.alternatives.top_k
        needed = max(needed, 2) if how == "forks" else needed
        if kept < min(needed, len(self.model.vocabulary)):
            raise SettingsError(
                f"branches: {needed} tokens of each distribution are needed (alternatives.top_k, forks), but "
                f"token_distributions keep {kept}; raise distribution.top_k and materialize token_distributions"
            )

    def _branches(self, response: BranchedResponse, place: Place) -> tuple[Branch, ...]:
        at, sampled = place.position, response.token_ids[place.position]
        taken = {sampled: float(response.logprob[at])}
        if self.settings.positions.how != "steps":
            alternatives, least = self.settings.alternatives, self.settings.alternatives.min_probability
            most = alternatives.top_k
            for token, logprob in zip(response.topk_ids[at, :most], response.topk_logprobs[at, :most], strict=True):
                if np.exp(float(logprob)) >= least and int(token) != sampled:
                    taken[int(token)] = float(logprob)
        weights = self._weights(response, at, taken)
        return tuple(
            Branch(
                (response.problem_id, response.sample_index, at, token),
                float(np.exp(logprob)),
                token == sampled,
                weights[token],
                self._end(response, at, token),
            )
            for token, logprob in taken.items()
        )

    def _weights(self, response: BranchedResponse, at: int, taken: Mapping[int, float]) -> dict[int, float]:
        """How probable each taken token is to the sampler, among those taken: at its temperature, without what its
        top_k and (where both temperatures are one) its top_p cut off.
        """
        if self.sampling.greedy:
            best = max(taken, key=lambda token: taken[token])
            return {token: float(token == best) for token in taken}
        allowed = set(taken) - self._cut_off(response, at)
        allowed.add(response.token_ids[at])  # it was sampled
        scaled = {token: taken[token] * self.temperature / self.sampling.temperature for token in allowed}
        highest = max(scaled.values())
        shares = {token: float(np.exp(value - highest)) for token, value in scaled.items()}
        total = sum(shares.values())
        return {token: shares.get(token, 0.0) / total for token in taken}

    def _cut_off(self, response: BranchedResponse, at: int) -> set[int]:
        ids, logprobs = response.topk_ids[at], response.topk_logprobs[at]
        cut = set()
        if self.sampling.top_k is not None:
            cut |= {int(token) for token in ids[self.sampling.top_k :]}
        if self.sampling.top_p < 1 and self.sampling.temperature == self.temperature:
            mass = np.exp(logprobs.astype(np.float64))
            cut |= {int(token) for token in ids[np.cumsum(mass) - mass >= self.sampling.top_p]}
        return cut

    def _end(self, response: BranchedResponse, at: int, token: int) -> str | None:
        """The finish_reason, where the response ends with this token; `Draft` decides, as in sampling."""
        begun = Request(
            response.problem_id, response.sample_index, (*response.prompt_ids, *response.token_ids[:at]), at
        )
        draft = Draft(begun, self.model, self.sampling, 0)
        if not draft.accept(token, 0.0):
            return None
        pieces = self.model.vocabulary.pieces
        so_far = [pieces[one] for one in (*response.token_ids[:at], token)]
        return self.thinking.reason(draft.response.finish_reason, so_far, response.prompt)

    def room(self, position: BranchedPosition) -> int:
        """The most tokens that may follow a branch there."""
        begun = position.place.position + 1
        longest = self.model.max_positions
        free = self.sampling.max_length - begun
        return free if longest is None else min(free, longest - len(position.response.prompt_ids) - begun)

    def most_tokens(self, position: BranchedPosition) -> int:
        """The most tokens that the position's continuations can come to."""
        open_ended = sum(branch.end is None for branch in position.branches)
        return open_ended * self.continuations * self.room(position)


def _entropy(response: BranchedResponse, place: Place) -> float:
    return float(response.entropy[place.begin : place.position + 1].astype(np.float64).mean())


class Lengths:
    """How long responses have been so far: what tells how long continuations will be."""

    def __init__(self, lengths: Mapping[str, Sequence[int]]) -> None:
        """`lengths`: of each problem, the tokens of its responses."""
        self._of = lengths
        self._all = [length for of in lengths.values() for length in of]

    def expected(self, planner: Planner, position: BranchedPosition) -> float:
        """The tokens that the position's continuations are expected to come to: of each as many as the problem's longer
        responses had from there on, on average; where it has none, those of all problems.
        """
        begun, room = position.place.position + 1, planner.room(position)
        for known in (self._of.get(position.response.problem_id, ()), self._all):
            longer = [min(length - begun, room) for length in known if length > begun]
            if longer:
                open_ended = sum(branch.end is None for branch in position.branches)
                return open_ended * planner.continuations * fmean(longer)
        return float(planner.most_tokens(position))


@dataclass(frozen=True)
class BranchChunk:
    """Some consecutive positions, with all continuations of each: a fragment."""

    index: int
    positions: tuple[BranchedPosition, ...]


def chunks_of_positions(positions: Sequence[BranchedPosition], continuations: int) -> list[BranchChunk]:
    """About a hundred chunks of 32 to 512 continuations, whole positions each, in order. The cut depends on the plan
    alone, so an interrupted run and the one that goes on from it agree.
    """
    total = sum(len(position.branches) for position in positions) * continuations
    wanted = min(_MAX_CONTINUATIONS, max(_MIN_CONTINUATIONS, total // _CHUNKS))
    return [BranchChunk(index, part) for index, part in enumerate(_parts(positions, continuations, wanted))]


def _parts(
    positions: Sequence[BranchedPosition], continuations: int, wanted: int
) -> Iterator[tuple[BranchedPosition, ...]]:
    part: list[BranchedPosition] = []
    held = 0
    for position in positions:
        part.append(position)
        held += len(position.branches) * continuations
        if held >= wanted:
            yield tuple(part)
            part, held = [], 0
    if part:
        yield tuple(part)
