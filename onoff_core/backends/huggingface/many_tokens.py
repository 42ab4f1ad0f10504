"""Scoring many tokens at once, which is how a GPU is fast: the layers see thousands, of several responses.

In: a prompt and the responses to it. Out: one `TokenScores` a response, in order. The prompt is computed once where its
cache can be shared; rows of uneven length are filled up at their right end, which no earlier token sees. The output
matrix and the statistics go in slices. Memory holds one group's keys and values and one slice's logits; a slice's
statistics travel to the host while the next one is computed (`arrivals`), and are waited for when the next group is
on its way, so that the device does not wait for whoever writes them. Models with a running state go through here on a
CPU too, a response at a time, for the sake of that memory.
"""

import gc
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.huggingface import gpu
from onoff_core.backends.huggingface.arrivals import Arrivals
from onoff_core.backends.huggingface.head import Head, hidden_states
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.token_statistics import Columns, block_statistics
from onoff_core.backends.huggingface.trying import shares_prefix
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.study import DistributionSettings

logger = logging.getLogger(__name__)

_TOKENS_AT_ONCE = 4096  # of all rows, through the layers; some thousand keep a GPU's multipliers busy
# A narrow model's pass over so many is shorter than the time to start its operations: it takes more, up to this.
_MOST_TOKENS = 16_384
_STATES_AT_ONCE = _TOKENS_AT_ONCE * 4096  # tokens x the width of a hidden state, in a GPU
_FEWEST_TOKENS = 256
_ROWS_OF_A_TILE = 128  # of a matrix product on a GPU; a slice that ends within one computes it all the same
_KEPT_PER_TOKEN = 4  # prompts are copied for each row: keys and values of at most so many times the tokens at once
_LOGITS_PER_SLICE = 24_000_000  # of the output matrix: 96 MB in float32, and a few times that for the statistics
_BYTES_PER_FUSED_SLICE = 160_000_000  # of logits, where one kernel reads them and copies nothing


@dataclass(frozen=True)
class _Prompt:
    """A prompt, computed once."""

    token_ids: list[int]
    cache: DynamicCache | None  # None: it is computed with every response
    last: Tensor | None  # (hidden,) of its last token, which predicts a response's first


def score_many(
    loaded: LoadedModel,
    prompt_ids: Sequence[int],
    responses: Sequence[Sequence[int]],
    settings: DistributionSettings,
    max_rows: int | None = None,
) -> Iterator[Columns]:
    """The columns of each response, in order. Where memory does not suffice, half as many tokens are tried, and the
    model is remembered to take no more.
    """
    head, waiting = Head(loaded), list(responses)
    shared: _Prompt | None = None
    begun: _Begun | None = None
    while waiting:
        tokens = loaded.learnt.scored_tokens or _tokens_at_once(loaded, settings)
        if _goes_along(prompt_ids, waiting, tokens):
            prompt = _Prompt(list(prompt_ids), None, None)
        else:
            prompt = shared = shared or _prompt(loaded, prompt_ids)
        group = waiting[: min(_group_size(prompt, waiting, tokens), max_rows or len(waiting))]
        following, failure = None, None
        try:
            following = _begin(loaded, head, prompt, group, settings, tokens)
        except (RuntimeError, MemoryError) as error:
            failure = error
        if begun is not None:  # now that the device has the next group to do
            yield from begun.columns()
        begun = following
        if failure is not None:
            _take_fewer(loaded, tokens, failure)
            continue
        del waiting[: len(group)]
        if begun is not None and settings.top_k is None:  # too large for two groups at once
            yield from begun.columns()
            begun = None
    if begun is not None:
        yield from begun.columns()


def _take_fewer(loaded: LoadedModel, tokens: int, failure: Exception) -> None:
    """Go on with half as many tokens at once. Raises the failure where that cannot help."""
    if not is_out_of_memory(failure) or tokens <= _FEWEST_TOKENS:
        raise failure
    failure.__traceback__ = None  # it keeps the failed group's tensors alive
    loaded.learnt.scored_tokens = tokens // 2
    logger.warning("%s: out of memory scoring %d tokens at once; going on with half", loaded.name, tokens)
    gc.collect()
    torch.cuda.empty_cache()


