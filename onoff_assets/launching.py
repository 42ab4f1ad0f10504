"""What a partition's run asks the run launcher for: its model's `resources`, in each launcher's own words, as tags."""

import json

from onoff_core.study import Study

RAY, KUBERNETES = "dagster-ray/config", "dagster-k8s/config"


def launch_tags(study: Study, key: str) -> dict[str, str]:
    """None where the model asks for nothing. Launchers pass over each other's tags."""
    wanted = study.partitions[key].model_settings.resources
    if wanted is None:
        return {}
    ray = {name: value for name, value in wanted.model_dump().items() if value is not None}
    names = {"num_gpus": "nvidia.com/gpu", "num_cpus": "cpu"}
    limits = {names[name]: str(value) for name, value in ray.items()}
    container = {"container_config": {"resources": {"limits": limits, "requests": limits}}}
    return {RAY: json.dumps(ray), KUBERNETES: json.dumps(container)} if ray else {}
