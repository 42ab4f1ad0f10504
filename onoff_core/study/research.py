"""Read the research scripts' settings file (`00_sample`, `01_dist`, `02_visualize`) as a study of one partition.

The file is taken as it stands. What this project does not know is passed over with a warning, but an unknown key of a
section that decides the results is an error. Relative paths start at the file's project root: the nearest folder at or
above the file that holds `.git`, `pyproject.toml` or `setup.py`, and the file's own folder where there is none.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from onoff_core.errors import SettingsError
from onoff_core.study.checking import shown, validate
from onoff_core.study.files import inline_or_file, resolve_store_path
from onoff_core.study.settings import (
    Backend,
    Count,
    DatasetSettings,
    DistributionSettings,
    ModelSettings,
    Name,
    SamplingSettings,
    Section,
    StoreSettings,
    TaskSettings,
)
from onoff_core.study.study import Outputs, Partition, Study, partition_key, suggestion

SAMPLE, DIST, VISUALIZE = "00_sample", "01_dist", "02_visualize"
RESULTS_FILE = "results.json"
_ROOT_MARKS = (".git", "pyproject.toml", "setup.py")
_FOLDER_KEYS = (
    *("dir", "folder", "path", "output_dir", "output_path", "save_dir", "save_path"),
    *("results_dir", "results_path", "distributions_dir", "distributions_path"),
)
_FILE_KEYS = ("output_file", "results_file", "statistics_file", "distributions_file", "npz_file")
_DEVICE = re.compile(r"(cpu|mps|cuda)(:\d+)?")

Mapped = dict[str, Any]
S = TypeVar("S", bound=Section)
logger = logging.getLogger(__name__)


class _Dataset(Section):
    """`00_sample.dataset`."""

    name: Name
    split: Name = "test"
    num_examples: Count | None = None


@dataclass(frozen=True)
class _File:
    """A research file, and where it and its relative paths lie."""

    path: Path
    root: Path

    def error(self, key: str, what: str) -> SettingsError:
        return SettingsError(f"{self.path}: {key}: {what}")

    def warn(self, key: str, what: str) -> None:
        logger.warning("%s: %s: %s", self.path, key, what)

    def section(self, raw: Any, key: str) -> Mapped:
        """A part of the file as settings by name; null is an empty one."""
        if raw is not None and not isinstance(raw, dict):
            raise self.error(key, f"settings by name are wanted (name: value), not {shown(raw)}")
        return raw or {}

    def deciding(self, raw: Any, key: str, names: tuple[str, ...]) -> Mapped:
        """The same, without sections that nobody here knows; a plain value nobody knows is an error."""
        for name, value in self.section(raw, key).items():
            if name not in names and not isinstance(value, dict):
                raise self.error(f"{key}.{name}", f"unknown key{suggestion(str(name), names)}")
        return self.known(raw, key, names)

    def known(self, raw: Any, key: str, names: tuple[str, ...]) -> Mapped:
        """The same, without anything that nobody here knows."""
        section = self.section(raw, key)
        for name in section:
            if name not in names:
                self.warn(f"{key}.{name}", "is not known to this project; ignored")
        return {name: value for name, value in section.items() if name in names}

    def folder(self, raw: Any, key: str, bare: Path | None = None) -> Path:
        """The folder that is named, or that of a file of JSON or NPZ; `bare` is where one without a folder lies."""
        if not isinstance(raw, str) or not raw:
            raise self.error(key, f"a folder is wanted, not {shown(raw)}")
        path = (bare if bare and "/" not in raw else self.root) / Path(raw).expanduser()
        if path.suffix not in (".json", ".npz"):
            return path
        if path.stem not in ("results", "statistics", "distributions"):
            self.warn(key, f"{path.name} is written under this project's name for it, such as {RESULTS_FILE}")
        return path.parent


def is_research_file(raw: Mapping[str, Any]) -> bool:
    """Whether a settings file is one of the research scripts'."""
    return any(name in raw for name in (SAMPLE, DIST, VISUALIZE))


