"""A scripted model for trying everything around a model: no torch, no weights, no waiting.

It speaks bytes: a token is a byte of UTF-8, and two more are special. If `backend_specific.script` has responses, it
draws those; otherwise every logit is 0, so each token is drawn with probability 1 / V and has an entropy of exactly
ln V. Its scorer gives every token these values, so it agrees with its sampler. A script can make it fail, stall or die.
"""

import dataclasses
import logging
import math
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onoff_core.backends.contract import ModelInfo, OnTokens, PairLoading, Text
from onoff_core.backends.drafts import DescribedModel, Draft
from onoff_core.backends.requests import KeptDistributions, PairScores, Request, Response, TokenScores
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError
from onoff_core.study import DistributionSettings, FakeFault, FakeScript, ModelSettings, SamplingSettings
from onoff_core.tasks import Prompt

logger = logging.getLogger(__name__)

SPECIAL = ("<|im_start|>", "<|im_end|>")
VOCABULARY_SIZE = 256 + len(SPECIAL)
STOP = 256 + SPECIAL.index("<|im_end|>")
MAX_POSITIONS = 32_768
_STALL_SECONDS = 24 * 3600


@dataclass(frozen=True)
class FakeTokenizer:
    """Bytes, and the two marks of ChatML."""

    stop_token_ids: frozenset[int] = frozenset({STOP})

    @cached_property
    def vocabulary(self) -> Vocabulary:
        pieces = (*(bytes([byte]) for byte in range(256)), *(text.encode() for text in SPECIAL))
        return Vocabulary(pieces, (*[False] * 256, *[True] * len(SPECIAL)))

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt's bytes; the marks of ChatML in it are bytes too, not special tokens."""
        return list(prompt.text.encode())

    def decode(self, token_ids: Sequence[int]) -> str:
        ids = list(token_ids)
        if ids and ids[-1] in self.stop_token_ids:
            ids = ids[:-1]
        return self.vocabulary.bytes_of(ids).decode("utf-8", errors="replace")

    @property
    def template_text(self) -> str | None:
        return None

    def chat_template(self, messages: Sequence[dict[str, str]], arguments: Mapping[str, Any] | None = None, /) -> str:
        if arguments:
            raise ModelError(f"task.chat_template: the fake engine's template has no argument {next(iter(arguments))}")
        start, end = SPECIAL
        turns = "".join(f"{start}{m['role']}\n{m['content']}{end}\n" for m in messages)
        return f"{turns}{start}assistant\n"


@dataclass(frozen=True)
class FakeModel(DescribedModel):
    """The sampler and the scorer."""

    info: ModelInfo
    script: FakeScript
    tokenizer: FakeTokenizer

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        for number, request in enumerate(requests):
            self._suffer(self.script.sampling_fault, number)
            said = self._go_on if request.resumed else self._begin
            response = said(request, sampling, seed)
            time.sleep(self.script.seconds_per_response)
            on_tokens(len(response.token_ids))
            yield response

    def _begin(self, request: Request, sampling: SamplingSettings, seed: int) -> Response:
        return self._say(Draft(request, self, sampling, seed), request)

    def _go_on(self, request: Request, sampling: SamplingSettings, seed: int) -> Response:
        """All of it again, without what was there: where a script is after tokens that were put in shows so alone."""
        first = dataclasses.replace(request, prompt_ids=request.prompt_ids[: -request.begun], begun=0, resumed=False)
        whole, begun = self._begin(first, sampling, seed), request.begun
        forced = whole.forced_positions
        return dataclasses.replace(
            whole,
            request=request,
            token_ids=whole.token_ids[begun:],
            logprobs=whole.logprobs[begun:],
            forced_positions=None if forced is None else [at - begun for at in forced if at >= begun],
        )

    def _say(self, draft: Draft, request: Request) -> Response:
        """The scripted response, or uniform bytes that are text; `Draft` knows where it ends. Where the thinking of a
        scripted one is cut, it goes on behind its own closing tag, if it has one.
        """
        texts, logprob = self.script.responses, -math.log(VOCABULARY_SIZE)
        text = texts[request.sample_index % len(texts)].encode() if texts else None
        at = 0
        while True:
            uniform, forced = draft.uniform(), draft.forced_token
            if forced is not None:
                token = forced
                at = at if text is None else _behind_thinking(text, at, request)
            elif text is None:
                token = int(uniform * VOCABULARY_SIZE)
            else:
                token, at = (text[at] if at < len(text) else STOP), at + 1
            if draft.accept(token, logprob):
                return draft.response

    def score(
        self, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
    ) -> Iterator[TokenScores]:
        for number, token_ids in enumerate(responses):
            self._suffer(self.script.scoring_fault, number)
            if not token_ids:
                raise ModelError("a response without tokens cannot be scored")
            yield _uniform_scores(len(token_ids), settings.top_k)

    def _suffer(self, fault: FakeFault | None, number: int) -> None:
        """Do what the script says shall go wrong with response `number`, which counts from 0."""
        if fault is None or number < fault.after:
            return
        if fault.once is not None:
            try:
                Path(fault.once).touch(exist_ok=False)
            except FileExistsError:  # it happened already
                return
        logger.warning("the script says: %s, after %d responses", fault.kind, fault.after)
        match fault.kind:
            case "error":
                raise ModelError(f"models.{self.info.name}: the script says error, after {fault.after} responses")
            case "connection":
                raise ConnectionError("the script says connection: it was lost")
            case "out_of_memory":
                raise MemoryError("the script says out_of_memory")
            case "stall":
                time.sleep(_STALL_SECONDS)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        """There is nothing to release."""


