"""Read a settings file into a `Study`: `onoff.yaml`, with every override applied, or a research file.

Order of precedence for `task` and `sampling`, weakest first: the study's, the data set's, the model's.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict

from onoff_core.errors import SettingsError
from onoff_core.study.branch_settings import BranchSettings
from onoff_core.study.checking import validate
from onoff_core.study.checkpoints import check_series, with_checkpoints
from onoff_core.study.confidence_settings import ConfidenceSettings
from onoff_core.study.cross_settings import CrossSettings
from onoff_core.study.files import find_config, inline_or_file, read_yaml, resolve_store_path
from onoff_core.study.judges import with_judge
from onoff_core.study.research import is_research_file, research_study
from onoff_core.study.settings import (
    AutomationSettings,
    DatasetSettings,
    DistributionSettings,
    ModelSettings,
    SamplingSettings,
    StatisticsSettings,
    StoreSettings,
)
from onoff_core.study.study import Partition, Reference, Study, partition_key, suggestion
from onoff_core.study.switching import with_switches
from onoff_core.study.task_settings import TaskSettings
from onoff_core.study.thinking import check_thinking
from onoff_core.study.values import Section, nothing_as_empty

# What may stand in a partition key: it becomes a folder name and part of a URL, and Dagster reserves | , [ ].
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")

S = TypeVar("S", bound=Section)
E = TypeVar("E", DatasetSettings, ModelSettings)
_SECTIONS: dict[str, type[Section]] = {"task": TaskSettings, "sampling": SamplingSettings}
# A setting that takes the place of another one: it does so of a weaker layer's, and the two never stand in one layer.
_EXCLUDING = {"sampling": (("until", "num_samples"), ("num_samples", "until"))}


class _StudyFile(Section):
    """The top level of `onoff.yaml`, before overrides are applied."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    datasets: dict[str, Any]
    models: dict[str, Any]
    task: dict[str, Any] | None = None
    task_config: str | None = None
    sampling: dict[str, Any] | None = None
    sampling_config: str | None = None
    distribution: Annotated[DistributionSettings, BeforeValidator(nothing_as_empty)] = DistributionSettings()
    statistics: Annotated[StatisticsSettings, BeforeValidator(nothing_as_empty)] = StatisticsSettings()
    cross: Annotated[CrossSettings, BeforeValidator(nothing_as_empty)] = CrossSettings()
    branches: BranchSettings | None = None  # {}: the defaults; null: none are asked for
    confidence: ConfidenceSettings | None = None  # likewise
    store: Annotated[StoreSettings, BeforeValidator(nothing_as_empty)] = StoreSettings()
    automation: Annotated[AutomationSettings, BeforeValidator(nothing_as_empty)] = AutomationSettings()


def load_study(path: Path | None = None) -> Study:
    """Read a settings file (found by `find_config` unless named) and check all of it."""
    config = find_config() if path is None else path.absolute()
    raw = read_yaml(config)
    return research_study(raw, config) if is_research_file(raw) else parse_study(raw, config)