def research_study(raw: Mapping[str, Any], path: Path) -> Study:
    """Check the content of a research file; the study has one partition.

    `global.cuda.visible_devices` is put into the environment here, before anything can have asked for a GPU, unless
    the caller's shell has set it.
    """
    file = _File(path, _project_root(path))
    _warn_of_the_rest(file, raw)
    if SAMPLE not in raw:
        raise file.error(SAMPLE, f"is missing; {DIST} and {VISUALIZE} are of its samples")
    sample = file.deciding(
        raw[SAMPLE], SAMPLE, ("task", "task_config", "dataset", "backend", "sampling", "sampling_config", "output")
    )
    dist = file.deciding(raw.get(DIST), DIST, ("input", "backend", "distribution", "output"))
    backend = _backend(file, sample, f"{SAMPLE}.backend")
    if dist.get("backend") is not None:
        _same_backend(file, backend, _backend(file, dist, f"{DIST}.backend"))
    model, model_settings = _short_name(backend.model_name), ModelSettings(**dict(backend))
    dataset, name = _dataset(file, sample.get("dataset"))
    outputs = Outputs(
        results=_folder(file, sample.get("output"), f"{SAMPLE}.output"),
        distributions=_folder(file, dist.get("output"), f"{DIST}.output"),
    )
    _check_results_file(file, dist, outputs)
    _set_visible_devices(file, raw.get("global"))
    partition = Partition(
        dataset=name,
        model=model,
        dataset_settings=dataset,
        model_settings=model_settings,
        task=_settings(file, sample, "task", TaskSettings),
        sampling=_settings(file, sample, "sampling", SamplingSettings),
        distribution=validate(
            DistributionSettings,
            _in_our_words(file.section(dist.get("distribution"), f"{DIST}.distribution")),
            path,
            f"{DIST}.distribution",
        ),
        base_dir=file.root,
    )
    store = validate(StoreSettings, file.section(raw.get("store"), "store"), path, "store")
    return Study(
        config_path=path,
        base_dir=file.root,
        store_path=resolve_store_path(store, file.root),
        datasets={name: dataset},
        models={model: model_settings},
        partitions={partition_key(name, model): partition},
        outputs=outputs,
    )


def _project_root(path: Path) -> Path:
    for folder in path.parents:
        if any((folder / mark).exists() for mark in _ROOT_MARKS):
            return folder
    return path.parent


def _warn_of_the_rest(file: _File, raw: Mapping[str, Any]) -> None:
    for name in ("datasets", "models"):
        if name in raw:
            raise file.error(name, f"belongs to an onoff.yaml and stands beside {SAMPLE}; keep one of the two forms")
    for name in raw:
        if name not in (SAMPLE, DIST, VISUALIZE, "global", "store"):
            file.warn(str(name), "a section this project does not know; ignored")
    visualize = file.section(raw.get(VISUALIZE), VISUALIZE)
    for name in visualize:
        if name != "input":
            file.warn(f"{VISUALIZE}.{name}", "has no effect here; `onoff browse` shows the store")


def _settings(file: _File, sample: Mapped, name: str, kind: type[S]) -> S:
    """`task` or `sampling`, inline or from the file that `task_config` or `sampling_config` names."""
    inline, named = sample.get(name), sample.get(f"{name}_config")
    settings, where, key = inline_or_file(inline, named, name, file.path, file.root, f"{SAMPLE}.")
    return validate(kind, _in_our_words(settings), where, key)


def _in_our_words(raw: Mapped) -> Mapped:
    """Sampling or distribution settings with what transformers takes for "none": a `top_k` of 0 (others: -1), a null
    `top_p`, `temperature` or `stop_strings`, and one stop string without a list.
    """
    settings = {k: v for k, v in raw.items() if v is not None or k not in ("top_p", "temperature", "stop_strings")}
    if settings.get("top_k") in (0, -1) and not isinstance(settings["top_k"], bool):
        settings["top_k"] = None
    if isinstance(settings.get("stop_strings"), str):
        settings["stop_strings"] = [settings["stop_strings"]]
    return settings


def _backend(file: _File, step: Mapped, key: str) -> Backend:
    """The backend of a step."""
    raw, place = file.section(step.get("backend"), key), f"{key}.backend_specific"
    options = {k: v for k, v in file.section(raw.get("backend_specific"), place).items() if v is not None}
    if isinstance(options.get("torch_dtype"), str):
        options["torch_dtype"] = options["torch_dtype"].removeprefix("torch.")
    if isinstance(options.get("num_process"), list):
        del options["num_process"]
        file.warn(f"{place}.num_process", "has no effect here as a list; write how many replicas there should be")
    if "num_process" in options:
        options["num_process_at_most"] = True  # the scripts' files travel between machines
    if "device_map" in options and "device" in options:
        del options["device"]
        file.warn(place, "device_map decides where the model goes; device is ignored")
    if isinstance(options.get("device_map"), str) and _DEVICE.fullmatch(options["device_map"]):
        options["device"] = options.pop("device_map")
    return validate(Backend, {**raw, "backend_specific": options}, file.path, key)


