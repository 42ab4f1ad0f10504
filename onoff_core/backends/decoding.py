"""Draw responses: a decode loop that keeps its rows busy.

In: prompts as token ids, and which responses to draw. Out: responses as they end, in no particular order. Every row
of a step is one response; a row that ends is given the next response at once, so no row waits for the longest of its
batch. A prompt is computed once and shared by all its responses.

What holds: the uniform numbers of a response depend on (seed, problem_id, sample_index) only. Its tokens then depend
on its logits, which floating-point arithmetic computes equal up to rounding whatever shares the batch; where a
uniform number falls within that rounding of a boundary between two tokens (about one token in 10^5 in float32) a
response may differ from there on.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.drawing import draw, uniform_stream
from onoff_core.backends.loading import LoadedModel
from onoff_core.backends.packing import packed_linears
from onoff_core.backends.slot_attention import attention_by_slots
from onoff_core.backends.slots import SlotCache
from onoff_core.study import SamplingSettings

logger = logging.getLogger(__name__)

Progress = Callable[[int], None]  # is told of tokens as they are drawn


@dataclass(frozen=True)
class Request:
    """One response to draw."""

    problem_id: str
    sample_index: int
    prompt_ids: tuple[int, ...]


@dataclass
class Response:
    """One response, as it ended."""

    request: Request
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)  # nats, raw model at temperature 1
    finish_reason: str = "length"  # stop, length, stop_string


@dataclass
class _Row:
    response: Response
    uniforms: np.random.Generator
    token: int = -1  # the last one drawn
    tail: bytes = b""  # the last bytes, as many as a stop string may still need


def decode(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: SamplingSettings,
    seed: int,
    on_tokens: Progress = lambda tokens: None,
) -> Iterator[Response]:
    """Draw all requests, yielding each response when it ends.

    Requests to one prompt should stand side by side: its keys and values are kept while any of them is waiting or
    running.
    """
    return _Loop(loaded, requests, sampling, seed, on_tokens).run()


class _Loop:
    """The state of one run. `rows[i]` and row i of the cache are the same row; None is a row that is free."""

    def __init__(
        self,
        loaded: LoadedModel,
        requests: Sequence[Request],
        sampling: SamplingSettings,
        seed: int,
        on_tokens: Progress,
    ) -> None:
        self.loaded, self.sampling, self.seed, self.on_tokens = loaded, sampling, seed, on_tokens
        self.queue = deque(requests)
        self.cache = SlotCache(loaded.model, min(sampling.batch_size, len(requests)))
        self.rows: list[_Row | None] = [None] * self.cache.rows
        self.unfinished = Counter(request.prompt_ids for request in requests)
        self.slots: dict[tuple[int, ...], int] = {}  # of the prompts that are computed
        self.prompt_logits: dict[tuple[int, ...], Tensor] = {}  # (vocab,) float32, of the first token
        self.stops = [text.encode() for text in sampling.stop_strings]
        self.keep_tail = max(map(len, self.stops), default=0)

    def run(self) -> Iterator[Response]:
        while True:
            yield from self._fill()
            self._close_gaps()
            holders = [row for row in self.rows if row is not None]
            if not holders:
                return
            yield from self._accept(list(range(len(holders))), self._step([row.token for row in holders]))

    def _fill(self) -> Iterator[Response]:
        """Give free rows the next requests and draw their first token; it may be their last, so go on until none is
        free.
        """
        while self.queue and (free := [index for index, row in enumerate(self.rows) if row is None]):
            taken = free[: len(self.queue)]
            logits = []
            for index in taken:
                request = self.queue.popleft()
                slot = self._prompt_slot(request.prompt_ids)
                self.cache.assign(index, slot)
                self.rows[index] = _Row(
                    Response(request), uniform_stream(self.seed, request.problem_id, request.sample_index)
                )
                logits.append(self.prompt_logits[request.prompt_ids])
            yield from self._accept(taken, torch.stack(logits))

    def _close_gaps(self) -> None:
        """With nothing left to admit, go on with fewer rows."""
        kept = [index for index, row in enumerate(self.rows) if row is not None]
        if kept and len(kept) < len(self.rows):
            kept = self.cache.close_gaps(kept)
        self.rows = [self.rows[index] for index in kept]

    def _accept(self, indices: list[int], logits: Tensor) -> Iterator[Response]:
        """Draw one token in each of these rows, logits (len(indices), vocab); yield the responses that end."""
        rows = [row for row in (self.rows[index] for index in indices) if row is not None]
        uniform = torch.tensor([row.uniforms.random() for row in rows], dtype=torch.float64, device=logits.device)
        tokens, logprobs = draw(logits, uniform, self.sampling)
        self.on_tokens(len(rows))
        for index, row, token, logprob in zip(indices, rows, tokens.tolist(), logprobs.tolist(), strict=True):
            row.token = token
            row.response.token_ids.append(token)
            row.response.logprobs.append(logprob)
            reason = self._end(row)
            if reason is not None:
                row.response.finish_reason = reason
                self.rows[index] = None
                self._let_go(row.response.request.prompt_ids)
                yield row.response

    def _end(self, row: _Row) -> str | None:
        """Why the response ends with its last token, or None."""
        if row.token in self.loaded.stop_token_ids:
            return "stop"
        if self.stops:
            row.tail += self.loaded.vocabulary.pieces[row.token]
            if any(stop in row.tail for stop in self.stops):
                return "stop_string"
            row.tail = row.tail[-self.keep_tail :]
        return "length" if len(row.response.token_ids) >= self.sampling.max_length else None

    @torch.inference_mode()
    def _prompt_slot(self, prompt_ids: tuple[int, ...]) -> int:
        """The slot that keeps a prompt's keys and values, computed on first use."""
        if prompt_ids not in self.slots:
            fresh = DynamicCache()
            ids = torch.tensor([prompt_ids], device=self.loaded.device)
            result = self.loaded.model(input_ids=ids, past_key_values=fresh, use_cache=True, logits_to_keep=1)
            self.slots[prompt_ids] = self.cache.store_prompt(fresh)
            self.prompt_logits[prompt_ids] = result.logits[0, -1].float()
        return self.slots[prompt_ids]

    def _let_go(self, prompt_ids: tuple[int, ...]) -> None:
        """One response less to wait for; after the last one the prompt's slot is free."""
        self.unfinished[prompt_ids] -= 1
        if not self.unfinished[prompt_ids]:
            self.cache.release_prompt(self.slots.pop(prompt_ids))
            del self.prompt_logits[prompt_ids]

    @torch.inference_mode()
    def _step(self, tokens: list[int]) -> Tensor:
        """One token through the model in every row: -> (rows, vocab) float32, the logits of the next."""
        step = self.cache.begin_step()
        with attention_by_slots(self.loaded.model), packed_linears(self.loaded):
            result = self.loaded.model(
                input_ids=torch.tensor(tokens, device=self.loaded.device)[:, None],
                position_ids=step.position[:, None],
                past_key_values=self.cache,
                use_cache=True,
            )
        self.cache.end_step()
        return result.logits[:, -1].float()