def parse_study(raw: Mapping[str, Any], path: Path) -> Study:
    """Check the content of a settings file; `path` names it in errors and is where relative paths start."""
    base_dir = path.parent
    top = validate(_StudyFile, raw, path, "")
    task = _section(top.task, top.task_config, "task", path)
    sampling = _section(top.sampling, top.sampling_config, "sampling", path)
    datasets = {
        name: _with_overrides(DatasetSettings, value, path, f"datasets.{name}")
        for name, value in _named(top.datasets, "datasets", path)
    }
    models = {
        name: _with_overrides(ModelSettings, value, path, f"models.{name}")
        for name, value in _named(dict(with_checkpoints(_named(top.models, "models", path), path)), "models", path)
    }
    check_series(models, path)
    models = with_switches(models, path)
    references = {name: _references(name, models, top.cross, path) for name in models}
    partitions = {}
    for dataset_name, dataset in datasets.items():
        for model_name, model in models.items():
            partitions[partition_key(dataset_name, model_name)] = Partition(
                dataset=dataset_name,
                model=model_name,
                dataset_settings=dataset,
                model_settings=model,
                task=_merged(TaskSettings, "task", (task, dataset.task, model.task), path),
                sampling=_merged(SamplingSettings, "sampling", (sampling, dataset.sampling, model.sampling), path),
                distribution=top.distribution,
                base_dir=base_dir,
                statistics=top.statistics,
                references=references[model_name],
                cross=top.cross,
                # Who of two would write where a branch begins depends on all that was written before.
                branches=None if model.backend_type == "switch" else top.branches,
                confidence=top.confidence,
            )
    for partition in partitions.values():
        check_thinking(partition, path)
    partitions = {key: with_judge(partition, partitions, path) for key, partition in partitions.items()}
    return Study(
        config_path=path,
        base_dir=base_dir,
        store_path=resolve_store_path(top.store, base_dir),
        max_bytes=top.store.max_bytes,
        datasets=datasets,
        models=models,
        partitions=partitions,
        automation=top.automation,
    )


def _references(
    model: str, models: Mapping[str, ModelSettings], cross: CrossSettings, path: Path
) -> tuple[Reference, ...]:
    """The models that score a model's texts too: those of its `scored_by`, else those of `cross` but for itself."""
    own = models[model].scored_by
    names, where = (cross.references, "cross.references") if own is None else (own, f"models.{model}.scored_by")
    for number, name in enumerate(names):
        if name not in models:
            raise SettingsError(f"{path}: {where}: there is no model {name!r}{suggestion(name, models)}")
        if name in names[:number]:
            raise SettingsError(f"{path}: {where}: names {name} twice")
        if own is not None and name == model:
            raise SettingsError(
                f"{path}: {where}: {name} is the model itself; a reference is another entry of models, which "
                "may have the same weights"
            )
    return tuple(Reference(name, models[name]) for name in names if name != model)


def _section(
    inline: dict[str, Any] | None, named: str | None, name: str, path: Path, where: str = ""
) -> dict[str, Any]:
    """A `task` or `sampling`, inline or from a file, checked on its own: a mistake is said once, where it stands."""
    settings, file, key = inline_or_file(inline, named, name, path, path.parent, where)
    validate(_SECTIONS[name], settings, file, key)
    return settings


def _named(entries: dict[str, Any], section: str, path: Path) -> list[tuple[str, Any]]:
    if not entries:
        raise SettingsError(f"{path}: {section}: names none; a study has at least one")
    for name in entries:
        if not NAME_PATTERN.fullmatch(name):
            key = f"{section}.{name if name.isprintable() else repr(name)}"
            raise SettingsError(
                f"{path}: {key}: a short name is wanted (letters, digits and . _ + -, beginning with a letter or "
                "digit, at most 100); it becomes a folder and part of a URL"
            )
    return [(name, {} if value is None else value) for name, value in entries.items()]


def _with_overrides(kind: type[E], raw: Any, path: Path, where: str) -> E:
    """A data set's or model's entry; `task_config` and `sampling_config` give way to what their files hold."""
    entry = validate(kind, raw, path, where)
    sections: dict[str, dict[str, Any] | None] = {}
    for name, inline, file in (
        ("task", entry.task, entry.task_config),
        ("sampling", entry.sampling, entry.sampling_config),
    ):
        section = _section(inline, file, name, path, f"{where}.")
        sections |= {name: section or None, f"{name}_config": None}
    return entry.model_copy(update=sections)


def _merged(kind: type[S], section: str, layers: tuple[dict[str, Any] | None, ...], path: Path) -> S:
    """The layers, weakest first, as one checked section. Of keys that exclude each other the strongest one stays."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, other in _EXCLUDING.get(section, ()):
            if (layer or {}).get(name) is not None:
                merged.pop(other, None)
        merged |= layer or {}
    return validate(kind, merged, path, section)
