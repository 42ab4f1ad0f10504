"""Draw responses. In: prompts as token ids, and which responses to draw. Out: responses as they end, in any order.

What holds, whichever decoder runs: the uniform numbers of a response depend on (seed, problem_id, sample_index) only.
Its tokens then depend on its logits, which floating-point arithmetic computes equal up to rounding whatever shares
the batch; where a uniform number falls within that rounding of a boundary between two tokens a response may differ from
there on. Measured, alone against 64 rows, float32, temperature 1: one token in 1,450 of SmolLM2-135M (`docs/speed.md`).
"""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence

import torch

from onoff_core.backends.contract import OnTokens
from onoff_core.backends.huggingface import continuous, cpu
from onoff_core.backends.huggingface.generate import generate_batches
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.huggingface.trying import shares_prefix
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.backends.requests import Request, Response
from onoff_core.errors import ModelError
from onoff_core.study import SamplingSettings

logger = logging.getLogger(__name__)


def decode(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: SamplingSettings,
    seed: int,
    on_tokens: OnTokens = lambda tokens: None,
) -> Iterator[Response]:
    """Draw all requests, yielding each response when it ends. Requests to one prompt should stand side by side.

    `batch_size` responses are decoded side by side. Where they do not fit into memory, half as many are tried, and the
    model is remembered to take no more; what had ended is kept, and what had not is drawn again, equal to what it was.
    """

    def remember(rows: int) -> None:
        loaded.learnt.max_rows = rows

    yield from in_fewer_rows(
        loaded.name,
        requests,
        min(sampling.batch_size, loaded.learnt.max_rows or sampling.batch_size),
        lambda todo, rows: _decoder(loaded, todo, sampling, seed, rows, on_tokens),
        "in flight; lower sampling.max_length, or load it on a larger or on several devices (device_map: auto)",
        remember,
    )


def in_fewer_rows(
    name: str,
    requests: Sequence[Request],
    rows: int,
    draw: Callable[[list[Request], int], Iterator[Response]],
    advice: str,
    remember: Callable[[int], None] = lambda rows: None,
) -> Iterator[Response]:
    """What `draw` yields of the requests, `rows` side by side, and half as many where these do not fit into memory.
    What had ended is kept, and what had not is drawn again. `remember` is told each smaller number; `advice` ends the
    error of a single response that does not fit.
    """
    waiting = {(request.problem_id, request.sample_index): request for request in requests}
    while waiting:
        try:
            for response in draw(list(waiting.values()), rows):
                del waiting[response.request.problem_id, response.request.sample_index]
                yield response
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if rows == 1:
                raise ModelError(f"models.{name}: out of memory with a single response {advice}") from error
            logger.warning("%s: out of memory with %d rows; going on with %d", name, rows, rows // 2)
            rows //= 2
            remember(rows)
        free_memory()  # outside the handler, whose traceback holds the tensors that did not fit


def _decoder(
    loaded: LoadedModel,
    requests: list[Request],
    sampling: SamplingSettings,
    seed: int,
    rows: int,
    on_tokens: OnTokens,
) -> Iterator[Response]:
    """The one place that chooses how to decode.

    On CUDA with flash attention, transformers' continuous batching: paged caches and CUDA graphs. Without flash
    attention it has neither, and an H100 decoded 2.5 and 1.9 times as fast by our own loop (64 rows, 135M and 8B). So
    our loop comes first there, as on a CPU; `generate` where nothing else can. Continuous batching draws in a thread of
    the library's, which cannot be told to put a token in, so a thinking budget leaves the other two.
    """
    on_cuda = loaded.device.type == "cuda" and all(request.forcing is None for request in requests)
    if on_cuda and "flash" in loaded.model.config.get_text_config()._attn_implementation and _is_batched(loaded):
        return continuous.continuous_batches(loaded, requests, sampling, seed, rows, on_tokens)
    reason = cpu.supports(loaded)
    if reason is None:
        shares = all(not request.begun for request in requests) or shares_prefix(loaded)
        return cpu.decode(loaded, requests, sampling, seed, rows, on_tokens, shares)
    logger.info("%s has %s: not decoded by our own loop", loaded.name, reason)
    if on_cuda and _is_batched(loaded):
        return continuous.continuous_batches(loaded, requests, sampling, seed, rows, on_tokens)
    logger.info("%s is decoded by transformers' generate, batch by batch, which is slower", loaded.name)
    return generate_batches(loaded, requests, sampling, seed, rows, on_tokens)


def _is_batched(loaded: LoadedModel) -> bool:
    """Whether continuous batching can decode it; the log says why where it cannot."""
    reason = continuous.supports(loaded)
    if reason is not None:
        logger.info("%s has %s: not decoded by continuous batching", loaded.name, reason)
    return reason is None


def free_memory() -> None:
    """Give back what a decoder that ended has left."""
    gc.collect()  # a cache and its layers point to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
