"""Compare two models behind every token of a text: the pair scorer of `contract`, for models of transformers.

Both models are in memory where they fit. Else the first one runs alone over all texts and its hidden states are kept
on the disk; then its layers are let go, and its output matrix stands beside the second model. Either way the logits of
both are there a slice at a time, and the divergences are exact.
"""

import gc
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from onoff_core.backends.contract import ModelInfo, PairLoading, Text
from onoff_core.backends.huggingface import gpu
from onoff_core.backends.huggingface.head import Head, layers_of
from onoff_core.backends.huggingface.loading import LoadedModel, load_beside, load_model, release_model
from onoff_core.backends.huggingface.pair_sides import ManySide, Side, Span, StatesSide, side_of, tokens_at_once
from onoff_core.backends.huggingface.pair_statistics import bounded_statistics, pair_statistics
from onoff_core.backends.huggingface.token_statistics import Columns, to_columns
from onoff_core.backends.huggingface.trying import parts_head
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.backends.requests import KeptDistributions, PairScores
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings

logger = logging.getLogger(__name__)

# Logits of a slice, of each of the two: 40 MB in float32, so that both take what one takes in scoring.
_LOGITS_PER_SLICE = 10_000_000
_BYTES_PER_FUSED_SLICE = 64 * 2**20  # of each of the two, where kernels read them as they are
_TOKENS_AT_ONCE, _FEWEST_TOKENS = 4096, 256

Model = tuple[str, ModelSettings]  # its name in the study, and its settings as it is scored
Texts = Sequence[Sequence[int]]
# The columns of some texts, slice by slice: the number of texts before them, the texts, the slices, all their tokens.
Compare = Callable[[int, Texts, Sequence[Span], Tensor], list[dict[str, Tensor]]]


