"""Decoding on a GPU: transformers' continuous batching (paged caches, prefix sharing, CUDA graphs).

Its own sampler draws from one random stream for all rows, so a response would depend on its neighbours, and it
reports log-probabilities after temperature and truncation. A logits processor of ours takes its place: it is given
one uniform number for every row of every step, draws by `draw`, and returns scores that leave the library no choice
of token and one answer for its log-probability: ours. All of it is tensor operations, so it can be part of a CUDA
graph.
"""

import dataclasses
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
from onoff_core.backends.drafts import Draft, stream_of
from onoff_core.backends.huggingface.drawing import draw
from onoff_core.backends.huggingface.loading import LoadedModel, Support
from onoff_core.backends.huggingface.support import other_layers, said
from onoff_core.backends.huggingface.trying import plain_logits
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.backends.requests import Request, Response
from onoff_core.study import SamplingSettings

_RESOLUTION = 2**31  # a uniform number travels as a 31-bit integer
_BATCH_TOKENS = 512  # prompts and new tokens that go through the model at once, where there is no GPU
_TRIED_TOKENS = 6
_SHRINK = 32.0  # a log-probability travels divided by this
_OTHERS = 255  # tokens that share the probability which the chosen one is not told to have
# Divided by one more than these: the probability told of a token whose logits were no numbers, and the least of others.
_BROKEN, _LEAST = 2.0, 4.0


def supports(loaded: LoadedModel) -> str | None:
    """None where continuous batching can serve this model, else the reason why it cannot; found out once a model.

    Layers of other kinds and soft caps are known by the configuration. The rest is found by trying, for the library's
    paged attention leaves out without a word what it does not know: a few tokens must have the log-probabilities that a
    plain forward pass gives.
    """
    if loaded.learnt.continuous_support is None:
        loaded.learnt.continuous_support = Support(_known_against(loaded) or _try_batching(loaded))
    return loaded.learnt.continuous_support.reason_against


def _known_against(loaded: LoadedModel) -> str | None:
    if getattr(loaded.model.config.get_text_config(), "attn_logit_softcapping", None) is not None:
        return "soft caps on its attention, which continuous batching leaves out"
    if not hasattr(loaded.model, "init_continuous_batching"):
        return "no continuous batching"
    return other_layers(loaded)


def _try_batching(loaded: LoadedModel) -> str | None:
    sampling = SamplingSettings(max_length=_TRIED_TOKENS, num_samples=1)
    requests = [Request(str(number), 0, tuple(range(number, number + 4 + number))) for number in range(2)]
    try:
        with _few_blocks(loaded):
            responses = list(continuous_batches(loaded, requests, sampling, 0, len(requests), lambda count: None))
    except Exception as error:  # the library's thread may stumble over a model's code in any way
        if is_out_of_memory(error):
            raise
        return f"attention that continuous batching cannot run ({said(error)})"
    allowed = 1e-3 if loaded.model.dtype == torch.float32 else 0.5  # nats; rounding alone was 0.2 in bfloat16
    for response in responses:
        prompt = response.request.prompt_ids
        plain = plain_logits(loaded, [*prompt, *response.token_ids])[len(prompt) - 1 : -1].float().log_softmax(-1)
        drawn = plain.cpu().gather(-1, torch.tensor(response.token_ids)[:, None])[:, 0]
        if not bool(((drawn - torch.tensor(response.logprobs)).abs() <= allowed * drawn.abs().clamp(min=1)).all()):
            return "attention to which continuous batching gives other logits"
    return None


@contextmanager
def _few_blocks(loaded: LoadedModel) -> Iterator[None]:
    """A trial needs no share of a GPU's memory."""
    loaded.learnt.few_blocks = True
    try:
        yield
    finally:
        loaded.learnt.few_blocks = False


class _Uniforms(ContinuousBatchingLogitsProcessor):
    """Draws each row's token from its own stream of uniform numbers."""

    supported_kwargs: ClassVar[dict[str, type]] = {}
    ignored_kwargs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, sampling: SamplingSettings, stop: int) -> None:
        self.sampling, self.stop = sampling, stop
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
        tokens = torch.where(torch.isfinite(logprobs), tokens, self.stop)  # a row without numbers ends at once
        return told_scores(tokens, logprobs, scores.shape[-1])


