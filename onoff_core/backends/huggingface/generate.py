"""The fall-back for models whose layers keep a state that cannot be shared or rearranged: transformers' own `generate`.

Batches of rows, until the last row of a batch ends: slower, but any model that can generate can do it. Shorter prompts
are filled up at the left where the model was seen to leave that out (`generate_trial`), else only prompts of one length
share a batch. Tokens are still drawn here, by a logits processor that leaves `generate` no choice, so settings, seeds
and log-probabilities mean the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from onoff_core.backends.contract import OnTokens
from onoff_core.backends.drafts import Draft
from onoff_core.backends.huggingface.generate_trial import left_padded, way_to_generate, without_defaults
from onoff_core.backends.huggingface.loading import GenerateWay, LoadedModel
from onoff_core.backends.huggingface.next_tokens import next_tokens
from onoff_core.backends.requests import Request, Response
from onoff_core.study import SamplingSettings


def generate_batches(
    loaded: LoadedModel,
    requests: Sequence[Request],
    sampling: SamplingSettings,
    seed: int,
    max_rows: int,
    on_tokens: OnTokens,
) -> Iterator[Response]:
    """Draw the requests, `max_rows` at a time."""
    way = way_to_generate(loaded)
    for side_by_side in [list(requests)] if way.padded else _by_length(requests):
        for begin in range(0, len(side_by_side), max_rows):
            drafts = [Draft(request, loaded, sampling, seed) for request in side_by_side[begin : begin + max_rows]]
            _generate(loaded, drafts, sampling, on_tokens, way)
            yield from (draft.response for draft in drafts)


def _by_length(requests: Sequence[Request]) -> list[list[Request]]:
    alike: defaultdict[int, list[Request]] = defaultdict(list)
    for request in requests:
        alike[len(request.prompt_ids)].append(request)
    return list(alike.values())


@torch.inference_mode()
def _generate(
    loaded: LoadedModel, drafts: list[Draft], sampling: SamplingSettings, on_tokens: OnTokens, way: GenerateWay
) -> None:
    stop = min(loaded.stop_token_ids, default=0)
    ids, mask = left_padded([draft.response.request.prompt_ids for draft in drafts], stop)
    ends = sorted(loaded.stop_token_ids) or None
    with without_defaults(loaded.model):
        loaded.model.generate(
            ids.to(loaded.device),
            attention_mask=mask.to(loaded.device),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=max(draft.max_tokens for draft in drafts),
                eos_token_id=ends,
                pad_token_id=stop,
                use_cache=way.cached,
            ),
            logits_processor=LogitsProcessorList([_Dictate(drafts, sampling, on_tokens, stop)]),
        )


class _Dictate(LogitsProcessor):
    """Draws every row's token and leaves it the only possible one; rows that have ended are given a stop token."""

    def __init__(self, drafts: list[Draft], sampling: SamplingSettings, on_tokens: OnTokens, stop: int) -> None:
        self.drafts, self.sampling, self.on_tokens, self.stop = drafts, sampling, on_tokens, stop
        self.ended = [False] * len(drafts)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        live = [row for row, ended in enumerate(self.ended) if not ended]
        if not live:  # the last ones ended otherwise than by a stop token, before the longest there may be
            stopping = torch.full_like(scores, -torch.inf)
            stopping[:, self.stop] = 0.0
            return stopping
        logits = scores[live].float()
        tokens, logprobs = next_tokens([self.drafts[row] for row in live], logits, self.sampling)
        self.on_tokens(len(live))
        chosen = torch.full((len(self.drafts),), self.stop, device=scores.device)
        chosen[live] = tokens
        for row, token, logprob in zip(live, tokens.tolist(), logprobs.tolist(), strict=True):
            self.ended[row] = self.drafts[row].accept(token, logprob)
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen[:, None], 0.0)
