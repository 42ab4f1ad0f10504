"""Look behind every token of a response: one forward pass, and statistics of each position's distribution.

In: a prompt and the responses to it, as token ids. Out: one `TokenScores` a response. The prompt is computed once and
shared. A response goes through the model in segments, so that memory holds the logits of one segment and never of a
whole response.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.loading import LoadedModel
from onoff_core.errors import ModelError
from onoff_core.study import DistributionSettings

# A segment's logits take at most this many numbers; a handful of such blocks are alive at once.
_LOGITS_PER_SEGMENT = 16_000_000

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class TokenScores:
    """What the model thought at every token of one response. All in nats, of the distribution at the settings'
    temperature.
    """

    logprob: Floats  # (num_tokens,) of the token that was sampled
    rank: Ints  # (num_tokens,) of that token, 1 is the most probable
    entropy: Floats  # (num_tokens,) over the whole vocabulary
    varentropy: Floats  # (num_tokens,) variance of the surprisal, nats^2
    logsumexp: Floats  # (num_tokens,) logit = logprob + logsumexp, logits after division by the temperature
    tail_mass: Floats  # (num_tokens,) probability outside the top-k
    topk_ids: Ints | None  # (num_tokens, k) by falling probability; None: the whole vocabulary in the order of ids
    topk_logprobs: Floats  # (num_tokens, k) never renormalised


def score(
    loaded: LoadedModel,
    prompt_ids: Sequence[int],
    responses: Sequence[Sequence[int]],
    settings: DistributionSettings,
) -> Iterator[TokenScores]:
    """Score the responses to one prompt, in order. Raises `ModelError` where one is longer than the model can take."""
    longest = len(prompt_ids) + max(map(len, responses), default=0)
    if loaded.max_positions is not None and longest > loaded.max_positions:
        raise ModelError(
            f"models.{loaded.name}: prompt and response are {longest} tokens, "
            f"but the model takes {loaded.max_positions}"
        )
    prefix = DynamicCache()
    first = _logits(loaded, prompt_ids, prefix, logits_to_keep=1)  # (1, vocab)
    for token_ids in responses:
        yield _score_one(loaded, prefix, first, token_ids, settings)
        prefix.crop(len(prompt_ids) - prefix.get_seq_length())  # a negative number: so many from the end


@torch.inference_mode()
def _logits(loaded: LoadedModel, token_ids: Sequence[int], cache: DynamicCache, logits_to_keep: int) -> Tensor:
    """The next-token logits (tokens, vocab) after each of the last `logits_to_keep` tokens (0: all), which are added
    to the cache.
    """
    ids = torch.tensor([list(token_ids)], device=loaded.device)
    result = loaded.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=logits_to_keep)
    logits: Tensor = result.logits[0]
    return logits


def _score_one(
    loaded: LoadedModel, prefix: DynamicCache, first: Tensor, token_ids: Sequence[int], settings: DistributionSettings
) -> TokenScores:
    """One response after its prompt. The first token is predicted by the prompt's last logits, the others segment by
    segment.
    """
    if not token_ids:
        raise ModelError(f"models.{loaded.name}: a response without tokens cannot be scored")
    targets = torch.tensor(list(token_ids), device=loaded.device)
    segment = max(1, _LOGITS_PER_SEGMENT // first.shape[-1])
    parts = [_statistics(first, targets[:1], settings)]
    for begin in range(0, len(token_ids) - 1, segment):
        end = min(begin + segment, len(token_ids) - 1)
        logits = _logits(loaded, token_ids[begin:end], prefix, logits_to_keep=0)
        parts.append(_statistics(logits, targets[begin + 1 : end + 1], settings))
    columns = {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}
    if not np.isfinite(columns["entropy"]).all():
        position = int(np.flatnonzero(~np.isfinite(columns["entropy"]))[0])
        raise ModelError(
            f"models.{loaded.name}: the logits at position {position} are not finite; try torch_dtype: float32"
        )
    return TokenScores(**columns) if "topk_ids" in columns else TokenScores(**columns, topk_ids=None)


@torch.inference_mode()
def _statistics(logits: Tensor, targets: Tensor, settings: DistributionSettings) -> dict[str, Tensor]:
    """Statistics of each row. logits: (n, vocab), targets: (n,).

    With z = logits / T shifted by its maximum, S = sum e^z and p = e^z / S: ln p = z - ln S, the entropy is H = -sum
    p ln p = ln S - sum p z, and the varentropy is sum p (ln p)^2 - H^2 = sum p z^2 - (sum p z)^2. The shift keeps
    every term small, which is what makes float32 enough.
    """
    scaled = logits.float()
    if settings.temperature != 1:
        scaled = scaled / settings.temperature
    top = scaled.amax(-1, keepdim=True)
    z = scaled - top
    weights = z.exp()
    total = weights.sum(-1)
    log_total = total.log()
    chosen = z.gather(-1, targets[:, None])
    rank = (z > chosen).sum(-1) + 1
    mean = torch.linalg.vecdot(weights, z) / total
    square = torch.linalg.vecdot(weights.mul_(z), z) / total
    columns = {
        "logprob": chosen[:, 0] - log_total,
        "rank": rank.int(),
        "entropy": (log_total - mean).clamp_(min=0),
        "varentropy": (square - mean * mean).clamp_(min=0),
        "logsumexp": top[:, 0] + log_total,
    }
    if settings.top_k is None:
        return {**columns, "topk_logprobs": z - log_total[:, None], "tail_mass": torch.zeros_like(mean)}
    values, ids = torch.topk(z, min(settings.top_k, z.shape[-1]))
    logprobs = values - log_total[:, None]
    return {
        **columns,
        "topk_ids": ids.int(),
        "topk_logprobs": logprobs,
        "tail_mass": (1 - logprobs.exp().sum(-1)).clamp_(min=0),
    }
