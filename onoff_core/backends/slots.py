"""Keys and values of many responses decoded side by side, and the attention that reads them.

Every row of a decode step is one response. Its prompt's keys and values are kept once per prompt (`prefix`), shared
by all responses to it; what it generated itself is kept in its own row (`suffix`). Attention runs over both and takes
one softmax over their union, so the result is the attention over the whole sequence. Rows differ in length; each
knows its own.

The cache is handed to the model's own forward as a transformers `Cache`; attention is reached through transformers'
`AttentionInterface`, so any model that goes through it works without its code being known here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

ATTENTION_NAME = "onoff_slots"
_GROWTH = 64  # columns are added in steps of at least this many
_SUPPORTED_KWARGS = {
    "sliding_window",
    "softcap",
    "position_ids",
    "use_cache",
    "is_causal",
    "cache_position",
    "output_attentions",
}


@dataclass
class Step:
    """What every layer of one decode step needs to know, computed once."""

    rows: int
    prompt_columns: int  # of the longest prompt in flight
    own_columns: int  # of the longest response in flight, this step's token included
    position: Tensor  # (rows,) of this step's token in its sequence
    own_index: Tensor  # (rows,) column of this step's token in its row
    gather: Tensor  # (prompts * per_prompt,) row at each place of the padded (prompt, place) grid
    place: Tensor  # (rows,) the place of each row in that grid
    prompt_slots: Tensor  # (prompts,) slot of each prompt in flight
    prompt_length: Tensor  # (rows,) of each row's prompt
    masks: dict[int | None, Tensor]  # sliding window -> (rows, 1, 1, prompt_columns + own_columns), 0 or -inf


class SlotLayer(CacheLayerMixin):
    """One layer's keys and values. Shapes (slots, kv_heads, columns, head_dim)."""

    is_sliding = False
    is_croppable = False

    def __init__(self, slots: "SlotCache") -> None:
        super().__init__()
        self.slots = slots
        self.prefix_keys: Tensor | None = None
        self.prefix_values: Tensor | None = None
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        shape = (self.slots.rows, key_states.shape[1], 0, key_states.shape[3])
        self.keys, self.values = (
            key_states.new_empty(shape),
            value_states.new_empty((*shape[:3], value_states.shape[3])),
        )

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Put this step's token into each row; the attention reads the layer itself."""
        step = self.slots.step
        rows = self.slots.row_range[: step.rows]
        self.keys[rows, :, step.own_index] = key_states[:, :, 0]
        self.values[rows, :, step.own_index] = value_states[:, :, 0]
        return self, self

    def store_prompt(self, slot: int, keys: Tensor, values: Tensor) -> None:
        """Keep a prompt's keys and values (kv_heads, length, head_dim) at `slot`, growing as needed."""
        if self.prefix_keys is None or self.prefix_values is None:
            self.lazy_initialization(keys[None], values[None])
            self.prefix_keys = keys.new_zeros((0, keys.shape[0], 0, keys.shape[2]))
            self.prefix_values = values.new_zeros((0, values.shape[0], 0, values.shape[2]))
        length = keys.shape[1]
        self.prefix_keys = _grown(_grown(self.prefix_keys, 0, slot + 1), 2, length)
        self.prefix_values = _grown(_grown(self.prefix_values, 0, slot + 1), 2, length)
        self.prefix_keys[slot, :, :length] = keys
        self.prefix_values[slot, :, :length] = values

    def reserve(self, columns: int) -> None:
        if columns > self.keys.shape[2]:
            wanted = max(columns, self.keys.shape[2] * 3 // 2, _GROWTH)
            self.keys, self.values = _grown(self.keys, 2, wanted), _grown(self.values, 2, wanted)

    def keep_rows(self, rows: Tensor) -> None:
        self.keys, self.values = self.keys[rows], self.values[rows]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0  # positions are always given; rows have lengths of their own

    def get_max_length(self) -> int:
        return -1


def _grown(tensor: Tensor, dim: int, size: int) -> Tensor:
    """The tensor with at least `size` along `dim`; what is added is zero."""
    if tensor.shape[dim] >= size:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = size
    grown = tensor.new_zeros(shape)
    grown.narrow(dim, 0, tensor.shape[dim]).copy_(tensor)
    return grown


class SlotCache(Cache):
    """All layers, and the bookkeeping they share: which row answers which prompt, and how long it is."""

    def __init__(self, model: PreTrainedModel, rows: int) -> None:
        super().__init__(layers=[])
        self.layers: list[SlotLayer] = []
        self.rows, self.device = rows, model.device
        self.row_range = torch.arange(rows, device=self.device)
        self.prompt_slot = [0] * rows  # of each row
        self.length = [0] * rows  # generated tokens whose keys are kept, of each row
        self.prompt_lengths: dict[int, int] = {}  # of each slot in use
        self.step: Step = None  # type: ignore[assignment]  # set by `begin_step`, before any layer asks

    def store_prompt(self, prefilled: DynamicCache) -> int:
        """Keep a prompt's keys and values, computed by a plain forward pass of one row; returns its slot."""
        slot = next(s for s in range(len(self.prompt_lengths) + 1) if s not in self.prompt_lengths)
        if not self.layers:
            self.layers = [SlotLayer(self) for _ in prefilled.layers]
        for layer, source in zip(self.layers, prefilled.layers, strict=True):
            layer.store_prompt(slot, source.keys[0], source.values[0])
        self.prompt_lengths[slot] = int(prefilled.layers[0].keys.shape[2])
        return slot

    def release_prompt(self, slot: int) -> None:
        del self.prompt_lengths[slot]

    def assign(self, row: int, slot: int) -> None:
        """Begin a response to the prompt at `slot` in `row`."""
        self.prompt_slot[row], self.length[row] = slot, 0

    def keep_rows(self, rows: list[int]) -> None:
        """Close the gaps: the kept rows become rows 0, 1, ... in this order."""
        index = torch.tensor(rows, device=self.device)
        for layer in self.layers:
            layer.keep_rows(index)
        self.prompt_slot = [self.prompt_slot[r] for r in rows]
        self.length = [self.length[r] for r in rows]
        self.rows = len(rows)

    def begin_step(self) -> Step:
        """Make ready for one token in every row."""
        own_columns = max(self.length[: self.rows]) + 1
        for layer in self.layers:
            layer.reserve(own_columns)
        slots = sorted(set(self.prompt_slot[: self.rows]))
        members: dict[int, list[int]] = {slot: [] for slot in slots}
        for row in range(self.rows):
            members[self.prompt_slot[row]].append(row)
        per_prompt = max(len(rows) for rows in members.values())
        gather, place = [], [0] * self.rows
        for number, slot in enumerate(slots):
            rows = members[slot]
            for offset, row in enumerate(rows):
                place[row] = number * per_prompt + offset
            gather += rows + [rows[0]] * (per_prompt - len(rows))
        tensor = lambda values: torch.tensor(values, device=self.device)  # noqa: E731
        prompt_length = tensor([self.prompt_lengths[s] for s in self.prompt_slot[: self.rows]])
        own_index = tensor(self.length[: self.rows])
        self.step = Step(
            rows=self.rows,
            prompt_columns=max(self.prompt_lengths[s] for s in slots),
            own_columns=own_columns,
            position=prompt_length + own_index,
            own_index=own_index,
            gather=tensor(gather),
            place=tensor(place),
            prompt_slots=tensor(slots),
            prompt_length=prompt_length,
            masks={},
        )
        return self.step

    def end_step(self) -> None:
        for row in range(self.rows):
            self.length[row] += 1


def _mask(step: Step, window: int | None, dtype: torch.dtype) -> Tensor:
    """What each row may see of (its prompt's columns, its own columns): (rows, 1, 1, columns), 0 or -inf."""
    if window not in step.masks:
        device = step.position.device
        prompt = torch.arange(step.prompt_columns, device=device)[None]
        own = torch.arange(step.own_columns, device=device)[None]
        visible = torch.cat([prompt < step.prompt_length[:, None], own <= step.own_index[:, None]], -1)
        if window is not None:
            at = torch.cat([prompt.expand(step.rows, -1), own + step.prompt_length[:, None]], -1)
            visible &= step.position[:, None] - at < window
        mask = torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill_(~visible, -torch.inf)
        step.masks[window] = mask[:, None, None]
    return step.masks[window]


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
    """Attention of one new token a row over its prompt and its own tokens. query: (rows, heads, 1, head_dim)."""
    unknown = [k for k, v in kwargs.items() if v is not None and k not in _SUPPORTED_KWARGS]
    if unknown or not isinstance(key, SlotLayer):
        raise NotImplementedError(f"attention with {', '.join(unknown) or 'another cache'}")
    layer, step = key, key.slots.step
    assert layer.prefix_keys is not None
    assert layer.prefix_values is not None
    rows, heads, _, head_dim = query.shape
    kv_heads = layer.keys.shape[1]
    shared = heads // kv_heads  # query heads that read the same keys
    q = (query * (scaling if scaling is not None else head_dim**-0.5)).view(rows, kv_heads, shared, head_dim)
    prompts = step.prompt_slots.shape[0]

    # (prompts, kv_heads, places * shared, head_dim): all queries of a prompt meet its keys in one product
    grid = q[step.gather].view(prompts, -1, kv_heads, shared, head_dim).transpose(1, 2).flatten(2, 3)
    prompt_keys = layer.prefix_keys[step.prompt_slots, :, : step.prompt_columns]
    prompt_values = layer.prefix_values[step.prompt_slots, :, : step.prompt_columns]
    own_keys = layer.keys[: step.rows, :, : step.own_columns]
    own_values = layer.values[: step.rows, :, : step.own_columns]

    to_prompt = grid @ prompt_keys.transpose(-1, -2)
    to_prompt = (
        to_prompt.view(prompts, kv_heads, -1, shared, step.prompt_columns).transpose(1, 2).flatten(0, 1)[step.place]
    )
    scores = torch.cat([to_prompt, q @ own_keys.transpose(-1, -2)], -1)  # (rows, kv_heads, shared, columns)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    weights = torch.softmax((scores + _mask(step, sliding_window, scores.dtype)).float(), -1).to(own_values.dtype)

    over_prompt = weights[..., : step.prompt_columns][step.gather]
    over_prompt = over_prompt.view(prompts, -1, kv_heads, shared, step.prompt_columns).transpose(1, 2).flatten(2, 3)
    from_prompt = (over_prompt @ prompt_values).view(prompts, kv_heads, -1, shared, prompt_values.shape[-1])
    output = from_prompt.transpose(1, 2).flatten(0, 1)[step.place] + weights[..., step.prompt_columns :] @ own_values
    return output.reshape(rows, 1, heads, own_values.shape[-1]), None


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
