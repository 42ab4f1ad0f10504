"""Look behind every token of a response: one forward pass, and statistics of each position's distribution.

In: a prompt and the responses to it, as token ids. Out: one `TokenScores` a response. The prompt is computed once and
shared. On a CPU a response goes through the model in segments, so that memory holds the logits of one segment and never
of a whole response; on a GPU see `many_tokens`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.many_tokens import score_many
from onoff_core.backends.huggingface.token_statistics import Columns, token_statistics
from onoff_core.backends.huggingface.trying import cached_logits, parts_head, plain_logits, shares_prefix
from onoff_core.backends.requests import TokenScores
from onoff_core.errors import ModelError
from onoff_core.study import DistributionSettings

# A segment's logits are at most so many numbers (64 MB in float32): what bounds memory, whatever the response's length.
_LOGITS_PER_SEGMENT = 16_000_000


def score(
    loaded: LoadedModel,
    prompt_ids: Sequence[int],
    responses: Sequence[Sequence[int]],
    settings: DistributionSettings,
) -> Iterator[TokenScores]:
    """Score the responses to one prompt, in order.

    Raises `ModelError` where a response is empty, longer than the model can take, or has logits that are not numbers;
    the responses before it have been yielded by then.
    """
    fitting = 0
    while fitting < len(responses) and _misfit(loaded, len(prompt_ids), len(responses[fitting])) is None:
        fitting += 1
    for columns in _columns(loaded, prompt_ids, responses[:fitting], settings):
        yield _token_scores(loaded, columns)
    if fitting < len(responses):
        raise ModelError(_misfit(loaded, len(prompt_ids), len(responses[fitting])))


def _columns(
    loaded: LoadedModel, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
) -> Iterator[Columns]:
    """The one place that chooses how to score: many tokens at once on a GPU, one response after the other on a CPU."""
    on_cpu = _is_cpu(loaded)
    if on_cpu and shares_prefix(loaded):
        yield from _one_by_one(loaded, prompt_ids, responses, settings)
    elif parts_head(loaded):
        yield from score_many(loaded, prompt_ids, responses, settings, max_rows=1 if on_cpu else None)
    elif shares_prefix(loaded):
        yield from _one_by_one(loaded, prompt_ids, responses, settings)
    else:
        for token_ids in responses:
            yield _whole(loaded, prompt_ids, token_ids, settings)


def _is_cpu(loaded: LoadedModel) -> bool:
    return loaded.device.type == "cpu"


def _one_by_one(
    loaded: LoadedModel, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
) -> Iterator[Columns]:
    if not responses:
        return
    prefix = DynamicCache()
    first = cached_logits(loaded, prompt_ids, prefix, logits_to_keep=1)  # (1, vocab)
    for token_ids in responses:
        yield _score_one(loaded, prefix, first, token_ids, settings)
        prefix.crop(len(prompt_ids) - prefix.get_seq_length())  # a negative number: so many from the end


def _whole(
    loaded: LoadedModel, prompt_ids: Sequence[int], token_ids: Sequence[int], settings: DistributionSettings
) -> Columns:
    """Prompt and response in one forward pass; memory grows with their length."""
    logits = plain_logits(loaded, [*prompt_ids, *token_ids])[len(prompt_ids) - 1 : -1]
    targets = torch.tensor(list(token_ids), device=loaded.device)
    return token_statistics(logits, targets, settings)


def _misfit(loaded: LoadedModel, prompt: int, response: int) -> str | None:
    """Why a response of so many tokens cannot be scored; None: it can."""
    if not response:
        return "a response without tokens cannot be scored"
    if loaded.max_positions is not None and prompt + response > loaded.max_positions:
        return (
            f"prompt and response are {prompt + response} tokens, but models.{loaded.name} takes {loaded.max_positions}"
        )
    return None


def _score_one(
    loaded: LoadedModel, prefix: DynamicCache, first: Tensor, token_ids: Sequence[int], settings: DistributionSettings
) -> Columns:
    """One response after its prompt: the prompt's last logits predict its first token, its own tokens the others."""
    targets = torch.tensor(list(token_ids), device=loaded.device)
    segment = max(1, _LOGITS_PER_SEGMENT // first.shape[-1])
    parts = [token_statistics(first, targets[:1], settings)]
    for begin in range(0, len(token_ids) - 1, segment):
        end = min(begin + segment, len(token_ids) - 1)
        logits = cached_logits(loaded, token_ids[begin:end], prefix, logits_to_keep=0)
        parts.append(token_statistics(logits, targets[begin + 1 : end + 1], settings))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _token_scores(loaded: LoadedModel, columns: Columns) -> TokenScores:
    if not np.isfinite(columns["logprob"]).all() and np.isfinite(columns["entropy"]).all():
        position = int(np.flatnonzero(~np.isfinite(columns["logprob"]))[0])
        raise ModelError(
            f"models.{loaded.name} rules out the token at position {position} of the response, so it did not write it"
        )
    if not np.isfinite(columns["entropy"]).all():
        position = int(np.flatnonzero(~np.isfinite(columns["entropy"]))[0])
        raise ModelError(
            f"the logits of models.{loaded.name} at position {position} are not finite; try torch_dtype: float32"
        )
    return TokenScores(columns)
