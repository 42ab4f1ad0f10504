"""Read the research scripts' settings file (`00_sample`, `01_dist`, `02_visualize`) as a study of one partition.

The file is taken as it stands. Sections this project does not know are passed over with a warning; an unknown key
inside a section it does know is an error, because the key may decide the results. Relative paths start at the file's
project root: the nearest folder at or above the file that holds `.git`, `pyproject.toml` or `setup.py`, and the
file's own folder where there is none.
"""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from onoff_core.errors import SettingsError
from onoff_core.study.reading import read_yaml, resolve_store_path, validate
from onoff_core.study.settings import (
    BackendOptions,
    DatasetSettings,
    DistributionSettings,
    ModelSettings,
    Name,
    SamplingSettings,
    Section,
    StoreSettings,
    TaskSettings,
)
from onoff_core.study.study import Outputs, Partition, Study, partition_key

SAMPLE, DIST, VISUALIZE = "00_sample", "01_dist", "02_visualize"
RESULTS_FILE = "results.json"
_ROOT_MARKS = (".git", "pyproject.toml", "setup.py")
_OUTPUT_KEYS = ("dir", "folder", "output_dir", "path", "results_dir", "save_dir", "results_file", "distributions_file")

Mapped = dict[str, Any]
logger = logging.getLogger(__name__)


class _Dataset(Section):
    """`00_sample.dataset`."""

    name: Name
    split: Name = "test"
    num_examples: Annotated[int, Field(ge=1)] | None = None


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
            raise self.error(key, f"settings by name are wanted, not {raw!r}")
        return raw or {}

    def known(self, raw: Any, key: str, names: Iterable[str]) -> Mapped:
        """The same, without sections that nobody here knows; a plain value nobody knows is an error."""
        section, names = self.section(raw, key), tuple(names)
        for name, value in section.items():
            if name not in names and not isinstance(value, dict):
                raise self.error(f"{key}.{name}", f"unknown key. There are: {', '.join(names)}")
            if name not in names:
                self.warn(f"{key}.{name}", "a section this project does not know; ignored")
        return {name: value for name, value in section.items() if name in names}


def is_research_file(raw: Mapping[str, Any]) -> bool:
    """Whether a settings file is one of the research scripts'."""
    return SAMPLE in raw or DIST in raw


