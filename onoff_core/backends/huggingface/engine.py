"""The functions of `contract.Engine`, for models that transformers loads into this process.

The model is kept after `close`: a run that samples and then scores loads it once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from onoff_core.backends.contract import ModelInfo, OnTokens, PairLoading
from onoff_core.backends.huggingface.decoding import decode
from onoff_core.backends.huggingface.loading import LoadedModel, load_model
from onoff_core.backends.huggingface.pairs import HuggingfacePair
from onoff_core.backends.huggingface.scoring import score
from onoff_core.backends.huggingface.tokenizer import LoadedTokenizer, load_tokenizer
from onoff_core.backends.requests import Request, Response, TokenScores
from onoff_core.study import DistributionSettings, ModelSettings, SamplingSettings


@dataclass(frozen=True)
class HuggingfaceModel:
    """Both roles of one loaded model."""

    loaded: LoadedModel

    @property
    def info(self) -> ModelInfo:
        """With what has been found out by now of how much fits into memory."""
        learnt = self.loaded.learnt
        return replace(self.loaded.info, most_rows=learnt.max_rows, scored_at_once=learnt.scored_tokens)

    @property
    def tokenizer(self) -> LoadedModel:
        return self.loaded

    def sample(
        self, requests: Sequence[Request], sampling: SamplingSettings, seed: int, on_tokens: OnTokens
    ) -> Iterator[Response]:
        return decode(self.loaded, requests, sampling, seed, on_tokens)

    def score(
        self, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]], settings: DistributionSettings
    ) -> Iterator[TokenScores]:
        return score(self.loaded, prompt_ids, responses, settings)

    def close(self) -> None:
        """Nothing is let go: whoever comes next in this process needs the model again."""


def open_sampler(name: str, settings: ModelSettings, base_dir: Path) -> HuggingfaceModel:
    return HuggingfaceModel(load_model(name, settings, base_dir))


def open_scorer(name: str, settings: ModelSettings, base_dir: Path) -> HuggingfaceModel:
    return HuggingfaceModel(load_model(name, settings, base_dir))


def open_tokenizer(name: str, settings: ModelSettings, base_dir: Path) -> LoadedTokenizer:
    return load_tokenizer(name, settings, base_dir)


def open_pair_scorer(
    first: tuple[str, ModelSettings], second: tuple[str, ModelSettings], base_dir: Path, how: PairLoading
) -> HuggingfacePair:
    return HuggingfacePair(first, second, base_dir, how)


def num_gpus() -> int:
    return torch.cuda.device_count()
