"""Find the model that gives a second opinion among the study's own."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from onoff_core.errors import SettingsError
from onoff_core.study.study import Judge, Partition, partition_key, suggestion
from onoff_core.study.thinking import OWN_TEMPLATES


def with_judge(partition: Partition, partitions: Mapping[str, Partition], path: Path) -> Partition:
    """The partition with the judge that its task asks for; `path` names the settings file in errors.

    A judge is prompted and run as in its own partition of the same data set, where nothing else is said.
    """
    asked = partition.task.second_opinion
    if asked is None or asked.model is None:
        return partition
    own = partitions.get(partition_key(partition.dataset, asked.model))
    if own is None:
        models = [other.model for other in partitions.values() if other.dataset == partition.dataset]
        raise SettingsError(
            f"{path}: task.second_opinion.model: the judge is one of models, and {asked.model!r} is not"
            f"{suggestion(asked.model, models)}"
        )
    template = asked.template_type or own.task.template_type
    arguments = own.task.chat_template if template in OWN_TEMPLATES else None
    judge = Judge(asked.model, own.model_settings, template, own.task.thinking, own.sampling.batch_size, arguments)
    return dataclasses.replace(partition, judge=judge)
