"""The decode loop that keeps its rows busy.

Every row of a step is one response; a row that ends is given the next request at once, so no row waits for the
longest of its batch. A prompt is computed once and shared by all its responses. When nothing is left to admit, the
rows close up.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from onoff_core.backends.contract import OnTokens
from onoff_core.backends.drafts import Draft
from onoff_core.backends.huggingface.cpu.attention import attention_by_slots
from onoff_core.backends.huggingface.cpu.packing import packed_linears
from onoff_core.backends.huggingface.cpu.slots import SlotCache
from onoff_core.backends.huggingface.loading import LoadedModel, Support
from onoff_core.backends.huggingface.next_tokens import next_tokens
from onoff_core.backends.huggingface.support import other_layers, said
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.backends.requests import Request, Response
from onoff_core.study import SamplingSettings

_TRIED_LENGTHS = (5, 8, 6, 7, 12)  # of the prompts that a model is tried with


class SlotLoop:
    """The state of one run. `rows[i]` and row i of the cache are the same row; None is a row that is free."""

    def __init__(
        self,
        loaded: LoadedModel,
        requests: Sequence[Request],
        sampling: SamplingSettings,
        seed: int,
        max_rows: int,
        on_tokens: OnTokens,
        shares_prefix: bool = True,
    ) -> None:
        """`shares_prefix`: the model can go on from keys and values that were put on for another sequence."""
        self.shares_prefix = shares_prefix
        self.loaded, self.sampling, self.seed, self.on_tokens = loaded, sampling, seed, on_tokens
        self.queue = deque(requests)
        self.cache = SlotCache(loaded.model, min(max_rows, len(requests)), sampling.max_length)
        self.rows: list[Draft | None] = [None] * self.cache.rows
        self.unfinished = Counter(request.prompt_ids for request in requests)
        self.slots: dict[tuple[int, ...], int] = {}  # of the prompts that are computed
        self.prompt_logits: dict[tuple[int, ...], Tensor] = {}  # (vocab,) float32, of the first token
        self.latest: tuple[tuple[int, ...], DynamicCache] | None = None  # a response gone on with, and its keys

    def run(self) -> Iterator[Response]:
        while True:
            yield from self._fill()
            self._close_gaps()
            drafts = [row for row in self.rows if row is not None]
            if not drafts:
                return
            logits = self._step([draft.last_token for draft in drafts])
            yield from self._accept(list(range(len(drafts))), logits)

    def _fill(self) -> Iterator[Response]:
        """Give free rows the next requests and draw their first token, which may be their last: until none is free."""
        while self.queue and (free := [index for index, row in enumerate(self.rows) if row is None]):
            taken = free[: len(self.queue)]
            logits = []
            for index in taken:
                logits.append(self._begin(index, self.queue.popleft()))
            yield from self._accept(taken, torch.stack(logits))

    def _begin(self, index: int, request: Request) -> Tensor:
        """Give a row a request; the logits of its first token."""
        self.cache.assign(index, self._prompt_slot(request.prompt_ids, request.begun))
        self.rows[index] = self._draft(request)
        return self.prompt_logits[request.prompt_ids]

    def _draft(self, request: Request) -> Draft:
        return Draft(request, self.loaded, self.sampling, self.seed)

    def _close_gaps(self) -> None:
        """With nothing left to admit, go on with fewer rows."""
        kept = [index for index, row in enumerate(self.rows) if row is not None]
        if kept and len(kept) < len(self.rows):
            kept = self.cache.close_gaps(kept)
        self.rows = [self.rows[index] for index in kept]

    def _accept(self, indices: list[int], logits: Tensor) -> Iterator[Response]:
        """One more token in each of these rows, logits (len(indices), vocab); yield the responses that end."""
        drafts = [draft for draft in (self.rows[index] for index in indices) if draft is not None]
        tokens, logprobs = self._draw(drafts, logits)
        self.on_tokens(len(drafts))
        for index, draft, token, logprob in zip(indices, drafts, tokens.tolist(), logprobs.tolist(), strict=True):
            if draft.accept(token, logprob):
                self.rows[index] = None
                self._let_go(draft.response.request.prompt_ids)
                yield draft.response

    def _draw(self, drafts: Sequence[Draft], logits: Tensor) -> tuple[Tensor, Tensor]:
        """(token ids, log-probabilities under the raw model), each (rows,)."""
        return next_tokens(drafts, logits, self.sampling)

    @torch.inference_mode()
    def _prompt_slot(self, prompt_ids: tuple[int, ...], begun: int = 0) -> int:
        """The slot that keeps a prompt's keys and values, computed on first use."""
        if prompt_ids not in self.slots:
            kept = self._shared_keys(prompt_ids) if begun else DynamicCache()
            ids = torch.tensor([prompt_ids[kept.get_seq_length() :]], device=self.loaded.device)
            with packed_linears(self.loaded):
                result = self.loaded.model(input_ids=ids, past_key_values=kept, use_cache=True, logits_to_keep=1)
            self.slots[prompt_ids] = self.cache.store_prompt(kept)
            self.prompt_logits[prompt_ids] = result.logits[0, -1].float()
            if begun and self.shares_prefix:
                self.latest = (prompt_ids, kept)
        return self.slots[prompt_ids]

    def _shared_keys(self, prompt_ids: tuple[int, ...]) -> DynamicCache:
        """The keys and values of what the prompt has in common with the last response that was gone on with.

        Branches of one response come by rising position, so each token before a branch is computed once a response.
        """
        if self.latest is None:
            return DynamicCache()
        (known, kept), self.latest = self.latest, None
        longest = min(len(known), len(prompt_ids) - 1)  # the last token is computed in any case, for its logits
        common = next((i for i in range(longest) if known[i] != prompt_ids[i]), longest)
        if common == 0:
            return DynamicCache()
        if common < len(known):
            kept.crop(common - len(known))  # a negative number: so many from the end
        return kept

    def _let_go(self, prompt_ids: tuple[int, ...]) -> None:
        """One response less to wait for; after the last one the prompt's slot is free."""
        self.unfinished[prompt_ids] -= 1
        if not self.unfinished[prompt_ids]:
            self.cache.release_prompt(self.slots.pop(prompt_ids))
            del self.prompt_logits[prompt_ids]

    @torch.inference_mode()
    def _step(self, tokens: list[int]) -> Tensor:
        """One token through the model in every row: -> (rows, vocab) float32, the logits of the next."""
        step = self.cache.begin_step()
        with attention_by_slots(self.loaded.model), packed_linears(self.loaded):
            result = self.loaded.model(
                input_ids=torch.tensor(tokens, device=self.loaded.device)[:, None],
                position_ids=step.position[:, None],
                past_key_values=self.cache,
                use_cache=True,
            )
        self.cache.end_step()
        return result.logits[:, -1].float()


