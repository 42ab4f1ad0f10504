"""The two halves of a model: its layers, and its output matrix with whatever it does to logits after that.

Layers are fastest on thousands of tokens at once, but the logits of so many do not fit into memory with a large
vocabulary. Run one after the other, the layers see many tokens and the output matrix a slice of them at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from onoff_core.backends.huggingface.cpu.packing import packed_linears
from onoff_core.backends.huggingface.loading import LoadedModel


def layers_of(loaded: LoadedModel) -> torch.nn.Module:
    """The model without its output matrix. Raises `NotImplementedError` where a family keeps no such part."""
    named: torch.nn.Module = loaded.model.base_model
    if named is not loaded.model:
        return named
    parts = [part for part in loaded.model.children() if isinstance(part, PreTrainedModel)]
    if len(parts) != 1:
        raise NotImplementedError("no layers apart from its output")
    return parts[0]


@torch.inference_mode()
def hidden_states(loaded: LoadedModel, ids: Tensor, cache: DynamicCache | None) -> Tensor:
    """What the layers make of `ids` (rows, tokens): (rows, tokens, hidden). The cache grows by all tokens."""
    with packed_linears(loaded):
        kept = {} if cache is None else {"past_key_values": cache}
        output = layers_of(loaded)(input_ids=ids, use_cache=cache is not None, **kept)
    result: Tensor = output.last_hidden_state
    return result


class Head:
    """hidden (tokens, hidden) -> logits (tokens, vocab).

    The model's own forward runs, over layers that answer with what they are told: so soft caps, scales and whatever
    else a family does to its logits are done by its own code.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded, self.layers = loaded, layers_of(loaded)
        self._answer_type = _answer_type(loaded)

    @torch.inference_mode()
    def __call__(self, hidden: Tensor) -> Tensor:
        answer = self._answer_type(last_hidden_state=hidden[None])
        ids = torch.zeros((1, len(hidden)), dtype=torch.long, device=self.loaded.device)
        with _answering(self.layers, answer), packed_linears(self.loaded):
            logits: Tensor = self.loaded.model(input_ids=ids, use_cache=False).logits[0]
        return logits


@torch.inference_mode()
def _answer_type(loaded: LoadedModel) -> Any:
    """The class of what the layers answer, which is the family's own."""
    return type(layers_of(loaded)(input_ids=torch.zeros((1, 1), dtype=torch.long, device=loaded.device)))


@contextmanager
def _answering(layers: torch.nn.Module, answer: Any) -> Iterator[None]:
    """Have the layers answer this inside the block. accelerate may have put a `forward` of its own on the module."""
    usual = vars(layers).get("forward")
    layers.forward = lambda *args, **kwargs: answer
    try:
        yield
    finally:
        if usual is None:
            del layers.forward
        else:
            layers.forward = usual
