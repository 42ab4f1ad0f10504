"""Draw responses. In: prompts as token ids, and which responses to draw. Out: responses as they end, in any order.

What holds, whichever decoder runs: the uniform numbers of a response depend on (seed, problem_id, sample_index) only.
Its tokens then depend on its logits, which floating-point arithmetic computes equal up to rounding whatever shares
the batch; where a uniform number falls within that rounding of a boundary between two tokens (about one token in 10^5
in float32) a response may differ from there on.
"""

import gc
import logging
from collections.abc import Iterator, Sequence

import torch

from onoff_core.backends.continuous_decoding import continuous_batches, why_not_continuous
from onoff_core.backends.generate_decoding import generate_batches
from onoff_core.backends.loading import LoadedModel
from onoff_core.backends.responses import OnTokens, Request, Response
from onoff_core.backends.slot_decoding import SlotLoop, why_not_slots
from onoff_core.errors import ModelError
from onoff_core.study import SamplingSettings

__all__ = ["Request", "Response", "decode"]

logger = logging.getLogger(__name__)

_NO_MEMORY = (
    "DefaultCPUAllocator",
    "not enough memory",
    "could not create a memory object",
    "out of memory",
    "is more than available memory",
)
_MAX_ROWS = "max_rows"  # what a run has learnt of how many rows fit, in `LoadedModel.remembered`


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
    waiting = {(request.problem_id, request.sample_index): request for request in requests}
    while waiting:
        rows = min(sampling.batch_size, loaded.remembered.get(_MAX_ROWS, sampling.batch_size))
        try:
            for response in _decoder(loaded, list(waiting.values()), sampling, seed, rows, on_tokens):
                del waiting[response.request.problem_id, response.request.sample_index]
                yield response
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if rows == 1:
                raise ModelError(
                    f"models.{loaded.name}: out of memory with a single response in flight; "
                    "lower sampling.max_length, or load it on a larger or on several devices (device_map: auto)"
                ) from error
            loaded.remembered[_MAX_ROWS] = rows // 2
            logger.warning("%s: out of memory with %d rows; going on with %d", loaded.name, rows, rows // 2)
        _free_memory()


def _decoder(
    loaded: LoadedModel,
    requests: list[Request],
    sampling: SamplingSettings,
    seed: int,
    rows: int,
    on_tokens: OnTokens,
) -> Iterator[Response]:
    """The one place that chooses how to decode.

    On CUDA, transformers' continuous batching: paged caches and CUDA graphs are worth more there than anything done in
    Python a step. Elsewhere our own loop, which was twice as fast on a CPU. `generate` where neither can.
    """
    if loaded.device.type == "cuda" and why_not_continuous(loaded) is None:
        return continuous_batches(loaded, requests, sampling, seed, rows, on_tokens)
    reason = why_not_slots(loaded)
    if reason is None:
        return SlotLoop(loaded, requests, sampling, seed, rows, on_tokens).run()
    logger.info("%s: %s; decoding with transformers' generate, batch by batch", loaded.name, reason)
    return generate_batches(loaded, requests, sampling, seed, rows, on_tokens)


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has an exception of its own; what the CPU's allocator and the thread of continuous batching raise is a
    RuntimeError that only its text tells.
    """
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(text in str(error) for text in _NO_MEMORY)


def _free_memory() -> None:
    gc.collect()  # a cache and its layers point to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