def research_study(raw: Mapping[str, Any], path: Path) -> Study:
    """Check the content of a research file; the study has one partition.

    `global.cuda.visible_devices` is put into the environment here, before anything can have asked for a GPU, unless
    the caller's shell has set it.
    """
    file = _File(path, _project_root(path))
    _warn_of_the_rest(file, raw)
    if SAMPLE not in raw:
        raise file.error(SAMPLE, f"is missing; the distributions of {DIST} are those of its samples")
    sample = file.known(
        raw[SAMPLE], SAMPLE, ("task", "task_config", "dataset", "backend", "sampling", "sampling_config", "output")
    )
    dist = file.known(raw.get(DIST), DIST, ("input", "backend", "distribution", "output"))
    backend, model = _backend(file, sample, f"{SAMPLE}.backend")
    if "backend" in dist:
        _same_backend(file, backend, _backend(file, dist, f"{DIST}.backend")[0])
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
        model_settings=backend,
        task=validate(TaskSettings, _settings(file, sample, "task"), path, f"{SAMPLE}.task"),
        sampling=_sampling(file, sample),
        distribution=validate(
            DistributionSettings, _no_top_k_as_null(dist.get("distribution")), path, f"{DIST}.distribution"
        ),
        base_dir=file.root,
    )
    store = validate(StoreSettings, file.section(raw.get("store"), "store"), path, "store")
    return Study(
        config_path=path,
        base_dir=file.root,
        store_path=resolve_store_path(store, file.root),
        datasets={name: dataset},
        models={model: backend},
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


def _settings(file: _File, sample: Mapped, name: str) -> Mapped:
    """`task` or `sampling`: inline, or from the file that `task_config` or `sampling_config` names."""
    inline, config = sample.get(name), sample.get(f"{name}_config")
    if inline is not None and config is not None:
        raise file.error(SAMPLE, f"{name} and {name}_config both stand there; keep one")
    if config is None:
        return file.section(inline, f"{SAMPLE}.{name}")
    if not isinstance(config, str):
        raise file.error(f"{SAMPLE}.{name}_config", f"the path of a file is wanted, not {config!r}")
    other = file.root / Path(config).expanduser()
    if not other.is_file():
        raise file.error(f"{SAMPLE}.{name}_config", f"names {other}, which is not a file")
    content = read_yaml(other)
    return file.section(content.get(name, content), f"{SAMPLE}.{name}_config ({other})")


def _sampling(file: _File, sample: Mapped) -> SamplingSettings:
    raw = dict(_no_top_k_as_null(_settings(file, sample, "sampling")))
    if raw.get("stop_strings", ()) is None:
        del raw["stop_strings"]
    return validate(SamplingSettings, raw, file.path, f"{SAMPLE}.sampling")


def _no_top_k_as_null(raw: Any) -> Any:
    """transformers writes "no truncation" as a top_k of 0, others as -1; here it is null."""
    if isinstance(raw, dict) and raw.get("top_k") in (0, -1) and not isinstance(raw["top_k"], bool):
        return {**raw, "top_k": None}
    return {} if raw is None else raw


def _backend(file: _File, step: Mapped, key: str) -> tuple[ModelSettings, str]:
    """The backend of a step, and the short name of its model."""
    raw = dict(file.section(step.get("backend"), key))
    options = dict(file.section(raw.get("backend_specific"), f"{key}.backend_specific"))
    dtype = options.get("torch_dtype")
    if isinstance(dtype, str):
        options["torch_dtype"] = dtype.removeprefix("torch.")
    elif dtype is None:
        options.pop("torch_dtype", None)
    if options.get("device_map") is not None and options.get("device") is not None:
        file.warn(f"{key}.backend_specific", "device_map decides where the model goes; device is ignored")
        options["device"] = None
    validate(BackendOptions, options, file.path, f"{key}.backend_specific")
    settings = validate(ModelSettings, {**raw, "backend_specific": options}, file.path, key)
    return settings, _short_name(settings.model_name)


def _same_backend(file: _File, sample: ModelSettings, dist: ModelSettings) -> None:
    """Samples are scored by the model that drew them; the study has one."""
    if sample == dist:
        return
    ours, theirs = _flat(sample.model_dump()), _flat(dist.model_dump())
    different = ", ".join(f"{key} ({ours[key]!r} and {theirs[key]!r})" for key in ours if ours[key] != theirs[key])
    raise file.error(
        f"{DIST}.backend",
        f"differs from {SAMPLE}.backend in {different}. Samples are scored by the model that drew them: make the two "
        f"equal, or remove {DIST}.backend",
    )


def _flat(settings: Mapped) -> Mapped:
    return {**{k: v for k, v in settings.items() if k != "backend_specific"}, **settings["backend_specific"]}


def _dataset(file: _File, raw: Any) -> tuple[DatasetSettings, str]:
    """A folder or a file of the project, there or in its `data` folder; a name on the hub; else a known data set."""
    key = f"{SAMPLE}.dataset"
    section = dict(file.section(raw, key))
    if section.get("num_examples") == -1:  # all, as some wrote it
        section["num_examples"] = None
    wanted = validate(_Dataset, section, file.path, key)
    place: Mapped = {"source": wanted.name}
    if "/" in wanted.name:
        place = {"hub": wanted.name}
    for local in (wanted.name, f"data/{wanted.name}"):
        found = file.root / Path(local).expanduser()
        if found.is_dir() or found.is_file():
            place = {"data_dir" if found.is_dir() else "path": local}
            break
    short = _short_name(str(Path(wanted.name).with_suffix("")) if "path" in place else wanted.name)
    settings = {"split": wanted.split, "num_examples": wanted.num_examples, **place}
    return validate(DatasetSettings, settings, file.path, key), short


def _short_name(name: str) -> str:
    """What stands in the partition's key: `Qwen/Qwen3-8B` is `qwen3-8b`."""
    last = re.split(r"[/:\\]", name.rstrip("/"))[-1].lower()
    return re.sub(r"[^a-z0-9._+-]", "-", last).lstrip("._+-") or "unnamed"


def _folder(file: _File, raw: Any, key: str) -> Path | None:
    """The folder an `output` names: as text, or under one of the usual keys; a file of JSON stands for its folder."""
    if isinstance(raw, dict):
        for name, value in raw.items():
            if name not in _OUTPUT_KEYS and isinstance(value, str):
                raise file.error(f"{key}.{name}", f"unknown key. There are: {', '.join(_OUTPUT_KEYS)}")
            if name not in _OUTPUT_KEYS:
                file.warn(f"{key}.{name}", "has no effect here")
        values = [(f"{key}.{name}", raw[name]) for name in _OUTPUT_KEYS if raw.get(name) is not None]
        folders = {place: _folder(file, value, place) for place, value in values}
        if len(set(folders.values())) > 1:
            raise file.error(key, f"{' and '.join(folders)} name different folders; keep one")
        return next(iter(folders.values()), None)
    if raw is None:
        return None
    if not isinstance(raw, str) or not raw:
        raise file.error(key, f"a folder is wanted, not {raw!r}")
    path = file.root / Path(raw).expanduser()
    if path.suffix in (".json", ".npz"):
        if path.stem not in ("results", "statistics", "distributions"):
            raise file.error(
                key, f"names the file {path.name}; this project writes results.json and distributions.json"
            )
        return path.parent
    return path


def _check_results_file(file: _File, dist: Mapped, outputs: Outputs) -> None:
    """Distributions here are always those of the partition's own samples; say so where the file names others."""
    named = file.section(dist.get("input"), f"{DIST}.input").get("results_file")
    if named is None:
        return
    if not isinstance(named, str):
        raise file.error(f"{DIST}.input.results_file", f"the path of a file is wanted, not {named!r}")
    path = file.root / Path(named).expanduser()
    if outputs.results is None or path.parent != outputs.results:
        file.warn(
            f"{DIST}.input.results_file",
            f"{path} is not what {SAMPLE} writes here; the distributions are those of the partition's current samples. "
            f"To use that file: onoff import {path.parent} --dataset DATASET --model MODEL",
        )


def _set_visible_devices(file: _File, raw: Any) -> None:
    known = file.known(raw, "global", ("cuda",))
    devices = file.section(known.get("cuda"), "global.cuda").get("visible_devices")
    if devices is None:
        return
    values = devices if isinstance(devices, list) else [devices]
    if any(isinstance(value, bool) or not isinstance(value, (int, str)) for value in values):
        raise file.error("global.cuda.visible_devices", f'GPU numbers such as "0,1" are wanted, not {devices!r}')
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", ",".join(str(value) for value in values))
