"""Decoding on a GPU: transformers' continuous batching (paged caches, prefix sharing, CUDA graphs).

Its own sampler draws from one random stream for all rows, so a response would depend on its neighbours, and it
reports log-probabilities after temperature and truncation. A logits processor of ours takes its place: it is given
one uniform number for every row of every step, draws by `draw`, and returns scores that leave the library no choice
of token and one answer for its log-probability: ours. All of it is tensor operations, so it can be part of a CUDA
graph.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation import LogitsProcessorList
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor

from onoff_core.backends.contract import OnTokens
from onoff_core.backends.drafts import Draft, uniform_stream
from onoff_core.backends.huggingface.drawing import draw
from onoff_core.backends.huggingface.loading import LoadedModel
from onoff_core.backends.requests import Request, Response
from onoff_core.study import SamplingSettings

_RESOLUTION = 2**31  # a uniform number travels as a 31-bit integer
_BATCH_TOKENS = 512  # prompts and new tokens that go through the model at once, where there is no GPU
_SHRINK = 32.0  # a log-probability travels divided by this


def supports(loaded: LoadedModel) -> str | None:
    """None where continuous batching can serve this model, else the reason why it cannot."""
    config = loaded.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if kinds:
        return f"layers of kind {', '.join(sorted(kinds))}"
    return None if hasattr(loaded.model, "init_continuous_batching") else "no continuous batching"


class _Uniforms(ContinuousBatchingLogitsProcessor):
    """Draws each row's token from its own stream of uniform numbers."""

    supported_kwargs: ClassVar[dict[str, type]] = {}
    ignored_kwargs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, sampling: SamplingSettings) -> None:
        self.sampling = sampling
        self.streams: dict[str, np.random.Generator] = {}  # by request id

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[object]) -> Tensor:
        """One number for each row that will have a new token, in the rows' order."""
        ids = [future.state.request_id for future in requests_with_new_token]  # type: ignore[attr-defined]
        numbers = [int(self.streams[request_id].random() * _RESOLUTION) for request_id in ids]
        return torch.tensor(numbers, dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        uniform = (tensor_arg[: scores.shape[0]].double() + 0.5) / _RESOLUTION
        tokens, logprobs = draw(scores.float(), uniform, self.sampling)
        return told_scores(tokens, logprobs, scores.shape[-1])


def told_scores(tokens: Tensor, logprobs: Tensor, vocab: int) -> Tensor:
    """Scores (rows, vocab) whose most probable token is the given one, with softmax(scores)[token] = e^(logprob / 32).

    The chosen token scores 0 and all others c, where 1 / (1 + (vocab - 1) e^c) = q gives c = ln(1 - q) - ln q -
    ln(vocab - 1). Dividing by 32 keeps q above 1 / vocab, so that the token stays the most probable down to log-
    probabilities of about -150 nats.
    """
    log_q = logprobs / _SHRINK
    others = torch.log(-torch.expm1(log_q)) - log_q - math.log(vocab - 1)
    return others[:, None].repeat(1, vocab).scatter_(-1, tokens[:, None], 0.0)


def continuous_batches(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: SamplingSettings,
    seed: int,
    max_rows: int,
    on_tokens: OnTokens,
) -> Iterator[Response]:
    """Draw the requests, at most `max_rows` side by side, yielding each response when it ends."""
    processor = _Uniforms(sampling)
    drafts: dict[str, Draft] = {}
    longest = max((len(request.prompt_ids) for request in requests), default=0) + sampling.max_length
    with _manager(loaded, sampling, processor, max_rows, longest) as manager:
        for number, request in enumerate(requests):
            name = str(number)
            drafts[name] = Draft(request, loaded, sampling, seed)
            processor.streams[name] = uniform_stream(seed, request.problem_id, request.sample_index)
            manager.add_request(list(request.prompt_ids), request_id=name, max_new_tokens=drafts[name].max_tokens)
        while drafts:
            result = manager.get_result(timeout=1)
            if result is not None and result.is_finished():
                draft = drafts.pop(result.request_id)
                if result.error is not None:
                    raise RuntimeError(f"continuous batching: {result.error}")
                on_tokens(len(result.generated_tokens))
                for token, logprob in zip(result.generated_tokens, result.logprobs, strict=True):
                    if draft.accept(token, logprob * _SHRINK):
                        break  # a stop string, which the library does not know, may end it earlier
                yield draft.response
            elif result is None and not manager.is_running():
                raise manager.background_thread_status.fatal_error or RuntimeError("continuous batching stopped early")


def _cache_size(loaded: LoadedModel, longest: int, max_rows: int) -> dict[str, int]:
    """How much the library may keep: on a GPU its own share of the memory; elsewhere just what these rows, of at most
    `longest` tokens, can need, for its share of a machine's memory is no measure of anything.
    """
    if loaded.device.type == "cuda":
        return {}
    pages = math.ceil(longest / ContinuousBatchingConfig.page_size) + 1
    return {"num_blocks": max_rows * pages, "max_batch_tokens": max(_BATCH_TOKENS, max_rows)}


@contextmanager
def _manager(
    loaded: LoadedModel, sampling: SamplingSettings, processor: "_Uniforms", max_rows: int, longest: int
) -> Iterator[Any]:
    """The library's manager, with our processor as its only one, running in its own thread."""
    model = loaded.model
    config = GenerationConfig(
        do_sample=False,  # the processor leaves one token
        max_new_tokens=sampling.max_length,
        eos_token_id=sorted(loaded.stop_token_ids) or -1,
        pad_token_id=min(loaded.stop_token_ids, default=0),
    )
    usual_attention = model.config.get_text_config()._attn_implementation
    model._get_logits_processor = lambda generation_config: LogitsProcessorList([processor])
    try:
        manager = model.init_continuous_batching(
            generation_config=config,
            continuous_batching_config=ContinuousBatchingConfig(
                max_requests_per_batch=max_rows, return_logprobs=True, **_cache_size(loaded, longest, max_rows)
            ),
        )
        manager.logit_processor.tensors_required = 1  # the numbers of `prepare_tensor_args`
        manager.start()
        try:
            yield manager
        finally:
            manager.stop(block=True, timeout=10)
            manager.destroy()
    finally:
        del model._get_logits_processor  # the class's own again
        model.set_attn_implementation(usual_attention)
