"""A model whose branch values can be computed: a chain of two states, good and bad, in the place of the fake engine.

A response is STEPS letters, `g` or `b`, and then the answer of the state it is in: right in the good one, wrong in the
bad one. From state to state it stays with a probability of its own at each step, so the value of any beginning is a
product of small matrices. It counts what it draws, so that a test sees what was drawn again.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from onoff_core.backends.contract import ModelInfo, OnTokens
from onoff_core.backends.drafts import Draft
from onoff_core.backends.fake import STOP, VOCABULARY_SIZE, FakeModel, FakeTokenizer, num_gpus
from onoff_core.backends.requests import Request, Response, TokenScores
from onoff_core.study import DistributionSettings, FakeScript, ModelSettings, SamplingSettings

__all__ = ["num_gpus", "open_sampler", "open_scorer", "open_tokenizer"]

GOOD, BAD = b"g"[0], b"b"[0]
STAYS = (0.5, 0.98, 0.95, 0.6, 0.97, 0.9)  # with which it stays in its state; the first: that it begins in the good one
STEPS = len(STAYS)
ANSWERS = {GOOD: b"\n\n\\boxed{1}", BAD: b"\n\n\\boxed{0}"}
DIE_AFTER = "CHAIN_DIES_AFTER"  # responses of a branch, in the environment
drawn: list[Request] = []  # every request that was drawn in this process


def next_token(written: Sequence[int]) -> dict[int, float]:
    """The distribution of the next token after what is written of a response. Other letters count as bad ones."""
    at = len(written)
    if at < STEPS:
        good = written[-1] == GOOD if written else True
        stays = STAYS[at]
        return {GOOD: stays, BAD: 1 - stays} if good else {GOOD: 1 - stays, BAD: stays}
    answer = [*ANSWERS[GOOD if written[STEPS - 1] == GOOD else BAD], STOP]
    return {answer[at - STEPS]: 1.0}


def value(written: Sequence[int]) -> float:
    """The probability of a right answer after what is written."""
    if len(written) >= STEPS:
        return float(written[STEPS - 1] == GOOD)
    return sum(p * value([*written, token]) for token, p in next_token(written).items())


class Chain(FakeModel):
    """Samples and scores."""

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        for number, request in enumerate(requests):
            if request.begun and number >= int(os.environ.get(DIE_AFTER, "1000000000")):
                os.kill(os.getpid(), signal.SIGKILL)
            drawn.append(request)
            draft = Draft(request, self, sampling, seed)
            begun = list(request.prompt_ids[len(request.prompt_ids) - request.begun :])
            while True:
                token, probability = self._draw(draft, [*begun, *draft.response.token_ids])
                if draft.accept(token, float(np.log(probability))):
                    break
            on_tokens(len(draft.response.token_ids))
            yield draft.response

    def _draw(self, draft: Draft, written: Sequence[int]) -> tuple[int, float]:
        uniform, below = draft.uniform(), 0.0
        *others, last = next_token(written).items()
        for token, probability in others:
            below += probability
            if uniform < below:
                return token, probability
        return last

    def score(
        self, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
    ) -> Iterator[TokenScores]:
        for token_ids in responses:
            yield _scores(token_ids, settings.top_k)


def _scores(token_ids: Sequence[int], top_k: int | None) -> TokenScores:
    rows = []
    for at in range(len(token_ids)):
        probabilities = np.full(VOCABULARY_SIZE, 1e-30)
        for token, probability in next_token(token_ids[:at]).items():
            probabilities[token] = probability
        order = np.argsort(-probabilities, kind="stable")
        entropy = -(probabilities * np.log(probabilities)).sum()
        rows.append((probabilities, order, entropy))
    sampled = np.array([row[0][token] for row, token in zip(rows, token_ids, strict=True)])
    listed = [order[:top_k] if top_k is not None else np.arange(VOCABULARY_SIZE) for _, order, _ in rows]
    ids = {} if top_k is None else {"topk_ids": np.stack(listed).astype(np.int32)}
    kept = np.stack([row[0][order] for row, order in zip(rows, listed, strict=True)])
    rank = [int(np.flatnonzero(order == token)[0]) + 1 for (_, order, _), token in zip(rows, token_ids, strict=True)]
    zeros = np.zeros(len(token_ids), np.float32)
    return TokenScores(
        {
            "logprob": np.log(sampled).astype(np.float32),
            "rank": np.array(rank, np.int32),
            "entropy": np.array([entropy for _, _, entropy in rows], np.float32),
            "varentropy": zeros,
            "logsumexp": zeros,
            "tail_mass": np.maximum(0, 1 - kept.sum(1)).astype(np.float32),
            **ids,
            "topk_logprobs": np.log(kept).astype(np.float32),
        }
    )


def open_sampler(name: str, settings: ModelSettings, base_dir: Path) -> Chain:
    info = ModelInfo(name, None, "float32", "none", VOCABULARY_SIZE, None, frozenset({STOP}))
    return Chain(info, FakeScript(), FakeTokenizer())


def open_scorer(name: str, settings: ModelSettings, base_dir: Path) -> Chain:
    return open_sampler(name, settings, base_dir)


def open_tokenizer(name: str, settings: ModelSettings, base_dir: Path) -> FakeTokenizer:
    return FakeTokenizer()
