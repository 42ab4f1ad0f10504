"""What a partition's task and sampling say about thinking, checked together, as neither can be on its own."""

from pathlib import Path

from onoff_core.errors import SettingsError
from onoff_core.study.study import Partition
from onoff_core.study.task_settings import TemplateType

OWN_TEMPLATES: tuple[TemplateType, ...] = ("model", "openai")  # written by the tokenizer's own chat template


def check_thinking(partition: Partition, path: Path) -> None:
    """Raise a `SettingsError` for what cannot be; `path` names the settings file in it."""
    task, sampling = partition.task, partition.sampling
    if task.chat_template is not None and task.template_type not in OWN_TEMPLATES:
        raise SettingsError(
            f"{path}: task.chat_template: {partition.key} is prompted with template_type: {task.template_type}, which "
            f"takes no arguments ({', '.join(task.chat_template)}); set task.template_type: model"
        )
    branches = partition.branches
    if branches is not None and branches.positions.how == "thinking_steps" and task.thinking is None:
        raise SettingsError(
            f"{path}: branches.positions: how: thinking_steps asks for the thinking of {partition.key}, and which tags "
            "stand around it is not said; set task.thinking: auto, or {open, close}"
        )
    budget = sampling.thinking_budget
    if budget is None:
        return
    where = f"{path}: sampling.thinking_budget: of {partition.key}:"
    if task.thinking is None:
        raise SettingsError(
            f"{where} which tags stand around its thinking is not said; set task.thinking: auto, or {{open, close}}"
        )
    if budget >= sampling.max_length:
        raise SettingsError(
            f"{where} {budget} tokens of thinking leave none of max_length ({sampling.max_length}) for an answer; "
            "lower thinking_budget, or raise max_length"
        )
    if partition.model_settings.backend_type == "openai":
        raise SettingsError(
            f"{where} models.{partition.model} samples through servers (backend_type: openai), which draw every token "
            "themselves, so that none can be put in; sample with backend_type: huggingface, or set "
            f"models.{partition.model}.sampling: {{thinking_budget: null}}"
        )
