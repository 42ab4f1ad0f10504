"""How transformers' `generate` can decode a model, found out once a model by trying it against a plain forward pass.

Some families take no notice of the mask that says which tokens fill a shorter prompt up (RWKV, DeepSeek-V4, BART's
decoder): their logits would be those of other prompts, without a word.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from onoff_core.backends.huggingface.loading import GenerateWay, LoadedModel
from onoff_core.backends.huggingface.support import said
from onoff_core.backends.huggingface.trying import check_causal, is_close, plain_logits
from onoff_core.backends.memory import is_out_of_memory

logger = logging.getLogger(__name__)

_LENGTHS = (5, 9, 3, 12)  # of the prompts that are tried
_STEPS = 3
_WAYS = {
    GenerateWay(padded=True, cached=True): "",
    GenerateWay(padded=False, cached=True): "prompts of one length at a time, for it sees what fills up a shorter one",
    GenerateWay(padded=False, cached=False): "without a cache, which gives it other logits; this is much slower",
}


def way_to_generate(loaded: LoadedModel) -> GenerateWay:
    """The fastest way in which a few tokens have the logits of a plain forward pass. Raises `ModelError` where the
    model looks at later tokens.
    """
    if loaded.learnt.generates is None:
        check_causal(loaded)
        loaded.learnt.generates = _found(loaded)
    return loaded.learnt.generates


def _found(loaded: LoadedModel) -> GenerateWay:
    for way, words in _WAYS.items():
        if _agrees(loaded, way):
            if words:
                logger.info("%s is decoded %s", loaded.name, words)
            return way
    logger.warning(
        "%s: transformers' generate gives other logits than a plain forward pass, which is what scores; the check "
        "scorer_agrees_with_sampler says by how much",
        loaded.name,
    )
    return GenerateWay(padded=False, cached=True)


def _agrees(loaded: LoadedModel, way: GenerateWay) -> bool:
    """In half precision most rows have to: rounding alone moves some."""
    prompts = [[(3 + 17 * n + i) % loaded.vocab_size for i in range(size)] for n, size in enumerate(_LENGTHS)]
    batches = [prompts] if way.padded else [[prompt] * 2 for prompt in prompts[:2]]
    differ = rows = 0
    for batch in batches:
        try:
            heard = _listen(loaded, batch, way)
        except Exception as error:  # a model's own code, which may stumble in any way
            if is_out_of_memory(error):
                raise
            logger.info("%s: generate stumbles: %s", loaded.name, said(error))
            return False
        for prompt, (tokens, logits) in zip(batch, heard, strict=True):
            plain = plain_logits(loaded, [*prompt, *tokens[:-1]])[-len(tokens) :]
            rows, differ = rows + 1, differ + (not is_close(loaded, logits, plain))
    return differ <= (0 if loaded.model.dtype == torch.float32 else rows // 2)


@torch.inference_mode()
def _listen(loaded: LoadedModel, prompts: Sequence[Sequence[int]], way: GenerateWay) -> list[tuple[list[int], Tensor]]:
    """Of each prompt: the most probable tokens after it, and the logits (steps, vocab) that they were taken from."""
    stop, listener = min(loaded.stop_token_ids, default=0), _Listener()
    ids, mask = left_padded(prompts, stop)
    config = GenerationConfig(do_sample=False, max_new_tokens=_STEPS, pad_token_id=stop, use_cache=way.cached)
    with without_defaults(loaded.model):
        loaded.model.generate(
            ids.to(loaded.device),
            attention_mask=mask.to(loaded.device),
            generation_config=config,
            logits_processor=LogitsProcessorList([listener]),
        )
    logits = torch.stack(listener.heard, 1)  # (prompts, steps, vocab)
    return list(zip(logits.argmax(-1).tolist(), logits, strict=True))


class _Listener(LogitsProcessor):
    """Keeps the logits of every step as they come."""

    def __init__(self) -> None:
        self.heard: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.heard.append(scores.clone())
        return scores


@contextmanager
def without_defaults(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block, `generate` takes nothing from the model's `generation_config.json`: suppressed or forced
    tokens, a least length, guidance and their like would change the logits before they reach us, and limits of time
    cut a response off.
    """
    usual, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = usual


def left_padded(prompts: Sequence[Sequence[int]], filling: int) -> tuple[Tensor, Tensor]:
    """Token ids and their mask, each (prompts, longest): shorter prompts are filled up at their left."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), filling)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    return ids, mask