def _behind_thinking(text: bytes, at: int, request: Request) -> int:
    """Where a text goes on whose thinking is cut at this byte; once there, it stays there."""
    tags = () if request.forcing is None else request.forcing.tags
    if any(text[:at].endswith(close) for _, close in tags):
        return at
    ends = [place + len(close) for _, close in tags if (place := text.find(close, at)) >= 0]
    return min(ends, default=at)


@dataclass(frozen=True)
class FakePair:
    """Two scripted models: all logits of both are 0, so they agree everywhere. A scoring fault is the reference's."""

    first: FakeModel
    second: FakeModel

    @property
    def info(self) -> ModelInfo:
        return self.first.info

    @property
    def reference_info(self) -> ModelInfo:
        return self.second.info

    def prepare(self, texts: Iterable[Text]) -> None:
        """Both fit into memory."""

    def score(self, prompt_ids: Sequence[int], texts: Sequence[Sequence[int]], top_k: int) -> Iterator[PairScores]:
        scores = self.second.score(prompt_ids, texts, DistributionSettings())
        for text, own in zip(texts, scores, strict=True):
            zeros = {name: np.zeros(len(text), np.float32) for name in ("log_ratio", "kl", "reverse_kl", "js")}
            yield PairScores({**_same_of_both(own), **zeros})

    def score_kept(
        self, prompt_ids: Sequence[int], texts: Sequence[Sequence[int]], kept: Sequence[KeptDistributions], top_k: int
    ) -> Iterator[PairScores]:
        """Bounds that are as far apart as what is kept leaves them: of a uniform tail, not at all."""
        scores = self.second.score(prompt_ids, texts, DistributionSettings())
        names = ("log_ratio", "kl_lower", "kl_upper", "reverse_kl_lower", "js_lower")
        for text, own, known in zip(texts, scores, kept, strict=True):
            zeros = {name: np.zeros(len(text), np.float32) for name in names}
            yield PairScores({**_same_of_both(own), **zeros, "js_upper": known.tail_mass * np.float32(math.log(2))})

    def close(self) -> None:
        """There is nothing to release."""


def _same_of_both(scores: TokenScores) -> dict[str, NDArray[Any]]:
    """The columns of each model alone."""
    return {
        "logprob": scores["logprob"],
        "entropy": scores["entropy"],
        "reference_logprob": scores["logprob"],
        "reference_rank": scores["rank"],
        "reference_entropy": scores["entropy"],
        "topk_overlap": np.ones(len(scores["logprob"]), np.float32),
    }


def _uniform_scores(count: int, top_k: int | None) -> TokenScores:
    """The scores of `count` tokens of a model whose logits are all 0; ties keep the order of ids."""
    size = VOCABULARY_SIZE
    k = size if top_k is None else min(top_k, size)
    same = {
        "logprob": -math.log(size),
        "entropy": math.log(size),
        "varentropy": 0.0,
        "logsumexp": math.log(size),
        "tail_mass": 1 - k / size,
        "mean_log_prob_vocabulary": -math.log(size),
    }
    columns = {name: np.full(count, value, np.float32) for name, value in same.items()}
    columns["topk_logprobs"] = np.full((count, k), -math.log(size), np.float32)
    ids = {} if top_k is None else {"topk_ids": np.tile(np.arange(k, dtype=np.int32), (count, 1))}
    return TokenScores({**columns, "rank": np.ones(count, np.int32), **ids})


def _open(name: str, settings: ModelSettings) -> FakeModel:
    info = ModelInfo(
        name=name,
        revision=None,
        dtype="float32",
        device="none",
        vocab_size=VOCABULARY_SIZE,
        max_positions=MAX_POSITIONS,
        stop_token_ids=frozenset({STOP}),
        resumes=True,
    )
    return FakeModel(info, settings.backend_specific.script or FakeScript(), FakeTokenizer())


def open_sampler(name: str, settings: ModelSettings, base_dir: Path) -> FakeModel:
    return _open(name, settings)


def open_scorer(name: str, settings: ModelSettings, base_dir: Path) -> FakeModel:
    return _open(name, settings)


def open_pair_scorer(
    first: tuple[str, ModelSettings], second: tuple[str, ModelSettings], base_dir: Path, how: PairLoading
) -> FakePair:
    return FakePair(_open(*first), _open(*second))


def open_tokenizer(name: str, settings: ModelSettings, base_dir: Path) -> FakeTokenizer:
    return FakeTokenizer()


def num_gpus() -> int:
    return 0
