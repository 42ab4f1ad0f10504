"""Read `onoff.yaml` into a `Study`: find the file, apply overrides, and turn every mistake into one clear sentence.

Order of precedence for `task` and `sampling`, weakest first: the study's, the data set's, the model's.
"""

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from onoff_core.errors import SettingsError
from onoff_core.study.settings import (
    AutomationSettings,
    DatasetSettings,
    DistributionSettings,
    ModelSettings,
    SamplingSettings,
    Section,
    StoreSettings,
    TaskSettings,
)
from onoff_core.study.study import Partition, Study, partition_key, suggestion

CONFIG_NAME = "onoff.yaml"
# What may stand in a partition key: it becomes a folder name and part of a URL, and Dagster reserves | , [ ].
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

S = TypeVar("S", bound=Section)
E = TypeVar("E", DatasetSettings, ModelSettings)
_SECTIONS: dict[str, type[Section]] = {"task": TaskSettings, "sampling": SamplingSettings}


def _nothing_as_empty(value: Any) -> Any:
    """A heading with all its lines commented out reads as null in YAML."""
    return {} if value is None else value


class _StudyFile(Section):
    """The top level of `onoff.yaml`, before overrides are applied."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    datasets: dict[str, Any]
    models: dict[str, Any]
    task: dict[str, Any] | None = None
    task_config: str | None = None
    sampling: dict[str, Any] | None = None
    sampling_config: str | None = None
    distribution: Annotated[DistributionSettings, BeforeValidator(_nothing_as_empty)] = DistributionSettings()
    store: Annotated[StoreSettings, BeforeValidator(_nothing_as_empty)] = StoreSettings()
    automation: Annotated[AutomationSettings, BeforeValidator(_nothing_as_empty)] = AutomationSettings()


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML without silently overwritten keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *anchor`, which pyyaml itself resolves
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here a second time", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def find_config(start: Path | None = None) -> Path:
    """The settings file: `ONOFF_CONFIG`, else `onoff.yaml` in `start` (the current folder) or the nearest parent."""
    named = os.environ.get("ONOFF_CONFIG")
    if named:
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise SettingsError(f"ONOFF_CONFIG names {path}, which is not a file")
        return path
    folder = (start or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / CONFIG_NAME).is_file():
            return candidate / CONFIG_NAME
    raise SettingsError(
        f"no {CONFIG_NAME} in {folder} or a folder above it. "
        "Go to the project's folder, or set ONOFF_CONFIG to the file"
    )


def load_study(path: Path | None = None) -> Study:
    """Read a settings file (found by `find_config` unless named) and check all of it."""
    from onoff_core.study.research import is_research_file, research_study  # which itself builds on this module

    config = find_config() if path is None else path.absolute()
    raw = read_yaml(config)
    return research_study(raw, config) if is_research_file(raw) else parse_study(raw, config)


def parse_study(raw: Mapping[str, Any], path: Path) -> Study:
    """Check the content of a settings file; `path` names it in errors and is where relative paths start."""
    base_dir = path.parent
    top = validate(_StudyFile, raw, path, "")
    task = _section(top.task, top.task_config, "task", path)
    sampling = _section(top.sampling, top.sampling_config, "sampling", path)
    validate(TaskSettings, task, path, "task")  # said of the shared section once, not of every partition
    validate(SamplingSettings, sampling, path, "sampling")
    datasets = {
        name: _with_overrides(DatasetSettings, value, path, f"datasets.{name}")
        for name, value in _named(top.datasets, "datasets", path)
    }
    models = {
        name: _with_overrides(ModelSettings, value, path, f"models.{name}")
        for name, value in _named(top.models, "models", path)
    }
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
            )
    return Study(
        config_path=path,
        base_dir=base_dir,
        store_path=resolve_store_path(top.store, base_dir),
        datasets=datasets,
        models=models,
        partitions=partitions,
        automation=top.automation,
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: must hold settings by name, such as 'datasets:' and 'models:'")
    return raw


def resolve_store_path(store: StoreSettings, base_dir: Path) -> str:
    """Where results live: `ONOFF_STORE`, else `store.path`; an absolute path or a URL."""
    override = os.environ.get("ONOFF_STORE")
    path = override or store.path
    if "://" in path:
        return path.rstrip("/")
    # ONOFF_STORE is typed in a shell and so is relative to where it was typed.
    return str((Path.cwd() if override else base_dir) / Path(path).expanduser())


def _section(inline: dict[str, Any] | None, file: str | None, name: str, path: Path, where: str = "") -> dict[str, Any]:
    """A `task` or `sampling`: inline, or from the file that `task_config` or `sampling_config` names."""
    if inline is not None and file is not None:
        raise SettingsError(f"{path}: {where}{name} and {where}{name}_config both stand there; keep one")
    if file is None:
        return inline or {}
    other = path.parent / Path(file).expanduser()
    if not other.is_file():
        raise SettingsError(f"{path}: {where}{name}_config names {other}, which is not a file")
    content = read_yaml(other)
    inner = content.get(name, content)  # the file may repeat the section's name
    if not isinstance(inner, dict):
        raise SettingsError(f"{other}: {name} must hold settings by name")
    validate(_SECTIONS[name], inner, other, name)
    return inner


def _named(entries: dict[str, Any], section: str, path: Path) -> list[tuple[str, Any]]:
    if not entries:
        raise SettingsError(f"{path}: {section}: names none; a study has at least one")
    for name in entries:
        if not NAME_PATTERN.fullmatch(name):
            raise SettingsError(
                f"{path}: {section}.{name}: a short name is wanted (letters, digits and . _ + -, "
                "beginning with a letter or digit); it becomes a folder and part of a URL"
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
        if section:
            validate(_SECTIONS[name], section, path, f"{where}.{name}")
        sections |= {name: section or None, f"{name}_config": None}
    return entry.model_copy(update=sections)


def _merged(kind: type[S], section: str, layers: tuple[dict[str, Any] | None, ...], path: Path) -> S:
    """The layers, weakest first, as one checked section."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer or {}
    return validate(kind, merged, path, section)