class HuggingfacePair:
    """Two models of transformers."""

    def __init__(self, first: Model, second: Model, base_dir: Path, how: PairLoading) -> None:
        self._first_model, self._second_model, self._base_dir, self._how = first, second, base_dir, how
        self._kept: TemporaryDirectory[str] | None = None
        self._sides: tuple[Side | None, Side] | None = None
        self._infos: tuple[ModelInfo | None, ModelInfo] | None = None
        if how == "second":
            self._take(None, load_model(*second, base_dir))
        elif how != "in_turn":
            self._load_both()

    def _load_both(self) -> None:
        first = load_model(*self._first_model, self._base_dir)
        try:
            self._take(first, load_beside(*self._second_model, self._base_dir))
        except (RuntimeError, MemoryError, ModelError) as error:
            if self._how == "together" or not is_out_of_memory(error):
                raise
            logger.warning("%s and %s do not fit together; one runs after the other", *self._names)
            self._how = "in_turn"

    @property
    def _names(self) -> tuple[str, str]:
        return self._first_model[0], self._second_model[0]

    def _take(self, first: LoadedModel | None, second: LoadedModel) -> None:
        self._infos = None if first is None else first.info, second.info
        self._sides = None if first is None else side_of(first), side_of(second)

    @property
    def info(self) -> ModelInfo:
        first = self._ready()[0]
        return load_model(*self._first_model, self._base_dir).info if first is None else first

    @property
    def reference_info(self) -> ModelInfo:
        return self._ready()[1]

    def _ready(self) -> tuple[ModelInfo | None, ModelInfo]:
        if self._infos is None:
            raise RuntimeError("prepare was not called")
        return self._infos

    def prepare(self, texts: Iterable[Text]) -> None:
        if self._how != "in_turn" or self._sides is not None:
            return
        first = load_model(*self._first_model, self._base_dir)
        info, head = first.info, self._keep_states(first, texts)
        # The output matrix stays; the layers, whose answers are kept, give their memory to the second model.
        layers_of(first).to("meta")
        first.learnt.packed_linears = []
        release_model()
        second = load_beside(*self._second_model, self._base_dir)
        self._infos = info, second.info
        self._sides = StatesSide(first, head, self._load_states), side_of(second)

    def _keep_states(self, first: LoadedModel, texts: Iterable[Text]) -> Head:
        if not parts_head(first):
            raise ModelError(
                f"models.{first.name} cannot be run apart from its output matrix, and does not fit into memory beside "
                f"models.{self._second_model[0]}; set cross.divergence: bounds, or a smaller torch_dtype or device_map"
            )
        self._kept = TemporaryDirectory(prefix="onoff-states-")
        side = ManySide(first, one_by_one=first.device.type == "cpu")
        for prompt_ids, group in groupby(texts, key=lambda text: list(text[0])):
            side.begin(prompt_ids)
            for _, text in group:
                if _misfit(first.info, prompt_ids, text) is None:  # else `score` says so, in its turn
                    torch.save(side.states([text]).cpu(), self._file_of(prompt_ids, text))
        return Head(first)

    def _file_of(self, prompt_ids: Sequence[int], text: Sequence[int]) -> Path:
        """Named by every id of both, so that states of another text are never taken."""
        assert self._kept is not None
        content = np.array([len(prompt_ids), *prompt_ids, *text], np.int64).tobytes()
        return Path(self._kept.name) / f"{hashlib.sha256(content).hexdigest()}.pt"

    def _load_states(self, prompt_ids: Sequence[int], text: Sequence[int]) -> Tensor:
        states: Tensor = torch.load(self._file_of(prompt_ids, text), weights_only=True)
        return states

    def score(self, prompt_ids: Sequence[int], texts: Texts, top_k: int) -> Iterator[PairScores]:
        self._ready()
        assert self._sides is not None
        first, second = self._sides
        assert first is not None
        vocab = min(one.loaded.vocab_size for one in (first, second))  # the larger one has rows without a token

        def compare(before: int, group: Texts, spans: Sequence[Span], targets: Tensor) -> list[dict[str, Tensor]]:
            blocks = []
            halves = zip(first.logits(group, spans), second.logits(group, spans), spans, strict=True)
            for a, b, (begin, end) in halves:
                wanted = targets[begin:end].to(a.device)
                blocks.append(pair_statistics(a[:, :vocab], b[:, :vocab].to(a.device), wanted, top_k))
            return blocks

        yield from self._walk([first, second], prompt_ids, texts, compare, vocab)

    def score_kept(
        self, prompt_ids: Sequence[int], texts: Texts, kept: Sequence[KeptDistributions], top_k: int
    ) -> Iterator[PairScores]:
        self._ready()
        assert self._sides is not None
        second = self._sides[1]
        device, vocab = second.loaded.device, second.loaded.vocab_size

        def compare(before: int, group: Texts, spans: Sequence[Span], targets: Tensor) -> list[dict[str, Tensor]]:
            known = kept[before : before + len(group)]
            columns = {
                name: torch.from_numpy(np.concatenate([getattr(one, name) for one in known])).to(device)
                for name in ("logprob", "entropy", "tail_mass", "topk_ids", "topk_logprobs")
            }
            if (highest := int(columns["topk_ids"].max())) >= vocab:
                raise ModelError(
                    f"models.{self._names[1]} has no token {highest}, which the other model thought likely"
                )
            blocks = []
            for logits, (begin, end) in zip(second.logits(group, spans), spans, strict=True):
                ids, logprobs, tail, entropy, logprob = (
                    columns[name][begin:end]
                    for name in ("topk_ids", "topk_logprobs", "tail_mass", "entropy", "logprob")
                )
                block = bounded_statistics(
                    ids.long(), logprobs, tail, entropy, logits, targets[begin:end].to(logits.device), top_k
                )
                own = {"logprob": logprob, "entropy": entropy, "log_ratio": block["reference_logprob"] - logprob}
                blocks.append({**own, **block})
            return blocks

        yield from self._walk([second], prompt_ids, texts, compare, vocab)

    def _walk(
        self, sides: Sequence[Side], prompt_ids: Sequence[int], texts: Texts, compare: Compare, vocab: int
    ) -> Iterator[PairScores]:
        """The scores of each text, in order, of as many texts at once as the sides take."""
        fitting, done, begun = 0, 0, False
        while fitting < len(texts) and _why_not(sides, prompt_ids, texts[fitting]) is None:
            fitting += 1
        while done < fitting:
            if not begun:
                for side in sides:
                    side.begin(prompt_ids)
                begun = True
            tokens = min(tokens_at_once(side.loaded) for side in sides)
            alone = any(side.one_by_one for side in sides)
            group = texts[done : done + (1 if alone else _fitting(prompt_ids, texts[done:fitting], tokens))]
            targets = torch.tensor([token for text in group for token in text])
            spans = _spans(len(targets), max(1, _logits_at_once(sides) * tokens // _TOKENS_AT_ONCE // vocab))
            columns, failure = None, None
            try:
                columns = to_columns(compare(done, group, spans, targets))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or tokens <= _FEWEST_TOKENS or alone:
                    raise
                failure = str(error)
            if columns is None:
                _take_fewer(sides, tokens, failure)  # outside the handler, which keeps the failed group's tensors alive
                begun = False
                continue
            done += len(group)
            yield from self._scores(group, columns)
        if fitting < len(texts):
            raise ModelError(_why_not(sides, prompt_ids, texts[fitting]))

    def _scores(self, group: Texts, columns: Columns) -> Iterator[PairScores]:
        ends = np.cumsum([len(text) for text in group]).tolist()
        for text, end in zip(group, ends, strict=True):
            own = {name: column[end - len(text) : end] for name, column in columns.items()}
            for name, model in (("entropy", self._names[0]), ("reference_entropy", self._names[1])):
                if not np.isfinite(own[name]).all():
                    position = int(np.flatnonzero(~np.isfinite(own[name]))[0])
                    raise ModelError(
                        f"the logits of models.{model} at position {position} are not finite; try torch_dtype: float32"
                    )
            yield PairScores(own)

    def close(self) -> None:
        """The first model is kept for whoever comes next in this process; the second one goes."""
        self._sides = self._infos = None
        if self._kept is not None:
            self._kept.cleanup()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _logits_at_once(sides: Sequence[Side]) -> int:
    kinds = [(side.loaded.device, side.loaded.model.dtype) for side in sides]
    if len(kinds) < 2 or not all(gpu.can_run(*kind) for kind in kinds):
        return _LOGITS_PER_SLICE
    return int(_BYTES_PER_FUSED_SLICE // max(dtype.itemsize for _, dtype in kinds))


def _why_not(sides: Sequence[Side], prompt_ids: Sequence[int], text: Sequence[int]) -> str | None:
    return next((why for side in sides if (why := _misfit(side.loaded.info, prompt_ids, text)) is not None), None)


def _misfit(info: ModelInfo, prompt_ids: Sequence[int], text: Sequence[int]) -> str | None:
    """Why a text cannot be scored by a model; None: it can."""
    if not text:
        return "a text without tokens cannot be scored"
    length = len(prompt_ids) + len(text)
    if info.max_positions is not None and length > info.max_positions:
        return f"prompt and text are {length} tokens, but models.{info.name} takes {info.max_positions}"
    return None


def _spans(count: int, size: int) -> list[Span]:
    """0 to 1, and the rest in slices of at most `size`."""
    return [(0, 1), *((begin, min(begin + size, count)) for begin in range(1, count, size))]


def _fitting(prompt_ids: Sequence[int], texts: Texts, tokens: int) -> int:
    """How many of the next texts go through the layers together: one at least."""
    longest, count = 0, 0
    for text in texts:
        longest = max(longest, len(text))
        if count and (count + 1) * (len(prompt_ids) + longest) > tokens:
            break
        count += 1
    return count


def _take_fewer(sides: Sequence[Side], tokens: int, failure: str | None) -> None:
    logger.warning("out of memory comparing models on %d tokens at once (%s); going on with half", tokens, failure)
    for side in sides:
        side.loaded.learnt.scored_tokens = tokens // 2
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
