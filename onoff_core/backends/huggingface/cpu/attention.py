"""Attention of one new token a row over a `SlotCache`: one softmax over the row's prompt and its own tokens.

Reached through transformers' `AttentionInterface`, so any model whose attention goes through it works without its code
being known here: grouped queries, sliding windows and soft caps are handled, anything else is refused by name. Since an
unregistered mask function makes transformers pass no mask, all masking is done here. Compiled (`kernels`) for float32
and bfloat16 on a CPU, in tensor operations elsewhere and with soft caps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

from onoff_core.backends.huggingface.cpu import kernels
from onoff_core.backends.huggingface.cpu.slots import SlotLayer, Step, for_kernels

ATTENTION_NAME = "onoff_slots"
_UNLIMITED = 2**62  # more tokens than any sequence has
# What models pass along without meaning for a single token over a cache.
_WITHOUT_EFFECT = {
    "position_ids",
    "use_cache",
    "is_causal",
    "cache_position",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",  # of a mixture of experts, passed down to every layer
}
# In words, for the log of a model that is decoded more slowly.
_UNKNOWN_HERE = {"s_aux": "attention sinks"}


def slot_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Any,
    value: Any,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query: (rows, heads, 1, head_dim); `key` and `value` are the `SlotLayer`. Returns (rows, 1, heads, head_dim)."""
    unknown = [name for name, given in kwargs.items() if given is not None and name not in _WITHOUT_EFFECT]
    if unknown or attention_mask is not None or not isinstance(key, SlotLayer):
        named = [_UNKNOWN_HERE.get(name, f"attention with {name}") for name in unknown]
        raise NotImplementedError(", ".join(named) or "a mask or cache of another kind")
    layer, step = key, key.cache.current_step
    rows, heads, _, head_dim = query.shape
    kv_heads = layer.keys.shape[1]
    scale = scaling if scaling is not None else head_dim**-0.5
    if layer.is_compiled and softcap is None:
        return _compiled(query.float(), layer, step, scale, sliding_window).to(query.dtype), None
    q = (query * scale).to(layer.prefix_keys.dtype).view(rows, kv_heads, heads // kv_heads, head_dim)
    scores = torch.cat([_over_prompts(q, layer, step), _over_own(q, layer, step)], -1)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores += _mask(step, sliding_window, scores.dtype)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(layer.prefix_values.dtype)
    columns = step.sharing.prompt_columns
    output = _from_prompts(weights[..., :columns], layer, step)
    for begin, end, own in step.blocks:
        values = layer.values[begin:end, :, :own].to(weights.dtype)
        output[begin:end] += weights[begin:end, ..., columns : columns + own] @ values
    return output.reshape(rows, 1, heads, -1).to(query.dtype), None


def _compiled(query: Tensor, layer: SlotLayer, step: Step, scale: float, window: int | None) -> Tensor:
    """(rows, 1, heads, head_dim), by one pass over each row's own tokens and its prompt's."""
    rows, heads = query.shape[:2]
    output = query.new_empty((rows, 1, heads, layer.values.shape[-1]))
    kept = kernels.Kept(
        for_kernels(layer.keys),
        for_kernels(layer.values),
        step.own_index.numpy(),
        layer.prefix_keys.numpy(),
        layer.prefix_values.numpy(),
        layer.cache.prompt_slot,
        step.sharing.prompt_length.numpy(),
    )
    parts = kernels.threads(torch.get_num_threads())
    window = window or _UNLIMITED
    kernels.attend(query[:, :, 0].contiguous().numpy(), kept, np.float32(scale), window, output[:, 0].numpy(), parts)
    return output


def _over_prompts(q: Tensor, layer: SlotLayer, step: Step) -> Tensor:
    """Scores of each row over its prompt: (rows, kv_heads, shared, prompt_columns)."""
    keys = _prefix(layer.prefix_keys, step)
    grid = _to_grid(q, step)  # (prompts, kv_heads, places * shared, head_dim)
    return _to_rows(grid @ keys.transpose(-1, -2), q.shape[2], step)


def _from_prompts(weights: Tensor, layer: SlotLayer, step: Step) -> Tensor:
    """What each row takes from its prompt's values: (rows, kv_heads, shared, head_dim)."""
    values = _prefix(layer.prefix_values, step)
    return _to_rows(_to_grid(weights, step) @ values, weights.shape[2], step)


def _over_own(q: Tensor, layer: SlotLayer, step: Step) -> Tensor:
    """Scores of each row over its own tokens: (rows, kv_heads, shared, own_columns)."""
    if len(step.blocks) == 1:
        return q @ layer.keys[: step.rows, :, : step.own_columns].to(q.dtype).transpose(-1, -2)
    scores = q.new_zeros((*q.shape[:3], step.own_columns))
    for begin, end, columns in step.blocks:
        keys = layer.keys[begin:end, :, :columns].to(q.dtype)
        scores[begin:end, ..., :columns] = q[begin:end] @ keys.transpose(-1, -2)
    return scores


def _prefix(stored: Tensor, step: Step) -> Tensor:
    """The keys or values of the prompts in flight, (prompts, kv_heads, prompt_columns, head_dim); a view where
    possible.
    """
    sharing = step.sharing
    if sharing.first_slot is not None:
        return stored[sharing.first_slot : sharing.first_slot + len(sharing.slots), :, : sharing.prompt_columns]
    return stored[sharing.slots, :, : sharing.prompt_columns]


def _to_grid(of_rows: Tensor, step: Step) -> Tensor:
    """(rows, kv_heads, shared, n) -> (prompts, kv_heads, places * shared, n)"""
    sharing = step.sharing
    ordered = of_rows if sharing.gather is None else of_rows[sharing.gather]
    return ordered.view(len(sharing.slots), -1, *of_rows.shape[1:]).transpose(1, 2).flatten(2, 3)


def _to_rows(of_grid: Tensor, shared: int, step: Step) -> Tensor:
    """(prompts, kv_heads, places * shared, n) -> (rows, kv_heads, shared, n)"""
    prompts, kv_heads, _, n = of_grid.shape
    rows = of_grid.view(prompts, kv_heads, -1, shared, n).transpose(1, 2).flatten(0, 1)
    return rows if step.sharing.gather is None else rows[step.sharing.place]


def _mask(step: Step, window: int | None, dtype: torch.dtype) -> Tensor:
    """What each row may see of its prompt's columns and its own: (rows, 1, 1, columns), 0 or -inf."""
    if window not in step.masks:
        sharing, device = step.sharing, step.position.device
        prompt = torch.arange(sharing.prompt_columns, device=device)[None]
        own = torch.arange(step.own_columns, device=device)[None]
        length = sharing.prompt_length[:, None]
        visible = torch.cat([prompt < length, own <= step.own_index[:, None]], -1)
        if window is not None:
            at = torch.cat([prompt.expand(step.rows, -1), own + length], -1)
            visible &= step.position[:, None] - at < window
        mask = torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill_(~visible, -torch.inf)
        step.masks[window] = mask[:, None, None]
    return step.masks[window]


AttentionInterface.register(ATTENTION_NAME, slot_attention)


@contextmanager
def attention_by_slots(model: PreTrainedModel) -> Iterator[None]:
    """Run the model's attention over a `SlotCache` inside this block."""
    config = model.config.get_text_config()
    usual = config._attn_implementation
    config._attn_implementation = ATTENTION_NAME
    try:
        yield
    finally:
        config._attn_implementation = usual
