"""The decode loop by two models in lock step: both see every token, and before each one the rules say who draws it.

Rows, prompts and slots of the second are those of the first, so that either's logits are what they would be if it
decoded alone. Rules that never change therefore give the first's own responses, and rules that always do the second's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from onoff_core.backends.contract import OnTokens
from onoff_core.backends.drafts import Draft
from onoff_core.backends.huggingface.cpu.loop import SlotLoop
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.next_tokens import next_tokens
from onoff_core.backends.requests import Request
from onoff_core.backends.switching import SECOND, Rules, Turns
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.study import SamplingSettings


class _Writers:
    """What decides where a response of two models ends: the stop tokens of the one that drew the last token."""

    def __init__(self, first: LoadedModel, second: LoadedModel, turns: Turns) -> None:
        self._first, self._second, self.turns = first, second, turns

    @property
    def max_positions(self) -> int | None:
        known = [one.max_positions for one in (self._first, self._second) if one.max_positions is not None]
        return min(known, default=None)

    @property
    def stop_token_ids(self) -> frozenset[int]:
        return (self._second if self.turns.writing == SECOND else self._first).stop_token_ids

    @property
    def vocabulary(self) -> Vocabulary:
        return self._first.vocabulary


class SwitchLoop(SlotLoop):
    """A `SlotLoop` of the first model that takes the second's along. Logits are (rows, 2, vocab) here."""

    def __init__(
        self,
        pair: tuple[LoadedModel, LoadedModel],
        rules: Rules,
        requests: Sequence[Request],
        sampling: SamplingSettings,
        seed: int,
        max_rows: int,
        on_tokens: OnTokens,
    ) -> None:
        super().__init__(pair[0], requests, sampling, seed, max_rows, on_tokens, shares_prefix=False)
        self.second = SlotLoop(pair[1], requests, sampling, seed, max_rows, on_tokens, shares_prefix=False)
        self.rules = rules
        self.turns: dict[Request, Turns] = {}

    def _draft(self, request: Request) -> Draft:
        turns = self.turns[request] = Turns(self.rules)
        draft = Draft(request, _Writers(self.loaded, self.second.loaded, turns), self.sampling, self.seed)
        draft.response.drawn_by = []
        return draft

    def _begin(self, index: int, request: Request) -> Tensor:
        return self._both(super()._begin(index, request), self.second._begin(index, request), 0)

    def _step(self, tokens: list[int]) -> Tensor:
        return self._both(super()._step(tokens), self.second._step(tokens), 1)

    def _both(self, first: Tensor, second: Tensor, dim: int) -> Tensor:
        return torch.stack([first, second.to(first.device)], dim)

    def _close_gaps(self) -> None:
        self.second.rows = list(self.rows)  # what has ended has ended for both
        super()._close_gaps()
        self.second._close_gaps()

    def _let_go(self, prompt_ids: tuple[int, ...]) -> None:
        super()._let_go(prompt_ids)
        self.second._let_go(prompt_ids)

    @torch.inference_mode()
    def _draw(self, drafts: Sequence[Draft], logits: Tensor) -> tuple[Tensor, Tensor]:
        first, second = logits[:, 0], logits[:, 1]
        kl = divergences(first, second).tolist() if self.rules.asks_kl else [None] * len(drafts)
        entropy = entropies(first).tolist() if self.rules.asks_entropy else [None] * len(drafts)
        writers = []
        for number, draft in enumerate(drafts):
            response = draft.response
            writer = self.turns[response.request].next(kl[number], entropy[number], response.token_ids)
            assert response.drawn_by is not None
            response.drawn_by.append(writer)
            writers.append(writer == SECOND)
        of_second = torch.tensor(writers, device=logits.device)
        return next_tokens(drafts, torch.where(of_second[:, None], second, first), self.sampling)


def divergences(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) in nats of each row, (rows, vocab) logits -> (rows,) float64, over the whole vocabulary."""
    log_p, log_q = (torch.log_softmax(one.double(), -1) for one in (first, second))
    terms = log_p.exp() * (log_p - log_q)
    return torch.where(torch.isneginf(log_p), 0.0, terms).sum(-1)  # 0 ln 0 is 0


def entropies(logits: Tensor) -> Tensor:
    """In nats of each row, (rows, vocab) -> (rows,) float64."""
    log_p = torch.log_softmax(logits.double(), -1)
    return -torch.where(torch.isneginf(log_p), 0.0, log_p.exp() * log_p).sum(-1)
