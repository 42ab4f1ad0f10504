"""Read the research scripts' settings file (`00_sample`, `01_dist`, `02_visualize`) as a study of one partition.

The file is taken as it stands. What this project does not know is passed over with a warning, but an unknown key of a
section that decides the results is an error. Relative paths start at the file's project root: the nearest folder at or
above the file that holds `.git`, `pyproject.toml` or `setup.py`, and the file's own folder where there is none.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onoff_core.study.checking import shown, validate
from onoff_core.study.files import expanded, inline_or_file, resolve_store_path
from onoff_core.study.judges import with_judge
from onoff_core.study.research_file import DIST, RESULTS_FILE, SAMPLE, VISUALIZE, Mapped, ResearchFile
from onoff_core.study.research_readings import (
    backend_in_our_words,
    distribution_in_our_words,
    same_backend,
    sampling_in_our_words,
    task_in_our_words,
)
from onoff_core.study.settings import (
    DatasetSettings,
    DistributionSettings,
    ModelSettings,
    SamplingSettings,
    StoreSettings,
)
from onoff_core.study.study import Outputs, Partition, Study
from onoff_core.study.task_settings import TaskSettings
from onoff_core.study.thinking import check_thinking
from onoff_core.study.values import Count, Name, Section

_ROOT_MARKS = (".git", "pyproject.toml", "setup.py")
_FOLDER_KEYS = (
    *("dir", "folder", "path", "output_dir", "output_path", "save_dir", "save_path"),
    *("results_dir", "results_path", "distributions_dir", "distributions_path"),
)
_FILE_KEYS = ("output_file", "results_file", "statistics_file", "distributions_file", "npz_file")
_OUTPUT_NAMES = ("output", "outputs", "results", "out")  # of folders that say nothing of what is in them


class _Dataset(Section):
    """`00_sample.dataset`."""

    name: Name
    split: Name = "test"
    num_examples: Count | None = None


def is_research_file(raw: Mapping[str, Any]) -> bool:
    """Whether a settings file is one of the research scripts'."""
    return any(name in raw for name in (SAMPLE, DIST, VISUALIZE))


def research_study(raw: Mapping[str, Any], path: Path) -> Study:
    """Check the content of a research file; the study has one partition.

    `global.cuda.visible_devices` is put into the environment here, before anything can have asked for a GPU, unless
    the caller's shell has set it.
    """
    file = ResearchFile(path, _project_root(path))
    _warn_of_the_rest(file, raw)
    dist = file.deciding(raw.get(DIST), DIST, ("input", "backend", "distribution", "output"))
    named = file.known(dist.get("input"), f"{DIST}.input", ("results_file",)).get("results_file")
    results_file = file.file(named, f"{DIST}.input.results_file")
    sample = file.deciding(
        raw.get(SAMPLE), SAMPLE, ("task", "task_config", "dataset", "backend", "sampling", "sampling_config", "output")
    )
    outputs = Outputs(
        results=_folder(file, sample.get("output"), f"{SAMPLE}.output"),
        distributions=_folder(file, dist.get("output"), f"{DIST}.output"),
    )
    if SAMPLE in raw:
        partition = _sampled(file, sample, dist)
        check_thinking(partition, path)
        _check_results_file(file, results_file, outputs)
    elif results_file is not None:
        partition = _given(file, dist, results_file)
    else:
        raise file.error(SAMPLE, f"is missing, and {DIST} names no input.results_file; both are of its samples")
    _set_visible_devices(file, raw.get("global"))
    store = validate(StoreSettings, file.section(raw.get("store"), "store"), path, "store")
    return Study(
        config_path=path,
        base_dir=file.root,
        store_path=resolve_store_path(store, file.root),
        datasets={partition.dataset: partition.dataset_settings},
        models={partition.model: partition.model_settings},
        partitions={partition.key: with_judge(partition, {partition.key: partition}, path)},
        outputs=outputs,
        results_file=None if SAMPLE in raw else results_file,
        notes=tuple(file.notes),
    )


def _sampled(file: ResearchFile, sample: Mapped, dist: Mapped) -> Partition:
    """The partition whose samples `00_sample` draws."""
    backend = backend_in_our_words(file, sample, f"{SAMPLE}.backend")
    if dist.get("backend") is not None:
        same_backend(file, backend, backend_in_our_words(file, dist, f"{DIST}.backend"))
    dataset, name = _dataset(file, sample.get("dataset"))
    task, where, key = _settings(file, sample, "task")
    sampling, sampling_where, sampling_key = _settings(file, sample, "sampling")
    return Partition(
        dataset=name,
        model=_short_name(backend.model_name),
        dataset_settings=dataset,
        model_settings=ModelSettings(**dict(backend)),
        task=validate(TaskSettings, task_in_our_words(file, task or {}, key), where, key),
        sampling=validate(
            SamplingSettings, sampling_in_our_words(file, sampling, sampling_key), sampling_where, sampling_key
        ),
        distribution=_distribution(file, dist) if dist else DistributionSettings(),
        base_dir=file.root,
    )


def _given(file: ResearchFile, dist: Mapped, results_file: Path) -> Partition:
    """The partition of a file with `01_dist` only: its samples are those of the results file that it names, and its
    problems are that file's questions and references.
    """
    backend = backend_in_our_words(file, dist, f"{DIST}.backend")
    return Partition(
        dataset=_name_of_results(results_file),
        model=_short_name(backend.model_name),
        dataset_settings=DatasetSettings(path=str(results_file)),
        model_settings=ModelSettings(**dict(backend)),
        task=TaskSettings(),
        sampling=SamplingSettings(),
        distribution=_distribution(file, dist),
        base_dir=file.root,
    )