def _tokens_at_once(loaded: LoadedModel, settings: DistributionSettings) -> int:
    if loaded.device.type == "cpu" or settings.top_k is None:
        return _TOKENS_AT_ONCE
    width = int(loaded.model.config.get_text_config().hidden_size)
    return max(_TOKENS_AT_ONCE, min(_MOST_TOKENS, _STATES_AT_ONCE // width))


def _goes_along(prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], tokens: int) -> bool:
    """Whether to compute the prompt again with each response.

    Over a cache, attention needs a mask, which keeps the fastest kernels out. An H100 scored 1,024 tokens after a
    prompt of 150 up to 1.4 times as fast without one.
    """
    longest = max(map(len, responses))
    return len(prompt_ids) <= longest and len(prompt_ids) + longest <= tokens


def _group_size(prompt: _Prompt, responses: Sequence[Sequence[int]], tokens: int) -> int:
    """How many of the next responses go together: one at least, whatever its length."""
    longest, count, length = 0, 0, len(prompt.token_ids)
    for response in responses:
        longest = max(longest, len(response))
        rows, computed = count + 1, longest if prompt.cache is not None else length + longest
        if count and (rows * computed > tokens or rows * (length + longest) > _KEPT_PER_TOKEN * tokens):
            break
        count = rows
    return count


def _prompt(loaded: LoadedModel, prompt_ids: Sequence[int]) -> _Prompt:
    if not shares_prefix(loaded):
        return _Prompt(list(prompt_ids), None, None)
    cache = DynamicCache()
    hidden = hidden_states(loaded, torch.tensor([list(prompt_ids)], device=loaded.device), cache)
    return _Prompt(list(prompt_ids), cache, hidden[0, -1])


@dataclass(frozen=True)
class _Begun:
    """A group whose work is on the device, or done."""

    arrivals: Arrivals
    lengths: list[int]

    def columns(self) -> list[Columns]:
        """Those of each response; waits for the device."""
        columns, ends = self.arrivals.columns(), np.cumsum(self.lengths).tolist()
        return [
            {name: column[end - length : end] for name, column in columns.items()}
            for length, end in zip(self.lengths, ends, strict=True)
        ]


@torch.inference_mode()
def _begin(
    loaded: LoadedModel,
    head: Head,
    prompt: _Prompt,
    responses: Sequence[Sequence[int]],
    settings: DistributionSettings,
    tokens: int,
) -> _Begun:
    longest = max(map(len, responses))
    ids = torch.zeros((len(responses), longest), dtype=torch.long)
    for row, response in enumerate(responses):
        ids[row, : len(response)] = torch.tensor(list(response))
    ids = ids.to(loaded.device)
    hidden = _after_prompt(loaded, prompt, ids, tokens)  # (rows, longest, hidden)
    lengths = [len(response) for response in responses]
    states = torch.cat([hidden[row, :length] for row, length in enumerate(lengths)])
    targets = torch.cat([ids[row, :length] for row, length in enumerate(lengths)]).to(states.device)
    del hidden
    share = tokens / _tokens_at_once(loaded, settings)
    return _Begun(
        _in_slices(head, states, targets, int(share * _logits_at_once(head, states, settings)), settings), lengths
    )


def _logits_at_once(head: Head, states: Tensor, settings: DistributionSettings) -> int:
    dtype = head.loaded.model.dtype
    fused = settings.top_k is not None and gpu.can_run(states.device, dtype)
    return _BYTES_PER_FUSED_SLICE // dtype.itemsize if fused else _LOGITS_PER_SLICE


def _after_prompt(loaded: LoadedModel, prompt: _Prompt, ids: Tensor, tokens: int) -> Tensor:
    """The hidden states (rows, longest, hidden) that predict each of `ids`: the prompt's last, and all but the last of
    the responses' own.
    """
    rows, longest = ids.shape
    if prompt.cache is None or prompt.last is None:
        whole = torch.cat([torch.tensor([prompt.token_ids], device=ids.device).expand(rows, -1), ids[:, :-1]], -1)
        return hidden_states(loaded, whole, None)[:, len(prompt.token_ids) - 1 :]
    cache = DynamicCache()
    for number, layer in enumerate(prompt.cache.layers):
        cache.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), number)
    parts = [prompt.last.expand(rows, 1, -1)]
    at_once = max(1, tokens // rows)
    for begin in range(0, longest - 1, at_once):
        part = hidden_states(loaded, ids[:, begin : min(begin + at_once, longest - 1)], cache)
        parts.append(part.to(parts[0].device))
    return torch.cat(parts, 1)


def _in_slices(
    head: Head, states: Tensor, targets: Tensor, logits_at_once: int, settings: DistributionSettings
) -> Arrivals:
    """Statistics of every token, a slice at a time. Whole vocabularies are waited for slice by slice, for those of a
    response are what memory is kept free of, a host's pages that cannot be moved too.
    """
    size = max(1, logits_at_once // head.loaded.vocab_size)
    if size > _ROWS_OF_A_TILE:
        size -= size % _ROWS_OF_A_TILE
    arrivals = Arrivals(len(states), overlapping=settings.top_k is not None)
    for begin in range(0, len(states), size):
        logits = head(states[begin : begin + size])
        arrivals.add(block_statistics(logits, targets[begin : begin + size].to(logits.device), settings))
    return arrivals