def told_scores(tokens: Tensor, logprobs: Tensor, vocab: int) -> Tensor:
    """Scores (rows, vocab) whose most probable token is the given one, with softmax(scores)[token] = e^(logprob / 32).

    The chosen token scores 0, n others c and the rest minus infinity, where 1 / (1 + n e^c) = q gives c = ln(1 - q) -
    ln q - ln n. Dividing by 32 keeps q above 4 / (n + 1), so that the token stays the most probable, down to log-
    probabilities of -133 nats; lower ones are told as this. The others are few, since the library's sum over 150,000
    would be wrong by a hundredth of a nat. A log-probability that is no number is told as q = 2 / (n + 1).
    `told_logprob` is the inverse.
    """
    count = min(_OTHERS, vocab - 1)
    log_q = (logprobs / _SHRINK).clamp(min=math.log(_LEAST / (count + 1)))
    log_q = torch.where(torch.isfinite(logprobs), log_q, math.log(_BROKEN / (count + 1)))
    score = torch.log(-torch.expm1(log_q)) - log_q - math.log(count)
    others = (tokens[:, None] + torch.arange(1, count + 1, device=tokens.device)) % vocab
    scores = score.new_full((len(tokens), vocab), -torch.inf)
    return scores.scatter_(-1, others, score[:, None].expand(-1, count)).scatter_(-1, tokens[:, None], 0.0)


def told_logprob(logprob: float, vocab: int) -> float:
    """What `told_scores` was given, from the log-probability that the library reports; NaN where it was no number."""
    count = min(_OTHERS, vocab - 1)
    return math.nan if logprob < math.log((_BROKEN + _LEAST) / 2 / (count + 1)) else logprob * _SHRINK


def continuous_batches(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: SamplingSettings,
    seed: int,
    max_rows: int,
    on_tokens: OnTokens,
) -> Iterator[Response]:
    """Draw the requests, at most `max_rows` side by side, yielding each response when it ends."""
    processor = _Uniforms(sampling, min(loaded.stop_token_ids, default=0))
    drafts: dict[str, Draft] = {}
    longest = max((len(request.prompt_ids) for request in requests), default=0) + sampling.max_length
    with _manager(loaded, sampling, processor, max_rows, longest) as manager:
        for number, request in enumerate(requests):
            name = str(number)
            drafts[name] = Draft(request, loaded, sampling, seed)
            processor.streams[name] = stream_of(request, seed)
            manager.add_request(list(request.prompt_ids), request_id=name, max_new_tokens=drafts[name].max_tokens)
        while drafts:
            result = manager.get_result(timeout=1)
            if result is not None and result.is_finished():
                draft = drafts.pop(result.request_id)
                if result.error is not None:
                    raise RuntimeError(f"continuous batching: {result.error}")
                on_tokens(len(result.generated_tokens))
                for token, logprob in zip(result.generated_tokens, result.logprobs, strict=True):
                    if draft.accept(token, told_logprob(logprob, loaded.vocab_size)):
                        break  # a stop string, which the library does not know, may end it earlier
                yield draft.response
            elif result is None and not manager.is_running():
                raise manager.background_thread_status.fatal_error or RuntimeError("continuous batching stopped early")


def _page_size() -> int:
    """Tokens a page of the library's cache, by the name that its version has for it."""
    defaults: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(ContinuousBatchingConfig)}
    size: int = next(defaults[name] for name in ("page_size", "block_size") if name in defaults)
    return size


def _cache_size(loaded: LoadedModel, longest: int, max_rows: int) -> dict[str, int]:
    """How much the library may keep: on a GPU its own share of the memory; elsewhere just what these rows, of at most
    `longest` tokens, can need, for its share of a machine's memory is no measure of anything.
    """
    if loaded.device.type == "cuda" and not loaded.learnt.few_blocks:
        return {}
    pages = math.ceil(longest / _page_size()) + 1
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
