"""What decides a result, hashed: the same fingerprint is the same content, and a changed setting is a new generation.

samples             problems' content, model and revision, task, sampling settings
rewards             the samples' fingerprint, format and reward type
statistics          the rewards' fingerprint
token_distributions the samples' fingerprint, distribution settings

and the asset's code version in each. `batch_size` and where a model runs decide speed, not content; precision
(`torch_dtype`) does decide it. With `seed: null` the fingerprint says so, and the seed that was drawn is recorded in
the manifest.
"""

import hashlib
import json
from typing import Any

from onoff_core.backends.identity import model_identity
from onoff_core.study import Partition

ASSETS = ("samples", "rewards", "statistics", "token_distributions")

# Raise an asset's number when its code comes to mean something else.
CODE_VERSIONS = {
    "problems": "1",
    "samples": "1",
    "rewards": "4",
    "statistics": "2",
    "token_distributions": "1",
    "leaderboard": "1",
}


def fingerprint_of(content: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def sampling_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's samples besides the problems."""
    backend = partition.model_settings.backend_specific
    return {
        "model": {
            **model_identity(partition.model_settings, partition.base_dir),
            "backend_type": partition.model_settings.backend_type,
            "torch_dtype": backend.torch_dtype,
        },
        "task": partition.task.model_dump(mode="json", exclude={"reward_type", "thinking"}),
        "sampling": partition.sampling.model_dump(mode="json", exclude={"batch_size"}),
    }


def reward_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's rewards besides the samples and the gold answers."""
    task = partition.task
    settings: dict[str, Any] = {"reward_type": task.reward_type, "format_type": task.format_type}
    if task.thinking is not None:  # it came later: what was graded without it stays what it is
        settings["thinking"] = task.thinking.model_dump(mode="json")
    return settings


def distribution_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's token distributions besides the samples. `use_logits` is the export's matter."""
    return partition.distribution.model_dump(mode="json", exclude={"use_logits"})


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


def statistics_fingerprint(rewards: str) -> str:
    return _of("statistics", rewards=rewards)


def token_distributions_fingerprint(partition: Partition, samples: str) -> str:
    return _of("token_distributions", samples=samples, settings=distribution_settings_version(partition))


def _of(asset: str, **inputs: str) -> str:
    return fingerprint_of({"asset": asset, "code_version": CODE_VERSIONS[asset], **inputs})
