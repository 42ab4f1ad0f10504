"""What a replica is told and what it answers: plain values, pickled, over one connection each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onoff_core.backends.contract import ModelInfo
from onoff_core.backends.requests import Request, Response, TokenScores
from onoff_core.study import DistributionSettings, ModelSettings, SamplingSettings

Role = Literal["sampler", "scorer"]


@dataclass(frozen=True)
class Open:
    """The first word to a replica: which model, and for what first. It answers `Ready` once the model is loaded."""

    role: Role
    name: str
    settings: ModelSettings
    base_dir: Path


@dataclass(frozen=True)
class Draw:
    """Draw these requests; each response comes as a `Result` when it ends."""

    requests: Sequence[Request]
    sampling: SamplingSettings
    seed: int


@dataclass(frozen=True)
class Score:
    """Score the responses to one prompt; the scores come as a `Result` each, in order."""

    prompt_ids: Sequence[int]
    responses: Sequence[Sequence[int]]
    settings: DistributionSettings


Task = Draw | Score


@dataclass(frozen=True)
class Ready:
    info: ModelInfo


@dataclass(frozen=True)
class Tokens:
    """So many were drawn since it last said so."""

    count: int


@dataclass(frozen=True)
class Result:
    value: Response | TokenScores


@dataclass(frozen=True)
class Ended:
    """The task is done; the next one begins."""


@dataclass(frozen=True)
class Failed:
    """The task failed, or the model cannot be opened: the error, and what it was raised from."""

    errors: tuple[BaseException, ...]


@dataclass(frozen=True)
class Logged:
    record: logging.LogRecord


Answer = Ready | Tokens | Result | Ended | Failed | Logged
