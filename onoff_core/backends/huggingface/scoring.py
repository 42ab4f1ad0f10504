"""Look behind every token of a response: one forward pass, and statistics of each position's distribution.

In: a prompt and the responses to it, as token ids. Out: one `TokenScores` a response. The prompt is computed once and
shared. A response goes through the model in segments, so that memory holds the logits of one segment and never of a
whole response.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.huggingface.cpu.packing import packed_linears
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.token_statistics import Columns, token_statistics
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

    Raises `ModelError` where a response is empty, longer than the model can take, or has logits that are not numbers.
    """
    if not shares_prefix(loaded):
        for token_ids in responses:
            _check_length(loaded, len(prompt_ids), len(token_ids))
            yield _whole(loaded, prompt_ids, token_ids, settings)
        return
    prefix = DynamicCache()
    first = _logits(loaded, prompt_ids, prefix, logits_to_keep=1)  # (1, vocab)
    for token_ids in responses:
        _check_length(loaded, len(prompt_ids), len(token_ids))
        yield _score_one(loaded, prefix, first, token_ids, settings)
        prefix.crop(len(prompt_ids) - prefix.get_seq_length())  # a negative number: so many from the end


def shares_prefix(loaded: LoadedModel) -> bool:
    """Whether a prompt's cache can be used again after a response was put on it; found out once a model, by trying.

    It cannot where layers keep a running state (Mamba and its kin): those models score each response with its prompt,
    in one piece.
    """
    if loaded.learnt.shares_prefix is None:
        loaded.learnt.shares_prefix = _try_prefix(loaded)
    return loaded.learnt.shares_prefix


def _try_prefix(loaded: LoadedModel) -> bool:
    prompt, response = [0, 1, 2, 3, 4], [2, 1, 0]
    prefix = DynamicCache()
    try:
        _logits(loaded, prompt, prefix, logits_to_keep=1)
        first = _logits(loaded, response, prefix, logits_to_keep=0)
        prefix.crop(-len(response))
        again = _logits(loaded, response, prefix, logits_to_keep=0)
    except (AttributeError, TypeError, ValueError, RuntimeError, NotImplementedError):
        return False
    plain = _plain_logits(loaded, prompt + response)[-len(response) :]
    allowed = (1e-3 if loaded.model.dtype == torch.float32 else 5e-2) * max(1.0, float(plain.abs().max()))
    return all(float((found - plain).abs().max()) <= allowed for found in (first, again))


@torch.inference_mode()
def _plain_logits(loaded: LoadedModel, token_ids: Sequence[int]) -> Tensor:
    ids = torch.tensor([list(token_ids)], device=loaded.device)
    logits: Tensor = loaded.model(input_ids=ids, use_cache=False).logits[0]
    return logits


def _whole(
    loaded: LoadedModel, prompt_ids: Sequence[int], token_ids: Sequence[int], settings: DistributionSettings
) -> TokenScores:
    """Prompt and response in one forward pass; memory grows with their length."""
    logits = _plain_logits(loaded, [*prompt_ids, *token_ids])[len(prompt_ids) - 1 : -1]
    targets = torch.tensor(list(token_ids), device=loaded.device)
    return _token_scores(loaded, token_statistics(logits, targets, settings))


def _check_length(loaded: LoadedModel, prompt: int, response: int) -> None:
    if not response:
        raise ModelError("a response without tokens cannot be scored")
    if loaded.max_positions is not None and prompt + response > loaded.max_positions:
        raise ModelError(
            f"prompt and response are {prompt + response} tokens, but models.{loaded.name} takes {loaded.max_positions}"
        )


@torch.inference_mode()
def _logits(loaded: LoadedModel, token_ids: Sequence[int], cache: DynamicCache, logits_to_keep: int) -> Tensor:
    """The logits (tokens, vocab) that follow each of the last `logits_to_keep` tokens (0: all); the cache grows by
    all.
    """
    ids = torch.tensor([list(token_ids)], device=loaded.device)
    with packed_linears(loaded):
        result = loaded.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=logits_to_keep)
    logits: Tensor = result.logits[0]
    return logits


def _score_one(
    loaded: LoadedModel, prefix: DynamicCache, first: Tensor, token_ids: Sequence[int], settings: DistributionSettings
) -> TokenScores:
    """One response after its prompt: the prompt's last logits predict its first token, its own tokens the others."""
    targets = torch.tensor(list(token_ids), device=loaded.device)
    segment = max(1, _LOGITS_PER_SEGMENT // first.shape[-1])
    parts = [token_statistics(first, targets[:1], settings)]
    for begin in range(0, len(token_ids) - 1, segment):
        end = min(begin + segment, len(token_ids) - 1)
        logits = _logits(loaded, token_ids[begin:end], prefix, logits_to_keep=0)
        parts.append(token_statistics(logits, targets[begin + 1 : end + 1], settings))
    return _token_scores(loaded, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _token_scores(loaded: LoadedModel, columns: Columns) -> TokenScores:
    if not np.isfinite(columns["entropy"]).all():
        position = int(np.flatnonzero(~np.isfinite(columns["entropy"]))[0])
        raise ModelError(
            f"the logits of models.{loaded.name} at position {position} are not finite; try torch_dtype: float32"
        )
    return TokenScores(columns)
