"""One model's half of a comparison: the logits that predict each token of a text, a slice at a time.

Two halves give slices of the same tokens, so memory holds one slice of each, whatever the texts' length. How a half
finds them is its model's matter: over the prompt's keys and values, as a pass over many tokens and then the output
matrix, from hidden states that were kept, or in one piece.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.huggingface import many_tokens
from onoff_core.backends.huggingface.head import Head
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.trying import cached_logits, parts_head, plain_logits, shares_prefix

Span = tuple[int, int]  # tokens of the texts, one after the other: from, to
_TOKENS_AT_ONCE = 4096  # of all texts, through the layers of a model on a GPU


class Side(Protocol):
    """One model, while the texts after one prompt are compared."""

    loaded: LoadedModel
    one_by_one: bool  # texts are given one at a time

    def begin(self, prompt_ids: Sequence[int]) -> None:
        """Compute the prompt that the next texts share."""

    def logits(self, texts: Sequence[Sequence[int]], spans: Sequence[Span]) -> Iterator[Tensor]:
        """The logits (tokens, vocab) that predict the tokens of each span; the first span is that of one token."""


class CachedSide:
    """Over the prompt's keys and values, a text at a time: fastest on a CPU."""

    one_by_one = True

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

    def begin(self, prompt_ids: Sequence[int]) -> None:
        self._prompt = len(prompt_ids)
        self._prefix = DynamicCache()
        self._first = cached_logits(self.loaded, prompt_ids, self._prefix, logits_to_keep=1)  # (1, vocab)

    def logits(self, texts: Sequence[Sequence[int]], spans: Sequence[Span]) -> Iterator[Tensor]:
        (token_ids,) = texts
        yield self._first
        for begin, end in spans[1:]:
            yield cached_logits(self.loaded, token_ids[begin - 1 : end - 1], self._prefix, logits_to_keep=0)
        self._prefix.crop(self._prompt - self._prefix.get_seq_length())  # a negative number: so many from the end


class WholeSide:
    """Prompt and text in one forward pass, for models that can do nothing else; memory grows with their length."""

    one_by_one = True

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

    def begin(self, prompt_ids: Sequence[int]) -> None:
        self._prompt_ids = list(prompt_ids)

    def logits(self, texts: Sequence[Sequence[int]], spans: Sequence[Span]) -> Iterator[Tensor]:
        (token_ids,) = texts
        whole = plain_logits(self.loaded, [*self._prompt_ids, *token_ids])[len(self._prompt_ids) - 1 : -1]
        for begin, end in spans:
            yield whole[begin:end]


class StatesSide:
    """The output matrix over hidden states, of as many texts at once as the states are of."""

    one_by_one = False

    def __init__(
        self, loaded: LoadedModel, head: Head, states: Callable[[Sequence[int], Sequence[int]], Tensor]
    ) -> None:
        """`states`: of a prompt and one text after it, the (tokens, hidden) that predict its tokens."""
        self.loaded, self._head, self._states = loaded, head, states

    def begin(self, prompt_ids: Sequence[int]) -> None:
        self._prompt_ids = prompt_ids

    def logits(self, texts: Sequence[Sequence[int]], spans: Sequence[Span]) -> Iterator[Tensor]:
        states = torch.cat([self._states(self._prompt_ids, text) for text in texts])
        for begin, end in spans:
            yield self._head(states[begin:end].to(self.loaded.device))


class ManySide:
    """Many tokens at once through the layers, and then slices of the output matrix: fastest on a GPU."""

    def __init__(self, loaded: LoadedModel, *, one_by_one: bool) -> None:
        self.loaded, self.one_by_one, self._head = loaded, one_by_one, Head(loaded)
        self._prompt: many_tokens._Prompt | None = None

    def begin(self, prompt_ids: Sequence[int]) -> None:
        self._prompt_ids, self._prompt = list(prompt_ids), None

    @torch.inference_mode()
    def states(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """(tokens of all texts, hidden): what predicts each token."""
        if many_tokens._goes_along(self._prompt_ids, texts, tokens_at_once(self.loaded)):
            prompt = many_tokens._Prompt(self._prompt_ids, None, None)
        else:
            prompt = self._prompt = self._prompt or many_tokens._prompt(self.loaded, self._prompt_ids)
        longest = max(map(len, texts))
        ids = torch.zeros((len(texts), longest), dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(list(text))
        ids = ids.to(self.loaded.device)
        hidden = many_tokens._after_prompt(self.loaded, prompt, ids, tokens_at_once(self.loaded))
        return torch.cat([hidden[row, : len(text)] for row, text in enumerate(texts)])

    def logits(self, texts: Sequence[Sequence[int]], spans: Sequence[Span]) -> Iterator[Tensor]:
        states = self.states(texts)
        for begin, end in spans:
            yield self._head(states[begin:end])


def tokens_at_once(loaded: LoadedModel) -> int:
    """Through the layers; fewer where memory did not suffice once."""
    return loaded.learnt.scored_tokens or _TOKENS_AT_ONCE


def side_of(loaded: LoadedModel) -> Side:
    """The half that suits a model, as `scoring` chooses too."""
    on_cpu = loaded.device.type == "cpu"
    if on_cpu and shares_prefix(loaded):
        return CachedSide(loaded)
    if parts_head(loaded):
        return ManySide(loaded, one_by_one=on_cpu)
    return CachedSide(loaded) if shares_prefix(loaded) else WholeSide(loaded)
