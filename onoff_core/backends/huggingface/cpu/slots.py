"""Keys and values of many responses decoded side by side.

Every row of a decode step is one response. Its prompt's keys and values are kept once per prompt (`prefix`), shared
by all responses to it; what it generated itself is kept in its own row. Rows differ in length; each knows its own, so
a row that ends is given to the next response without a word to the others.

The cache is handed to the model's own forward as a transformers `Cache`; `slot_attention` reads it. Nothing here knows
tokens, sampling or when a response ends.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from onoff_core.backends.huggingface.cpu import kernels

_COLUMNS_AT_LEAST = 64  # columns are added by half of what there is, and at least so many
# Rows are read in blocks of their own width where that reads at most this share of the columns, and enough of them.
_BLOCK_ROWS = 8
_BLOCK_SHARE = 0.75
_BLOCK_COLUMNS = 128


@dataclass(frozen=True)
class Sharing:
    """Which rows share which prompt; holds until a row is assigned or removed.

    The queries of a prompt's rows meet its keys in one product, so rows are laid out in a (prompts, places) grid.
    """

    slots: Tensor  # (prompts,) slot of each prompt in flight
    first_slot: int | None  # where the slots are first_slot, first_slot + 1, ...: the first; else None
    gather: Tensor | None  # (prompts * places,) row at each place, some row where a place is empty; None: row after row
    place: Tensor  # (rows,) place of each row, counted through the whole grid
    prompt_length: Tensor  # (rows,) of each row's prompt
    prompt_columns: int  # of the longest prompt


@dataclass(frozen=True)
class Step:
    """What every layer of one decode step needs to know, computed once."""

    rows: int
    sharing: Sharing
    own_index: Tensor  # (rows,) column of this step's token in its row
    own_columns: int  # of the longest row, this step's token included
    position: Tensor  # (rows,) of this step's token in its sequence
    blocks: tuple[tuple[int, int, int], ...]  # (first row, end row, columns that hold all their tokens)
    masks: dict[int | None, Tensor] = field(default_factory=dict)  # by sliding window, filled by the attention


class SlotLayer(CacheLayerMixin):
    """One layer's keys and values: own (rows, kv_heads, columns, head_dim), prefix (slots, kv_heads, columns,
    head_dim).
    """

    is_sliding = False
    is_croppable = False

    def __init__(self, cache: "SlotCache", keys: Tensor, values: Tensor) -> None:
        """`keys` and `values`, (kv_heads, tokens, head_dim), show the shapes that will be stored."""
        super().__init__()
        self.cache = cache
        self.is_compiled = _can_be_compiled(keys) and _can_be_compiled(values)
        self.keys = keys.new_zeros((cache.rows, keys.shape[0], 0, keys.shape[2]))
        self.values = values.new_zeros((cache.rows, values.shape[0], 0, values.shape[2]))
        self.prefix_keys, self.prefix_values = self.keys[:0], self.values[:0]
        if self.is_compiled:  # a prompt is read by all its rows, and so is float32, as the kernels compute
            self.prefix_keys, self.prefix_values = self.prefix_keys.float(), self.prefix_values.float()
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: a layer is made when the first prompt shows its shapes."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Put this step's token (rows, kv_heads, 1, head_dim) into each row; the attention reads the layer itself."""
        step = self.cache.current_step
        for kept, states in ((self.keys, key_states), (self.values, value_states)):
            if self.is_compiled:
                token = states[:, :, 0].to(kept.dtype).contiguous()
                kernels.put(for_kernels(kept), step.own_index.numpy(), for_kernels(token))
            else:
                kept[self.cache.row_range[: step.rows], :, step.own_index] = states[:, :, 0]
        return self, self

    def store_prompt(self, slot: int, keys: Tensor, values: Tensor) -> None:
        """Keep a prompt's keys and values (kv_heads, length, head_dim) at `slot`, growing as needed."""
        length = keys.shape[1]
        self.prefix_keys = _grown(_grown(self.prefix_keys, 0, slot + 1), 2, length)
        self.prefix_values = _grown(_grown(self.prefix_values, 0, slot + 1), 2, length)
        self.prefix_keys[slot, :, :length] = keys
        self.prefix_values[slot, :, :length] = values

    def reserve(self, columns: int) -> None:
        if columns > self.keys.shape[2]:
            wanted = max(columns, min(max(self.keys.shape[2] * 3 // 2, _COLUMNS_AT_LEAST), self.cache.longest))
            self.keys, self.values = _grown(self.keys, 2, wanted), _grown(self.values, 2, wanted)

    def move_row(self, source: int, target: int, columns: int) -> None:
        self.keys[target, :, :columns] = self.keys[source, :, :columns]
        self.values[target, :, :columns] = self.values[source, :, :columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0  # positions are always given: rows have lengths of their own

    def get_max_length(self) -> int:
        return -1


def _can_be_compiled(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.bfloat16)


def for_kernels(tensor: Tensor) -> NDArray[Any]:
    """The tensor's memory as the kernels know it: bfloat16 by its bits."""
    array: NDArray[Any] = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


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

    def __init__(self, model: PreTrainedModel, rows: int, longest: int) -> None:
        """`longest`: no row will have more tokens of its own, so no more columns are made than that."""
        super().__init__(layers=[])
        self.layers: list[SlotLayer] = []
        self.rows, self.longest, self.device = rows, longest, model.device
        self.row_range = torch.arange(rows, device=self.device)
        self.prompt_slot = np.zeros(rows, dtype=np.int64)  # of each row
        self.length = np.zeros(rows, dtype=np.int64)  # generated tokens whose keys are kept, of each row
        self.prompt_lengths: dict[int, int] = {}  # of each slot in use
        self._sharing: Sharing | None = None
        self._step: Step | None = None

    @property
    def current_step(self) -> Step:
        assert self._step is not None, "begin_step comes before the model's forward"
        return self._step

    def store_prompt(self, prefilled: DynamicCache) -> int:
        """Keep a prompt's keys and values, computed by a plain forward pass of one row; returns its slot."""
        slot = next(s for s in range(len(self.prompt_lengths) + 1) if s not in self.prompt_lengths)
        if not self.layers:
            self.layers = [SlotLayer(self, layer.keys[0], layer.values[0]) for layer in prefilled.layers]
        for layer, source in zip(self.layers, prefilled.layers, strict=True):
            layer.store_prompt(slot, source.keys[0], source.values[0])
        self.prompt_lengths[slot] = int(prefilled.layers[0].keys.shape[2])
        return slot

    def release_prompt(self, slot: int) -> None:
        """Its slot may be given to another prompt; rows that still point to it must be assigned or removed first."""
        del self.prompt_lengths[slot]

    def assign(self, row: int, slot: int) -> None:
        """Begin a response to the prompt at `slot` in `row`."""
        self.prompt_slot[row], self.length[row] = slot, 0
        self._sharing = None

    @torch.inference_mode()
    def close_gaps(self, kept: list[int]) -> list[int]:
        """Go on with these rows alone; the last ones move into the gaps. Returns which old row each new row was."""
        count = len(kept)
        gaps = sorted(set(range(count)) - set(kept))
        order = list(range(count))
        for source, target in zip((row for row in kept if row >= count), gaps, strict=True):
            for layer in self.layers:
                layer.move_row(source, target, int(self.length[source]))
            order[target] = source
        self.prompt_slot, self.length = self.prompt_slot[order], self.length[order]
        self.rows = count
        self._sharing = None
        return order

    def begin_step(self) -> Step:
        """Make ready for one token in every row."""
        if self._sharing is None:
            self._sharing = self._share()
        own_columns = int(self.length.max()) + 1
        for layer in self.layers:
            layer.reserve(own_columns)
        own_index = torch.from_numpy(self.length.copy()).to(self.device)
        self._step = Step(
            rows=self.rows,
            sharing=self._sharing,
            own_index=own_index,
            own_columns=own_columns,
            position=self._sharing.prompt_length + own_index,
            blocks=self._blocks(own_columns),
        )
        return self._step

    def end_step(self) -> None:
        self.length += 1

    def _share(self) -> Sharing:
        slots, number = np.unique(self.prompt_slot, return_inverse=True)
        places = int(np.bincount(number).max())
        place = np.empty(self.rows, dtype=np.int64)
        gather = np.empty((len(slots), places), dtype=np.int64)
        for prompt in range(len(slots)):
            rows = np.flatnonzero(number == prompt)
            place[rows] = prompt * places + np.arange(len(rows))
            gather[prompt], gather[prompt, : len(rows)] = rows[0], rows
        in_order = gather.size == self.rows and bool((place == np.arange(self.rows)).all())
        first = int(slots[0]) if bool((np.diff(slots) == 1).all()) else None
        lengths = np.array([self.prompt_lengths[int(slot)] for slot in self.prompt_slot])
        return Sharing(
            slots=torch.from_numpy(slots).to(self.device),
            first_slot=first,
            gather=None if in_order else torch.from_numpy(gather.reshape(-1)).to(self.device),
            place=torch.from_numpy(place).to(self.device),
            prompt_length=torch.from_numpy(lengths).to(self.device),
            prompt_columns=int(lengths.max()),
        )

    def _blocks(self, own_columns: int) -> tuple[tuple[int, int, int], ...]:
        """Rows in blocks of their own width where lengths are uneven enough, else all rows at the width of the
        longest.
        """
        blocks = tuple(
            (begin, min(begin + _BLOCK_ROWS, self.rows), int(self.length[begin : begin + _BLOCK_ROWS].max()) + 1)
            for begin in range(0, self.rows, _BLOCK_ROWS)
        )
        read = sum((end - begin) * columns for begin, end, columns in blocks)
        worth_it = own_columns >= _BLOCK_COLUMNS and read <= _BLOCK_SHARE * self.rows * own_columns
        return blocks if worth_it else ((0, self.rows, own_columns),)
