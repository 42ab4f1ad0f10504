"""What decides a result, hashed: the same fingerprint is the same content, and a changed setting is a new generation.

samples             problems' content, model and revision, task, sampling settings
rewards             the samples' fingerprint, format and reward type
statistics          the rewards' fingerprint; for which k, where that is not the usual
token_distributions the samples' fingerprint, distribution settings

and the asset's code version in each. `batch_size` and where a model runs decide speed, not content; precision
(`torch_dtype`) does decide it. With `seed: null` the fingerprint says so, and the seed that was drawn is recorded in
the manifest.
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
            **({"engine": backend.engine} if partition.model_settings.backend_type == "openai" else {}),
        },
        "task": partition.task.deciding({"reward_type"}),
        "sampling": partition.sampling.deciding({"batch_size"}),
        **({"left_to_model": left} if (left := list(partition.sampling.left_to_model)) else {}),
    }


def reward_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's rewards besides the samples and the gold answers."""
    return {"reward_type": partition.task.reward_type, "format_type": partition.task.format_type}


def statistics_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's statistics besides the rewards; nothing where nothing is set."""
    return partition.statistics.model_dump(mode="json", exclude_defaults=True)


def distribution_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's token distributions besides the samples. `use_logits` is the export's matter.

    Which engine scores is told where it is another than the usual one, its precision where it is not the sampler's.
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
    """Of the models of the partition's data set; `problem_statistics` of each, by name."""
    content = [statistics_settings(partition), sorted(problem_statistics.items())]
    return _of("comparisons", content=fingerprint_of(content))


def token_distributions_fingerprint(partition: Partition, samples: str) -> str:
    return _of("token_distributions", samples=samples, settings=distribution_settings_version(partition))


def _of(asset: str, **inputs: str) -> str:
    return fingerprint_of({"asset": asset, "code_version": CODE_VERSIONS[asset], **inputs})