def supports(loaded: LoadedModel) -> str | None:
    """None where `SlotLoop` can decode this model, else the reason why it cannot; found out once a model.

    Layers with a state of another kind than keys and values are known by the configuration. Whatever else a model's
    attention may do is found by trying: one step by slots must give the logits that a plain forward pass gives.
    """
    if loaded.learnt.cpu_support is None:
        loaded.learnt.cpu_support = Support(_kind_of_layers(loaded) or _try_slots(loaded))
    return loaded.learnt.cpu_support.reason_against


def _kind_of_layers(loaded: LoadedModel) -> str | None:
    other = other_layers(loaded)
    if other is not None:
        return other
    return None if loaded.model._supports_attention_backend else "attention of its own"


@torch.inference_mode()
def _try_slots(loaded: LoadedModel) -> str | None:
    """Responses to short prompts of different length, against the plain forward pass of prompt and token.

    In half precision one prompt tells little: after a few of SmolLM2's first tokens bfloat16 is 9 nats from float32,
    whoever computes it. Most of several prompts have to agree there; what attention does otherwise, it does to all.
    """
    full = loaded.model.dtype == torch.float32
    lengths = _TRIED_LENGTHS[:2] if full else _TRIED_LENGTHS
    prompts = [tuple((3 + 17 * n + i) % loaded.vocab_size for i in range(length)) for n, length in enumerate(lengths)]
    tokens = [(1 + n) % loaded.vocab_size for n in range(len(prompts))]
    sampling = SamplingSettings(max_length=4, num_samples=1)
    requests = [Request(str(number), 0, prompt) for number, prompt in enumerate(prompts)]
    loop = SlotLoop(loaded, requests, sampling, 0, len(requests), lambda count: None)
    try:
        for row, request in enumerate(requests):
            loop.cache.assign(row, loop._prompt_slot(request.prompt_ids))
        by_slots = loop._step(tokens)
    except NotImplementedError as error:  # our own attention's, or the library's
        return said(error)
    except Exception as error:  # a model's own code, which may stumble over the slots in any way
        if is_out_of_memory(error):
            raise
        return f"attention that looks into its keys and values itself ({said(error)})"
    differ = 0
    for row, (prompt, token) in enumerate(zip(prompts, tokens, strict=True)):
        ids = torch.tensor([[*prompt, token]], device=loaded.device)
        plain = loaded.model(input_ids=ids, use_cache=False).logits[0, -1].float()
        allowed = (1e-3 if full else 5e-2) * max(1.0, float(plain.abs().max()))
        differ += float((by_slots[row] - plain).abs().max()) > allowed
    if differ > (0 if full else len(prompts) // 2):
        return "attention that gives other logits over a shared cache"
    return None
