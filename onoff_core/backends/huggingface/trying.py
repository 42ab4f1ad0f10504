"""What a model can do for the scorer, found out once a model by trying it on a few tokens.

Whether a prompt's cache can be used again after a response was put on it, and whether the output matrix can be run on
its own. A model that can do neither is scored as well: whole, and more slowly.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.huggingface.cpu.packing import packed_linears
from onoff_core.backends.huggingface.head import Head, hidden_states
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.support import other_layers, said
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.errors import ModelError

logger = logging.getLogger(__name__)

_PROMPT, _RESPONSE = [0, 1, 2, 3, 4], [2, 1, 0]


def shares_prefix(loaded: LoadedModel) -> bool:
    """Whether a prompt's cache can be used again after a response was put on it.

    It cannot where layers keep a running state (Mamba and its kin, linear attention): those models score each response
    with its prompt, in one piece.
    """
    if loaded.learnt.shares_prefix is None:
        reason = _reason_against(loaded, _try_prefix)
        loaded.learnt.shares_prefix = reason is None
        if reason is not None:
            check_causal(loaded)
            logger.info("%s has %s: every response is scored together with its prompt", loaded.name, reason)
    return loaded.learnt.shares_prefix


def check_causal(loaded: LoadedModel) -> None:
    """Raise `ModelError` where the logits of a token depend on the tokens after it, as in BERT and its kin and in
    models that diffuse text: what they say of a response has seen the response.
    """
    one, other = (plain_logits(loaded, [*_PROMPT, token])[: len(_PROMPT)] for token in _RESPONSE[:2])
    if not bool((one.isnan() | other.isnan()).any()) and not is_close(loaded, one, other):
        raise ModelError(
            f"models.{loaded.name}: what it says of a token depends on the tokens after it, so it is no model that "
            "writes text from left to right; name a causal language model"
        )


def parts_head(loaded: LoadedModel) -> bool:
    """Whether the layers and the output matrix can be run one after the other, see `Head`."""
    if loaded.learnt.parts_head is None:
        reason = _reason_against(loaded, _try_head)
        loaded.learnt.parts_head = reason is None
        if reason is not None:
            logger.info("%s has %s: it is scored without slices of its output", loaded.name, reason)
    return loaded.learnt.parts_head


def _reason_against(loaded: LoadedModel, trial: Callable[[LoadedModel], str | None]) -> str | None:
    try:
        return trial(loaded)
    except Exception as error:  # a model's own code, which may stumble in any way; running out of memory is no answer
        if is_out_of_memory(error):
            raise
        return f"{other_layers(loaded) or 'code of its own'} ({said(error)})"


def _try_prefix(loaded: LoadedModel) -> str | None:
    # Made for this model, a cache knows of running states; a plain one, which is what scoring uses, may not.
    made_for_it = DynamicCache(config=loaded.model.config)
    if not all(hasattr(layer, "keys") and not hasattr(layer, "recurrent_states") for layer in made_for_it.layers):
        return other_layers(loaded) or "a running state instead of keys and values"
    prefix = DynamicCache()
    cached_logits(loaded, _PROMPT, prefix, logits_to_keep=1)
    first = cached_logits(loaded, _RESPONSE, prefix, logits_to_keep=0)
    prefix.crop(-len(_RESPONSE))
    again = cached_logits(loaded, _RESPONSE, prefix, logits_to_keep=0)
    plain = plain_logits(loaded, _PROMPT + _RESPONSE)[-len(_RESPONSE) :]
    agree = all(is_close(loaded, found, plain) for found in (first, again))
    return None if agree else "a cache that gives other logits when it is used again"


@torch.inference_mode()
def _try_head(loaded: LoadedModel) -> str | None:
    ids = torch.tensor([_PROMPT], device=loaded.device)
    found = Head(loaded)(hidden_states(loaded, ids, None)[0])
    agree = is_close(loaded, found, plain_logits(loaded, _PROMPT))
    return None if agree else "an output that is not of its last layer's tokens alone"


def is_close(loaded: LoadedModel, found: Tensor, wanted: Tensor) -> bool:
    """Whether logits are equal but for rounding in the model's precision."""
    finite = wanted[wanted.isfinite()].abs()
    allowed = (1e-3 if loaded.model.dtype == torch.float32 else 5e-2) * max(
        1.0, float(finite.max()) if len(finite) else 0
    )
    apart = (found - wanted).abs()
    apart[found == wanted] = 0  # minus infinity of a token that cannot be, in both
    return bool((apart <= allowed).all())


@torch.inference_mode()
def plain_logits(loaded: LoadedModel, token_ids: Sequence[int]) -> Tensor:
    """The logits (tokens, vocab) that follow each token, by one forward pass without a cache."""
    ids = torch.tensor([list(token_ids)], device=loaded.device)
    logits: Tensor = loaded.model(input_ids=ids, use_cache=False).logits[0]
    return logits


@torch.inference_mode()
def cached_logits(loaded: LoadedModel, token_ids: Sequence[int], cache: DynamicCache, logits_to_keep: int) -> Tensor:
    """The logits (tokens, vocab) that follow each of the last `logits_to_keep` tokens (0: all); the cache grows by
    all.
    """
    ids = torch.tensor([list(token_ids)], device=loaded.device)
    with packed_linears(loaded):
        result = loaded.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=logits_to_keep)
    logits: Tensor = result.logits[0]
    return logits