def validate(kind: type[S], raw: Any, path: Path, where: str) -> S:
    """A section of a settings file, checked; every mistake is a sentence that names the file and the key."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = [f"{path}: {_sentence(kind, one, where)}" for one in error.errors()]
        raise SettingsError("\n".join(problems)) from error


def _sentence(kind: type[BaseModel], error: Any, where: str) -> str:
    """One pydantic error as `key: what is wrong (what is allowed)`."""
    location = [str(part) for part in error["loc"] if not _is_type_tag(part)]
    key = ".".join([*([where] if where else []), *location]) or "the file"
    match error["type"]:
        case "extra_forbidden":
            owner = _section_at(kind, location[:-1])
            return f"{key}: unknown key{suggestion(location[-1], owner.model_fields)}"
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case "dict_type" | "model_type":
            return f"{key}: settings by name are wanted (name: value), not {error['input']!r}"
        case "tuple_type":
            return f"{key}: a list is wanted, such as [a, b], not {error['input']!r}"
        case "string_too_short":
            return f"{key}: is empty"
        case _:
            message = error["msg"][0].lower() + error["msg"][1:]
            return f"{key}: {message.replace('input ', '')}, not {error['input']!r}"


def _is_type_tag(part: Any) -> bool:
    """Pydantic puts the branch of a union it tried into the location; a reader wants keys and positions only."""
    return isinstance(part, str) and (part in {"constrained-int", "int", "float", "str", "none"} or "[" in part)


def _section_at(kind: type[BaseModel], location: list[str]) -> type[BaseModel]:
    for part in location:
        if part in kind.model_fields:
            annotation = kind.model_fields[part].annotation
            candidates = [annotation, *getattr(annotation, "__args__", ())]
            nested = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
            if nested:
                kind = nested[0]
    return kind
