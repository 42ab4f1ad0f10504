"""Find the version of the problems that the settings name now, without reading the data set each time.

A version is the hash of the problems' content, so finding it means reading them. The store keeps each version that was
found, with the settings and the state of the file; when one of these changes, the data set is read again. A data set on
the hub is read again where `fresh` is asked for (observing the asset `problems` does so).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from onoff_core.errors import DatasetError, ModelError, OnoffError
from onoff_core.grid.fingerprints import (
    CODE_VERSIONS,
    distribution_settings_version,
    fingerprint_of,
    optional_settings,
    reward_settings_version,
    sampling_settings_version,
    statistics_settings,
)
from onoff_core.problems import load_problems, problems_version
from onoff_core.problems.loading import files_read
from onoff_core.store import Store
from onoff_core.study import DatasetSettings, Partition, Study


def current_problems_version(
    name: str, settings: DatasetSettings, base_dir: Path, store: Store, *, fresh: bool = False
) -> str:
    """The version of the problems these settings name; raises `DatasetError` if they have to be read and cannot be."""
    file, identity = _found_name(name), _identity(name, settings, base_dir)
    if not fresh and store.files.exists(file):
        found = _read(store, file)
        if found.get("identity") == identity and "version" in found:
            return found["version"]
    version = problems_version(load_problems(name, settings, base_dir))
    keep_problems_version(name, settings, base_dir, store, version)
    return version


def keep_problems_version(name: str, settings: DatasetSettings, base_dir: Path, store: Store, version: str) -> None:
    """Keep a version that was found by reading the data set."""
    content = {"identity": _identity(name, settings, base_dir), "version": version}
    if not store.files.exists(_found_name(name)) or _read(store, _found_name(name)) != content:
        store.files.write_bytes(_found_name(name), json.dumps(content).encode())


@dataclass(frozen=True)
class ProblemsVersions:
    """The version of the problems that the settings name now, for each data set."""

    found: dict[str, str]  # data set -> version; data sets without results are left out, and are not read for this
    wrong: dict[str, str]  # data set that cannot be read -> why


def problems_versions(study: Study, store: Store) -> ProblemsVersions:
    """Look at every data set with results; the others are not read, since nothing of them can be stale."""
    found, wrong = {}, {}
    sampled = {partition[0] for partition in store.partitions("samples")}
    for name, settings in study.datasets.items():
        if name not in sampled and not store.files.exists(_found_name(name)):
            continue
        try:
            found[name] = current_problems_version(name, settings, study.base_dir, store)
        except OnoffError as error:
            wrong[name] = str(error)
    return ProblemsVersions(found, wrong)


def kept_problems_version(name: str, settings: DatasetSettings, base_dir: Path, store: Store) -> str | None:
    """The version that was found last, if these settings and this file are what it was found in; nothing is read."""
    file = _found_name(name)
    found = _read(store, file) if store.files.exists(file) else {}
    return found.get("version") if found.get("identity") == _identity(name, settings, base_dir) else None


def inputs_version(partition: Partition) -> str:
    """The hash of all that a run of the partition depends on, found without reading the data set.

    Two runs with the same hash do the same, so where one fails for a lasting reason the other fails too.
    """
    try:
        sampling = sampling_settings_version(partition)
    except ModelError as error:  # such as a folder that is not there; failures for that reason count too
        sampling = str(error)
    return fingerprint_of(
        [
            _identity(partition.dataset, partition.dataset_settings, partition.base_dir),
            sampling,
            reward_settings_version(partition),
            distribution_settings_version(partition),
            *filter(None, [statistics_settings(partition), optional_settings(partition)]),
            CODE_VERSIONS,
        ]
    )


def _found_name(name: str) -> str:
    return f"problems/{name}/.version.json"


def _read(store: Store, file: str) -> dict[str, str]:
    """The kept version, or nothing where the file is damaged: it can be found again."""
    try:
        content = json.loads(store.files.read_bytes(file))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _identity(name: str, settings: DatasetSettings, base_dir: Path) -> str:
    """The hash of everything that names the problems, without reading them."""
    content = settings.deciding({"task", "sampling"})
    stamp: list[int] | None = None
    if settings.path or settings.data_dir:
        try:
            states = [file.stat() for file in files_read(name, settings, base_dir)]
            stamp = [number for state in states for number in (state.st_mtime_ns, state.st_size)]
        except (OSError, DatasetError):  # no such file; reading the data set will say so
            stamp = None
    return fingerprint_of([name, content, stamp, CODE_VERSIONS["problems"]])
