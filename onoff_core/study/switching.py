"""What the names of a `switch` mean: the entry takes the first model's weights, prompts and sampling as its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onoff_core.errors import SettingsError
from onoff_core.study.settings import Backend, ModelSettings
from onoff_core.study.study import suggestion

_KINDS = ("huggingface", "fake")  # engines that show the whole distribution before a token is drawn
_SECTIONS = ("task", "sampling")


def with_switches(models: Mapping[str, ModelSettings], path: Path) -> dict[str, ModelSettings]:
    """The models, with the two of each `switch` filled in. Raises `SettingsError`."""
    return {
        name: settings if settings.switch is None else _filled(name, models, path) for name, settings in models.items()
    }


def _filled(name: str, models: Mapping[str, ModelSettings], path: Path) -> ModelSettings:
    settings = models[name]
    switch = settings.switch
    assert switch is not None
    where = f"{path}: models.{name}.switch"
    first, second = (_named(getattr(switch, key), models, f"{where}.{key}") for key in ("first", "second"))
    if switch.first == switch.second:
        raise SettingsError(f"{where}: first and second are both {switch.first}; name two models")
    if first.backend_type != second.backend_type:
        raise SettingsError(
            f"{where}: {switch.first} is of backend_type {first.backend_type} and {switch.second} of "
            f"{second.backend_type}; both have to run in this process, by one engine"
        )
    taken: dict[str, Any] = {
        **{key: getattr(first, key) for key in ("model_name", "revision", "adapter", "backend_specific", "scoring")},
        **{key: {**(getattr(first, key) or {}), **(getattr(settings, key) or {})} or None for key in _SECTIONS},
    }
    resolved = switch.model_copy(update={"first_model": _backend(first), "second_model": _backend(second)})
    return settings.model_copy(update={**taken, "switch": resolved})


def _named(name: str, models: Mapping[str, ModelSettings], where: str) -> ModelSettings:
    if name not in models:
        raise SettingsError(f"{where}: there is no model {name!r}{suggestion(name, models)}")
    settings = models[name]
    if settings.backend_type not in _KINDS:
        raise SettingsError(
            f"{where}: {name} is of backend_type {settings.backend_type}, which does not show its whole distribution "
            f"before each token; a model of {' or '.join(_KINDS)} is wanted"
        )
    return settings


def _backend(settings: ModelSettings) -> Backend:
    """The part of a model's settings that says whose weights, and how they are loaded."""
    return Backend(**{name: getattr(settings, name) for name in Backend.model_fields})
