"""Judge the results in a store by a study, for the catalog: whether they are in it, whether stale, and why."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from onoff_core.errors import ModelError
from onoff_core.grid import fingerprints
from onoff_core.grid.mismatch_tables import MISMATCH
from onoff_core.grid.problem_versions import kept_problems_version
from onoff_core.grid.status import wanted_cross, wanted_now
from onoff_core.store import Judged, Judgement, Store
from onoff_core.study import Partition, Study, partition_key
from onoff_core.tables import (
    ASSETS,
    BRANCH_TABLES,
    CODE_VERSIONS,
    CONFIDENCE_TABLES,
    OPTIONAL_ASSETS,
    PART_TABLES,
    TABLES,
    THINKING_TABLES,
)

Key = tuple[str, tuple[str, ...]]  # asset, partition


def open_store(study: Study, facts: Mapping[str, Any] | None = None) -> Store:
    """The study's store. Catalogs published through it say which results are in the study, and which are stale."""
    store = Store(study.store_path, facts)
    store.max_bytes = study.max_bytes
    store.judge = StudyJudge(study, store)
    return store


class StudyJudge:
    """A study as the judge at a publication. It reads no data set: if the version of one is not known under these
    settings, its problems make nothing stale.
    """

    def __init__(self, study: Study, store: Store) -> None:
        self._study, self._store = study, store

    @cached_property
    def version(self) -> str:
        settings: list[Any] = [CODE_VERSIONS, sorted(self._problems.items()), list(self.checkpoints.items())]
        for partition in self._study.partitions.values():
            try:
                sampling = fingerprints.sampling_settings_version(partition)
            except ModelError as error:
                sampling = str(error)
            settings.append(
                [
                    partition.key,
                    sampling,
                    fingerprints.reward_settings_version(partition),
                    fingerprints.statistics_settings(partition),
                    fingerprints.distribution_settings_version(partition),
                    fingerprints.optional_settings(partition),
                ]
            )
        return fingerprints.fingerprint_of(settings)

    @property
    def checkpoints(self) -> dict[str, tuple[str, int]]:
        return self._study.checkpoints()

    @cached_property
    def _problems(self) -> dict[str, str]:
        """The version of each data set's problems, where it is known."""
        found = {
            name: kept_problems_version(name, settings, self._study.base_dir, self._store)
            for name, settings in self._study.datasets.items()
        }
        return {name: version for name, version in found.items() if version is not None}

    def judge(self, found: Mapping[Key, Judged]) -> dict[Key, Judgement]:
        said: dict[Key, Judgement] = {}
        for asset, partition in found:
            if asset == "problems":
                said[asset, partition] = self._of_problems(partition[0], found[asset, partition])
            elif asset == "vocabulary":
                said[asset, partition] = _MADE if partition[0] in self._study.models else _NOT_IN_STUDY
            elif asset == "comparisons":  # whether they are stale follows from their models
                said[asset, partition] = _MADE if partition[0] in self._study.datasets else _NOT_IN_STUDY
        grid: dict[tuple[str, ...], dict[str, Judged]] = defaultdict(dict)
        for (asset, partition), now in found.items():
            if TABLES[asset].partitioned_by == ("dataset", "model"):
                grid[partition][asset] = now
            elif len(partition) == 3:
                said[asset, partition] = self._of_cross(asset, partition, now, found)
        for names, there in grid.items():
            key = partition_key(*names)
            known = self._study.partitions.get(key)
            judged = dict.fromkeys(there, _NOT_IN_STUDY) if known is None else self._of_partition(known, there)
            said |= {(asset, names): judgement for asset, judgement in judged.items()}
        return said

    def _of_problems(self, dataset: str, now: Judged) -> Judgement:
        if dataset not in self._study.datasets:
            return _NOT_IN_STUDY
        stale = self._problems.get(dataset, now.fingerprint) != now.fingerprint
        return Judgement(True, stale, "the data set has other problems now" if stale else None)

    def _of_cross(self, asset: str, names: tuple[str, ...], now: Judged, found: Mapping[Key, Judged]) -> Judgement:
        """Of the cross-scores by one reference."""
        partition = self._study.partitions.get(partition_key(*names[:2]))
        asked = {} if partition is None else {one.name: one for one in partition.references}
        samples = found.get(("samples", names[:2]))
        if partition is None or names[2] not in asked:
            return _NOT_IN_STUDY
        if samples is None:
            return Judgement(True, None, "the samples that it was made from are not there")
        wanted = wanted_cross(partition, self._wanted_samples(partition, samples))
        if now.fingerprint == wanted[names[2]]:
            return _MADE
        settings = fingerprints.cross_settings(partition, asked[names[2]])
        inputs = {"samples": self._wanted_samples(partition, samples)}
        return Judgement(True, True, _reason(asset, now, inputs, settings))

    def _wanted_samples(self, partition: Partition, samples: Judged) -> str:
        """The fingerprint of the samples that the settings ask for; of those that are there, where it is not known."""
        version = self._problems.get(partition.dataset) or samples.inputs.get("problems")
        try:
            return (
                samples.fingerprint
                if version is None
                else wanted_now(partition, version, self._store, samples)["samples"]
            )
        except ModelError:  # is said of the samples
            return samples.fingerprint

    def _of_partition(self, partition: Partition, there: Mapping[str, Judged]) -> dict[str, Judgement]:
        samples = there.get("samples")
        version = self._problems.get(partition.dataset) or (samples.inputs.get("problems") if samples else None)
        if version is None:
            return {asset: Judgement(True, None, "which problems there are now is not known") for asset in there}
        try:
            wanted = wanted_now(partition, version, self._store, samples)
        except ModelError as error:
            return {asset: Judgement(True, None, str(error)) for asset in there}
        wanted |= {
            table.name: wanted[made.name]
            for made in (*ASSETS, *OPTIONAL_ASSETS)
            if made.name in wanted
            for table in made.tables
        }
        wanted |= dict.fromkeys(PART_TABLES, fingerprints.parts_fingerprint(partition, wanted["token_distributions"]))
        if partition.task.thinking is None:
            wanted = {name: fingerprint for name, fingerprint in wanted.items() if name not in THINKING_TABLES}
        inputs = {**wanted, "problems": version}
        settings = {
            "samples": lambda: fingerprints.sampling_settings(partition),
            "rewards": lambda: fingerprints.reward_settings(partition),
            **dict.fromkeys(
                ("statistics", "problem_statistics", "thinking_budgets"),
                lambda: fingerprints.statistics_settings(partition),
            ),
            **dict.fromkeys(PART_TABLES, lambda: fingerprints.part_settings(partition)),
            **dict.fromkeys(("token_distributions", *MISMATCH), lambda: fingerprints.distribution_settings(partition)),
            **dict.fromkeys(BRANCH_TABLES, lambda: fingerprints.branch_settings(partition)),
            **dict.fromkeys(CONFIDENCE_TABLES, lambda: fingerprints.confidence_settings(partition)),
            **dict.fromkeys(
                ("second_opinions", "second_opinion_statistics"),
                lambda: fingerprints.second_opinion_settings(partition),
            ),
        }
        said = {}
        for asset, now in there.items():
            if asset not in wanted:
                said[asset] = _NOT_ASKED_FOR
                continue
            stale = now.fingerprint != wanted[asset]
            reason = _reason(asset, now, inputs, settings[asset]() if asset in settings else {}) if stale else None
            said[asset] = Judgement(True, stale, reason)
        return said


_MADE = Judgement(True, False, None)
_NOT_IN_STUDY = Judgement(False, None, "not in the study")
_NOT_ASKED_FOR = Judgement(True, None, "the settings ask for none any more")


def _reason(asset: str, now: Judged, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """The first difference from what would be made now, in words."""
    for name in reversed(TABLES[asset].made_from):  # the farthest first, since it is the cause of the others
        if name in now.inputs and now.inputs[name] != inputs[name]:
            return "the data set has other problems now" if name == "problems" else f"made from former {name}"
    former, present = _flat(now.settings), _flat(settings)
    for key in sorted(former.keys() | present.keys()):
        if former.get(key) != present.get(key) and key != "model.model_name":
            return f"{key} is {present.get(key)!r}, was {former.get(key)!r}"
    if former.get("model.model_name") != present.get("model.model_name"):
        return "another model"
    return by_former_code(asset)


def by_former_code(asset: str) -> str:
    """The reason where inputs and settings are what they were."""
    return f"made by a former version of the code of {asset}"


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings as one level, with dots in the names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found
