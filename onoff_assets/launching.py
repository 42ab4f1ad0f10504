"""What a partition's run asks the run launcher for: its model's `resources`, in each launcher's own words, as tags."""

import json
from collections.abc import Mapping

from onoff_core.study import ModelSettings, Study

RAY, KUBERNETES = "dagster-ray/config", "dagster-k8s/config"
RUN_TAGS = "onoff/run_tags"  # metadata of the definitions: model -> tags, where whoever queues a run finds them


def launch_tags(study: Study, key: str) -> dict[str, str]:
    """None where the model asks for nothing. Launchers pass over each other's tags."""
    return _tags(study.partitions[key].model_settings)


def tags_by_model(study: Study) -> dict[str, dict[str, str]]:
    """The same for all models that ask for something, by the model's name."""
    asked = {name: _tags(model) for name, model in study.models.items()}
    return {name: tags for name, tags in asked.items() if tags}


def missing_tags(
    run_tags: Mapping[str, str], model: str | None, by_model: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """What a run of a partition of `model` still lacks; what it was given by hand stays."""
    return {name: value for name, value in by_model.get(model or "", {}).items() if name not in run_tags}


def _tags(model: ModelSettings) -> dict[str, str]:
    wanted = model.resources
    if wanted is None:
        return {}
    ray = {name: value for name, value in wanted.model_dump().items() if value is not None}
    names = {"num_gpus": "nvidia.com/gpu", "num_cpus": "cpu"}
    limits = {names[name]: str(value) for name, value in ray.items()}
    container = {"container_config": {"resources": {"limits": limits, "requests": limits}}}
    return {RAY: json.dumps(ray), KUBERNETES: json.dumps(container)} if ray else {}
