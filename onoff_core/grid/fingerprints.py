"""Hash what decides a result: equal fingerprints mean equal content, and a changed setting starts a new generation.

samples             problems' content, model and revision, task, sampling settings
rewards             the samples' fingerprint, format and reward type
statistics          the rewards' fingerprint; statistics settings that are not the default
token_distributions the samples' fingerprint, distribution settings

and the asset's code version in each. `batch_size` and where a model runs decide speed, not content; precision
(`torch_dtype`) does decide it. With `seed: null` the fingerprint holds that null, and the manifest records the
seed that was drawn.
"""

import hashlib
import json
from typing import Any

from onoff_core.backends import DEFAULT_SCORER, scorer_kind, scoring_settings
from onoff_core.backends.identity import FOLDER, model_identity
from onoff_core.study import Partition
from onoff_core.tables import CODE_VERSIONS, GRID_ASSETS

ASSETS = GRID_ASSETS
__all__ = ["ASSETS", "CODE_VERSIONS"]


def fingerprint_of(content: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def sampling_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's samples besides the problems."""
    backend = partition.model_settings.backend_specific
    script = {} if backend.script is None else {"script": list(backend.script.responses)}
    identity = model_identity(partition.model_settings, partition.base_dir)
    if partition.recorded_folder is not None and identity["model_name"] == FOLDER:
        identity["model_name"] = partition.recorded_folder
    return {
        "model": {
            **identity,
            "backend_type": partition.model_settings.backend_type,
            "torch_dtype": backend.torch_dtype,
            **script,
            **_switch(partition),
            **({"engine": backend.engine} if partition.model_settings.backend_type == "openai" else {}),
        },
        "task": partition.task.deciding({"reward_type", "thinking"}),
        "sampling": partition.sampling.deciding({"batch_size"}),
        **({"left_to_model": left} if (left := list(partition.sampling.left_to_model)) else {}),
    }


def _switch(partition: Partition) -> dict[str, Any]:
    """What decides which of two models draws which token; the rest of the model's settings are the first's."""
    switch = partition.model_settings.switch
    if switch is None or switch.second_model is None:
        return {}
    second = switch.second_model
    script = (
        {} if second.backend_specific.script is None else {"script": list(second.backend_specific.script.responses)}
    )
    of_second = {
        **model_identity(second, partition.base_dir),
        "torch_dtype": second.backend_specific.torch_dtype,
        **script,
    }
    conditions = {
        name: condition.model_dump(mode="json", exclude_none=True)
        for name, condition in (("when", switch.when), ("back", switch.back))
        if condition is not None
    }
    return {"switch": {"second": of_second, **conditions}}


def reward_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's rewards besides the samples and the gold answers."""
    task = partition.task
    settings: dict[str, Any] = {"reward_type": task.reward_type, "format_type": task.format_type}
    if task.thinking is not None:  # it came later: what was graded without it stays what it is
        settings["thinking"] = task.thinking.model_dump(mode="json")
    return settings


def statistics_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's statistics besides the rewards: the settings that are not at their default."""
    return partition.statistics.model_dump(mode="json", exclude_defaults=True)


def distribution_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's token distributions besides the samples. `use_logits` matters to the export only.

    The engine that scores is named only where it is not the default one, its precision where it is not the sampler's.
    """
    model = partition.model_settings
    kind, dtype = scorer_kind(model), scoring_settings(model).backend_specific.torch_dtype
    scorer = {} if kind == DEFAULT_SCORER else {"scorer": kind}
    precision = {} if dtype == model.backend_specific.torch_dtype else {"torch_dtype": dtype}
    return {**partition.distribution.deciding({"use_logits"}), **scorer, **precision}


def sampling_settings_version(partition: Partition) -> str:
    return fingerprint_of(sampling_settings(partition))


def reward_settings_version(partition: Partition) -> str:
    return fingerprint_of(reward_settings(partition))


def distribution_settings_version(partition: Partition) -> str:
    return fingerprint_of(distribution_settings(partition))


def samples_fingerprint(partition: Partition, problems_version: str) -> str:
    return _of("samples", problems=problems_version, settings=sampling_settings_version(partition))


def rewards_fingerprint(partition: Partition, samples: str) -> str:
    return _of("rewards", samples=samples, settings=reward_settings_version(partition))


def statistics_fingerprint(partition: Partition, rewards: str) -> str:
    settings = statistics_settings(partition)
    return _of("statistics", rewards=rewards, **({"settings": fingerprint_of(settings)} if settings else {}))


def comparisons_fingerprint(partition: Partition, problem_statistics: dict[str, str]) -> str:
    """The fingerprint of a data set's comparisons; `problem_statistics`: each model's fingerprint of that table."""
    content = [statistics_settings(partition), sorted(problem_statistics.items())]
    return _of("comparisons", content=fingerprint_of(content))


def token_distributions_fingerprint(partition: Partition, samples: str) -> str:
    return _of("token_distributions", samples=samples, settings=distribution_settings_version(partition))


def _of(asset: str, **inputs: str) -> str:
    return fingerprint_of({"asset": asset, "code_version": CODE_VERSIONS[asset], **inputs})