def _name_of_results(results_file: Path) -> str:
    """A data set's short name for a results file: as the statistics beside it say, else as its folder does."""
    try:
        said = json.loads((results_file.parent / "statistics.json").read_text("utf-8"))["dataset"]
    except (OSError, ValueError, KeyError, TypeError):  # it is only a name; what the file holds is read when imported
        said = None
    if isinstance(said, str) and said.strip():
        return _short_name(re.sub(r"\s*\(.*\)$", "", said.strip()))
    telling = [folder.name for folder in results_file.parents if folder.name and folder.name not in _OUTPUT_NAMES]
    return _short_name(telling[0] if telling else results_file.stem)


def _distribution(file: ResearchFile, dist: Mapped) -> DistributionSettings:
    key = f"{DIST}.distribution"
    settings = distribution_in_our_words(file, file.section(dist.get("distribution"), key), key)
    return validate(DistributionSettings, settings, file.path, key)


def _project_root(path: Path) -> Path:
    for folder in path.parents:
        if any((folder / mark).exists() for mark in _ROOT_MARKS):
            return folder
    return path.parent


def _warn_of_the_rest(file: ResearchFile, raw: Mapping[str, Any]) -> None:
    for name in ("datasets", "models"):
        if name in raw:
            raise file.error(name, f"belongs to an onoff.yaml and stands beside {SAMPLE}; keep one of the two forms")
    for name in raw:
        if name not in (SAMPLE, DIST, VISUALIZE, "global", "store"):
            file.warn(str(name), "a section this project does not know; ignored")
    visualize = file.section(raw.get(VISUALIZE), VISUALIZE)
    for name, value in visualize.items():
        if name != "input" and value is not None:
            file.warn(f"{VISUALIZE}.{name}", "has no effect here; `onoff browse` shows the store")


def _settings(file: ResearchFile, sample: Mapped, name: str) -> tuple[Mapped | None, Path, str]:
    """`task` or `sampling`, inline or from the file that `task_config` or `sampling_config` names, which wins where
    both stand there: (settings, the file they stand in, their key there). None: there is no such section.
    """
    inline, named = sample.get(name), sample.get(f"{name}_config")
    if inline is None and named is None:
        return None, file.path, f"{SAMPLE}.{name}"
    if inline is not None and named is not None:
        file.warn(f"{SAMPLE}.{name}", f"{name}_config stands beside it and wins, as in the scripts; {name} is ignored")
        inline = None
    return inline_or_file(inline, named, name, file.path, file.root, f"{SAMPLE}.")


def _dataset(file: ResearchFile, raw: Any) -> tuple[DatasetSettings, str]:
    """A folder or a file of the project, there or in its `data` folder; a name on the hub; else a known data set."""
    key = f"{SAMPLE}.dataset"
    section = dict(file.section(raw, key))
    if section.get("num_examples") == -1:  # all, as some wrote it
        section["num_examples"] = None
    wanted = validate(_Dataset, section, file.path, key)
    place: Mapped = {"source": wanted.name}
    for local in (wanted.name, f"data/{wanted.name}"):
        found = file.root / expanded(local, f"{file.path}: {key}.name")
        if found.is_dir() or found.is_file():
            place = {"data_dir" if found.is_dir() else "path": local}
            break
    else:
        if "/" in wanted.name:
            place = {"hub": _hub_id(file, wanted.name, f"{key}.name")}
    short = _short_name(str(Path(wanted.name).with_suffix("")) if "path" in place else wanted.name)
    settings = {"split": wanted.split, "num_examples": wanted.num_examples, **place}
    return validate(DatasetSettings, settings, file.path, key), short


def _hub_id(file: ResearchFile, name: str, key: str) -> str:
    """A name with a slash is a hub id, unless it reads as a path: then the folder or file is not there."""
    path = file.root / expanded(name, f"{file.path}: {key}")
    if name.count("/") > 1 or name.startswith((".", "/", "~")) or path.parent.is_dir():
        raise file.error(
            key, f"names {path}, which is neither a folder nor a file; a data set on the hub is owner/name"
        )
    return name


def _short_name(name: str) -> str:
    """What stands in the partition's key: `Qwen/Qwen3-8B` is `qwen3-8b`."""
    last = re.split(r"[/:\\]", name.rstrip("/"))[-1].lower()
    return re.sub(r"[^a-z0-9._+-]", "-", last).lstrip("._+-")[:100] or "unnamed"


def _folder(file: ResearchFile, raw: Any, key: str) -> Path | None:
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


def _check_results_file(file: ResearchFile, results_file: Path | None, outputs: Outputs) -> None:
    """Distributions here are always those of the partition's own samples; say so where the file names others."""
    if results_file is None:
        return
    if outputs.results is None or results_file != outputs.results / RESULTS_FILE:
        file.warn(
            f"{DIST}.input.results_file",
            f"{results_file} is not what {SAMPLE} writes here; the distributions are those of the partition's current "
            f"samples. To use that file: onoff import {results_file}",
        )


def _set_visible_devices(file: ResearchFile, raw: Any) -> None:
    known = file.known(raw, "global", ("cuda",))
    devices = file.known(known.get("cuda"), "global.cuda", ("visible_devices",)).get("visible_devices")
    if devices is None:
        return
    values = devices if isinstance(devices, list) else [devices]
    if any(isinstance(value, bool) or not isinstance(value, (int, str)) for value in values):
        raise file.error("global.cuda.visible_devices", f'GPU numbers such as "0,1" are wanted, not {shown(devices)}')
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", ",".join(str(value) for value in values))