def _same_backend(file: _File, sample: Backend, dist: Backend) -> None:
    """Samples are scored by the model that drew them; the study has one."""
    ours, theirs = _flat(sample), _flat(dist)
    different = ", ".join(f"{key} ({ours[key]!r} and {theirs[key]!r})" for key in ours if ours[key] != theirs[key])
    if different:
        raise file.error(
            f"{DIST}.backend",
            f"differs from {SAMPLE}.backend in {different}. Samples are scored by the model that drew them: make the "
            f"two equal, or remove {DIST}.backend",
        )


def _flat(backend: Backend) -> Mapped:
    """All of a backend's settings in one row, but for the number of replicas: that of the sampler holds for both."""
    options = backend.backend_specific.model_dump(exclude={"num_process", "num_process_at_most"})
    return {**backend.model_dump(), "backend_specific": None, **options}


def _dataset(file: _File, raw: Any) -> tuple[DatasetSettings, str]:
    """A folder or a file of the project, there or in its `data` folder; a name on the hub; else a known data set."""
    key = f"{SAMPLE}.dataset"
    section = dict(file.section(raw, key))
    if section.get("num_examples") == -1:  # all, as some wrote it
        section["num_examples"] = None
    wanted = validate(_Dataset, section, file.path, key)
    place: Mapped = {"source": wanted.name}
    for local in (wanted.name, f"data/{wanted.name}"):
        found = file.root / Path(local).expanduser()
        if found.is_dir() or found.is_file():
            place = {"data_dir" if found.is_dir() else "path": local}
            break
    else:
        if "/" in wanted.name:
            place = {"hub": _hub_id(file, wanted.name, f"{key}.name")}
    short = _short_name(str(Path(wanted.name).with_suffix("")) if "path" in place else wanted.name)
    settings = {"split": wanted.split, "num_examples": wanted.num_examples, **place}
    return validate(DatasetSettings, settings, file.path, key), short


def _hub_id(file: _File, name: str, key: str) -> str:
    """A name with a slash is a hub id, unless it reads as a path: then the folder or file is not there."""
    path = file.root / Path(name).expanduser()
    if name.count("/") > 1 or name.startswith((".", "/", "~")) or path.parent.is_dir():
        raise file.error(
            key, f"names {path}, which is neither a folder nor a file; a data set on the hub is owner/name"
        )
    return name


def _short_name(name: str) -> str:
    """What stands in the partition's key: `Qwen/Qwen3-8B` is `qwen3-8b`."""
    last = re.split(r"[/:\\]", name.rstrip("/"))[-1].lower()
    return re.sub(r"[^a-z0-9._+-]", "-", last).lstrip("._+-")[:100] or "unnamed"


def _folder(file: _File, raw: Any, key: str) -> Path | None:
    """The folder an `output` names: as text, or under keys such as `results_dir` and `results_file`."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        return file.folder(raw, key)
    named = {
        name: value for name, value in file.known(raw, key, _FOLDER_KEYS + _FILE_KEYS).items() if value is not None
    }
    folders = {file.folder(value, f"{key}.{name}") for name, value in named.items() if name in _FOLDER_KEYS}
    bare = next(iter(folders), file.root)  # where a file lies that is named without its folder
    for name in named.keys() - set(_FOLDER_KEYS):
        folders.add(file.folder(named[name], f"{key}.{name}", bare))
    if len(folders) > 1:
        raise file.error(key, f"{' and '.join(named)} name different folders; keep one")
    if not folders:
        file.warn(key, f"names no folder, so nothing is written; write {key.rpartition('.')[2]}: FOLDER")
    return next(iter(folders), None)


def _check_results_file(file: _File, dist: Mapped, outputs: Outputs) -> None:
    """Distributions here are always those of the partition's own samples; say so where the file names others."""
    named = file.known(dist.get("input"), f"{DIST}.input", ("results_file",)).get("results_file")
    if named is None:
        return
    if not isinstance(named, str):
        raise file.error(f"{DIST}.input.results_file", f"the path of a file is wanted, not {shown(named)}")
    path = file.root / Path(named).expanduser()
    if outputs.results is None or path != outputs.results / RESULTS_FILE:
        file.warn(
            f"{DIST}.input.results_file",
            f"{path} is not what {SAMPLE} writes here; the distributions are those of the partition's current samples. "
            f"To use that file: onoff import {path}",
        )


def _set_visible_devices(file: _File, raw: Any) -> None:
    known = file.known(raw, "global", ("cuda",))
    devices = file.known(known.get("cuda"), "global.cuda", ("visible_devices",)).get("visible_devices")
    if devices is None:
        return
    values = devices if isinstance(devices, list) else [devices]
    if any(isinstance(value, bool) or not isinstance(value, (int, str)) for value in values):
        raise file.error("global.cuda.visible_devices", f'GPU numbers such as "0,1" are wanted, not {shown(devices)}')
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", ",".join(str(value) for value in values))
