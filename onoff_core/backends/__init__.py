"""Engines: token ids in; token ids, or statistics of logits, out.

`contract` says what an engine is. This page finds the one that the settings name and imports it when it is asked for,
so importing the package costs nothing and needs no torch. To add an engine: one line in `_ENGINES`, and a module with
the functions of `contract.Engine`. `replicas` makes N of any of them look like one. Nothing here knows of problems,
rewards or the store.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from onoff_core.backends.collection import without_collection
from onoff_core.backends.contract import Engine, PairLoading, PairScorer, Sampler, Scorer, Tokenizer
from onoff_core.backends.replicas.engine import ReplicatedSampler, ReplicatedScorer, open_replicas, wants_replicas
from onoff_core.errors import ModelError
from onoff_core.study import ModelSettings


@dataclass(frozen=True)
class _Registered:
    """Where an engine is, and what is known of it before it is imported."""

    module: str
    replicated: bool = True  # whether N replicas may sample; False: its model is elsewhere, and so are its copies


_ENGINES = {
    "huggingface": _Registered("onoff_core.backends.huggingface.engine"),
    "openai": _Registered("onoff_core.backends.openai.engine", replicated=False),
    "fake": _Registered("onoff_core.backends.fake"),
    "switch": _Registered("onoff_core.backends.switch"),
}
DEFAULT_SCORER = "huggingface"


def open_sampler(name: str, settings: ModelSettings, base_dir: Path) -> Sampler:
    """The engine that draws the responses of the study's entry `models.<name>`; close it after use.

    Relative paths in the settings start at `base_dir`. Raises `ModelError`, and `SettingsError` where this machine
    cannot do what they say.
    """
    engine = _engine(settings.backend_type)
    if not _ENGINES[settings.backend_type].replicated or not wants_replicas(settings):
        return engine.open_sampler(name, settings, base_dir)
    tokenizer = engine.open_tokenizer(name, settings, base_dir)
    return ReplicatedSampler(open_replicas("sampler", name, settings, base_dir, engine.num_gpus()), tokenizer)


def open_scorer(name: str, settings: ModelSettings, base_dir: Path) -> Scorer:
    """The engine that looks behind the tokens of `models.<name>`; close it after use. Raises as `open_sampler`."""
    settings = scoring_settings(settings)
    engine = _engine(scorer_kind(settings))
    if not wants_replicas(settings):
        return engine.open_scorer(name, settings, base_dir)
    return ReplicatedScorer(open_replicas("scorer", name, settings, base_dir, engine.num_gpus()))


def open_pair_scorer(
    first: tuple[str, ModelSettings], second: tuple[str, ModelSettings], base_dir: Path, how: PairLoading
) -> PairScorer:
    """What compares `models.<first>` with `models.<second>`, each as it is scored; close it after use.

    It runs in this process, whatever replicas the settings ask for. Raises as `open_sampler`.
    """
    kinds = [scorer_kind(settings) for _, settings in (first, second)]
    if kinds[0] != kinds[1]:
        raise ModelError(
            f"models.{first[0]} is scored by the engine {kinds[0]} and models.{second[0]} by {kinds[1]}; to compare "
            "them token by token both have to be scored by one: set models.<name>.scoring"
        )
    (name, settings), (other, other_settings) = first, second
    scored = (name, scoring_settings(settings)), (other, scoring_settings(other_settings))
    return _engine(kinds[0]).open_pair_scorer(*scored, base_dir, how)


def open_tokenizer(name: str, settings: ModelSettings, base_dir: Path) -> Tokenizer:
    """The tokenizer of `models.<name>`, without its weights. Raises `ModelError`."""
    return _engine(scorer_kind(settings)).open_tokenizer(name, scoring_settings(settings), base_dir)


def generation_defaults(name: str, settings: ModelSettings, base_dir: Path) -> dict[str, Any]:
    """The sampling settings in the model's own `generation_config.json`, for any sampler. Raises `ModelError`."""
    if scorer_kind(settings) != DEFAULT_SCORER:
        return {}
    module = importlib.import_module("onoff_core.backends.huggingface.generation_config")
    found: dict[str, Any] = module.generation_defaults(name, settings, base_dir)
    return found


def save_noised_copy(name: str, settings: ModelSettings, base_dir: Path, folder: Path, scale: float, seed: int) -> None:
    """Write a copy of `models.<name>` with noise on its weights, for trying what compares two models."""
    module = importlib.import_module("onoff_core.backends.huggingface.noised")
    module.save_noised_copy(name, settings, base_dir, folder, scale, seed)


def what_loading_refuses(settings: ModelSettings, base_dir: Path, *, needs_template: bool) -> list[str]:
    """The faults of a model on this machine, a sentence each, found without loading it."""
    if scorer_kind(settings) != DEFAULT_SCORER:
        return []
    module = importlib.import_module("onoff_core.backends.huggingface.preflight")
    found: list[str] = module.what_loading_refuses(settings, base_dir, needs_template=needs_template)
    return found


def scorer_kind(settings: ModelSettings) -> str:
    """Which engine scores the model's responses: what `scoring` says; else, whoever samples them, transformers, but for
    the fake engine. Of two models in turns it is the first's.
    """
    if settings.scoring is not None:
        return settings.scoring.backend_type
    if settings.switch is not None and settings.switch.first_model is not None:
        return settings.switch.first_model.backend_type
    return settings.backend_type if settings.backend_type == "fake" else DEFAULT_SCORER


def scoring_settings(settings: ModelSettings) -> ModelSettings:
    """The settings by which the model is scored: those of `scoring`, where there are any."""
    if settings.scoring is None:
        return settings
    changes = {
        "scoring": None,
        "switch": None,
        "backend_type": settings.scoring.backend_type,
        "backend_specific": settings.scoring.backend_specific,
    }
    return settings.model_copy(update=changes)


def _engine(kind: str) -> Engine:
    with without_collection():
        return cast(Engine, importlib.import_module(_ENGINES[kind].module))
