"""What to run: one frozen tree of settings, read once from `onoff.yaml`.

In: a YAML file (and the task and sampling files it names). Out: a `Study`, and from it one `Partition` per dataset x
model with every override applied. This package reads no data set and loads no model.
"""

from onoff_core.study.branch_settings import BranchSettings
from onoff_core.study.confidence_settings import ConfidenceSettings
from onoff_core.study.cross_settings import CrossSettings
from onoff_core.study.files import find_config
from onoff_core.study.reading import load_study, parse_study
from onoff_core.study.settings import (
    AutomationSettings,
    BackCondition,
    Backend,
    BackendOptions,
    Condition,
    DatasetSettings,
    DistributionSettings,
    FakeFault,
    FakeScript,
    ModelSettings,
    ResourceSettings,
    SamplingSettings,
    ScoringSettings,
    StatisticsSettings,
    StoreSettings,
    SwitchSettings,
    UntilSettings,
)
from onoff_core.study.study import (
    Judge,
    Outputs,
    Partition,
    PartitionKey,
    Reference,
    Study,
    partition_key,
    split_partition_key,
)
from onoff_core.study.task_settings import (
    AUTO,
    Example,
    SecondOpinion,
    TaskSettings,
    TemplateType,
    Thinking,
    ThinkingTags,
)

__all__ = [
    "AUTO",
    "AutomationSettings",
    "BackCondition",
    "Backend",
    "BackendOptions",
    "BranchSettings",
    "Condition",
    "ConfidenceSettings",
    "CrossSettings",
    "DatasetSettings",
    "DistributionSettings",
    "Example",
    "FakeFault",
    "FakeScript",
    "Judge",
    "ModelSettings",
    "Outputs",
    "Partition",
    "PartitionKey",
    "Reference",
    "ResourceSettings",
    "SamplingSettings",
    "ScoringSettings",
    "SecondOpinion",
    "StatisticsSettings",
    "StoreSettings",
    "Study",
    "SwitchSettings",
    "TaskSettings",
    "TemplateType",
    "Thinking",
    "ThinkingTags",
    "UntilSettings",
    "find_config",
    "load_study",
    "parse_study",
    "partition_key",
    "split_partition_key",
]
