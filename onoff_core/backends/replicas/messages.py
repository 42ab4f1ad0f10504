"""The messages between the parent and a replica: plain values, pickled, over a connection of their own.

The parent sends `Open` once, and then tasks (`Draw`, `Score`). The replica answers `Ready` once, and then each task in
turn: with its `Result`s and then `Ended`, or with `Failed`. `Tokens` and `Logged` may come at any time.
"""

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
    """The first message: which model to load, and the role it is wanted in first."""

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
    """The model is loaded."""

    info: ModelInfo


@dataclass(frozen=True)
class Tokens:
    """So many tokens were drawn since the last message of this kind."""

    count: int


@dataclass(frozen=True)
class Result:
    """One response, or the scores of one."""

    value: Response | TokenScores


@dataclass(frozen=True)
class Ended:
    """All results of the task have been sent."""


@dataclass(frozen=True)
class Failed:
    """The task failed, or the model could not be loaded: the error, and after each error the one that caused it."""

    errors: tuple[BaseException, ...]


@dataclass(frozen=True)
class Logged:
    """A line for the parent's log."""

    record: logging.LogRecord


Answer = Ready | Tokens | Result | Ended | Failed | Logged
