"""The study: datasets x models, and the partition where one of each meets."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from onoff_core.errors import PartitionError
from onoff_core.study.branch_settings import BranchSettings
from onoff_core.study.confidence_settings import ConfidenceSettings
from onoff_core.study.cross_settings import CrossSettings
from onoff_core.study.settings import (
    AutomationSettings,
    DatasetSettings,
    DistributionSettings,
    ModelSettings,
    SamplingSettings,
    StatisticsSettings,
)
from onoff_core.study.task_settings import TaskSettings, TemplateType, Thinking


class PartitionKey(NamedTuple):
    """A dataset and a model. As text, `dataset|model`."""

    dataset: str
    model: str

    def __str__(self) -> str:
        return partition_key(self.dataset, self.model)


def partition_key(dataset: str, model: str) -> str:
    """`dataset|model`, as Dagster writes a key of two dimensions ordered by name."""
    return f"{dataset}|{model}"


def split_partition_key(key: str) -> PartitionKey:
    """(dataset, model) of a key."""
    dataset, bar, model = key.partition("|")
    if not bar or not dataset or not model or "|" in model:
        raise PartitionError(f"{key!r} is not a partition key; write 'dataset|model', such as 'aime2025|qwen3-8b'")
    return PartitionKey(dataset, model)


@dataclass(frozen=True)
class Reference:
    """Another model of the study, by which a model's texts are scored too."""

    name: str
    settings: ModelSettings


@dataclass(frozen=True)
class Judge:
    """The model that gives a second opinion, as it is prompted and run."""

    name: str  # in the study
    settings: ModelSettings
    template_type: TemplateType
    thinking: Thinking | None  # around what it thinks, where no verdict of it is looked for
    batch_size: int  # decides speed, not content
    chat_template: dict[str, Any] | None = None  # arguments of its own chat template, where it is prompted by that


@dataclass(frozen=True)
class Partition:
    """One cell of the grid, with every override applied: all that decides its content, and nothing else."""

    dataset: str
    model: str
    dataset_settings: DatasetSettings
    model_settings: ModelSettings
    task: TaskSettings
    sampling: SamplingSettings
    distribution: DistributionSettings
    base_dir: Path  # relative paths in dataset_settings and model_settings start here
    # Where the model's folder lay when the samples were made, where that is a part of their fingerprint; see
    # `grid.recorded`.
    recorded_folder: str | None = None
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    references: tuple[Reference, ...] = ()  # which score its texts too; none: no cross-scores are asked for
    cross: CrossSettings = field(default_factory=CrossSettings)
    branches: BranchSettings | None = None  # None: nobody asks for branches
    confidence: ConfidenceSettings | None = None  # None: nobody asks for it
    judge: Judge | None = None  # of task.second_opinion: {kind: model}

    @property
    def key(self) -> str:
        return partition_key(self.dataset, self.model)

    @property
    def names(self) -> PartitionKey:
        return PartitionKey(self.dataset, self.model)


@dataclass(frozen=True)
class Outputs:
    """Folders that a research file names; the research scripts' files are also written there. None: nowhere."""

    results: Path | None = None  # results.json, statistics.json
    distributions: Path | None = None  # distributions.json, distributions.npz


@dataclass(frozen=True)
class Study:
    """A settings file, read and checked."""

    config_path: Path
    base_dir: Path
    store_path: str  # absolute path or URL
    datasets: dict[str, DatasetSettings]
    models: dict[str, ModelSettings]
    partitions: dict[str, Partition]  # by key, in the order of the file
    automation: AutomationSettings = field(default_factory=AutomationSettings)
    outputs: Outputs = field(default_factory=Outputs)
    max_bytes: int | None = None  # that results in the store may take; None: as many as there is room for
    results_file: Path | None = None  # whose samples these are, in a research file that draws none; None: drawn here
    notes: tuple[str, ...] = ()  # where a key of a research file is read otherwise than by the scripts, a line each

    def partition(self, key: str) -> Partition:
        """The partition of a key `dataset|model`; a `PartitionError` says which part is unknown and what there is."""
        dataset, model = split_partition_key(key)
        if dataset not in self.datasets:
            raise PartitionError(self._unknown("dataset", dataset, self.datasets))
        if model not in self.models:
            raise PartitionError(self._unknown("model", model, self.models))
        return self.partitions[key]

    def dataset(self, name: str) -> DatasetSettings:
        """The settings of a dataset."""
        if name not in self.datasets:
            raise PartitionError(self._unknown("dataset", name, self.datasets))
        return self.datasets[name]

    def checkpoints(self, series: str | None = None) -> dict[str, tuple[str, int]]:
        """model -> (series, step), of one series or of all, in the order of their steps."""
        found = {
            name: (model.series, model.step)
            for name, model in self.models.items()
            if model.series is not None and model.step is not None and series in (None, model.series)
        }
        return dict(sorted(found.items(), key=lambda pair: pair[1]))

    def only(self, kind: str, names: Iterable[str]) -> str:
        """The one name there is; a `PartitionError` where there are several."""
        found = list(names)
        if len(found) > 1:
            raise PartitionError(f"name one with --{kind}; {self.config_path.name} has: {', '.join(found)}")
        return found[0]

    def model(self, name: str) -> ModelSettings:
        """The settings of a model."""
        if name not in self.models:
            raise PartitionError(self._unknown("model", name, self.models))
        return self.models[name]

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> str:
        return f"{self.config_path.name} has no {kind} {name!r}{suggestion(name, known)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'? There are: ...`, for the end of an error message."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else "."
    return f"{meant} There {'is' if len(names) == 1 else 'are'}: {', '.join(names)}"
