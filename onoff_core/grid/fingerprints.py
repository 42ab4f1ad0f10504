"""Hash what decides a result: equal fingerprints mean equal content, and a changed setting starts a new generation.

samples             problems' content, model and revision, task, sampling settings
rewards             the samples' fingerprint, format and reward type
statistics          the rewards' fingerprint; statistics settings that are not the default
token_distributions the samples' fingerprint, distribution settings
cross_scores        the samples' fingerprint, both models with their precision, cross settings; one per reference
branches            the fingerprints of the samples, rewards and token distributions, the section `branches`
second_opinions     the rewards' fingerprint, what is asked for, the judge's model
confidence          the fingerprints of the samples, rewards and token distributions, the section `confidence`;
                    statistics settings that are not the default

and the asset's code version in each. `batch_size` and where a model runs decide speed, not content; precision
(`torch_dtype`) does decide it. With `seed: null` the fingerprint holds that null, and the manifest records the
seed that was drawn.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onoff_core.backends import DEFAULT_SCORER, scorer_kind, scoring_settings
from onoff_core.backends.identity import FOLDER, model_identity
from onoff_core.errors import ModelError
from onoff_core.grid.asked import asked_optional
from onoff_core.store import Manifest
from onoff_core.store.provenance import hashed_settings
from onoff_core.study import Backend, ModelSettings, Partition, Reference, Thinking, ThinkingTags
from onoff_core.tables import CODE_VERSIONS, GRID_ASSETS, OPTIONAL

ASSETS = GRID_ASSETS
__all__ = ["ASSETS", "CODE_VERSIONS", "OPTIONAL"]


STOPPED_BY = "stopped_by"  # beside `sampling`, where it holds `until`


def fingerprint_of(content: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


_of_grading = {"reward_type", "second_opinion"}
_of_no_token = {*_of_grading, "thinking"}  # which tags are around thinking decides a token where a budget cuts it


def sampling_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's samples besides the problems."""
    model = _model(partition.model_settings, partition.base_dir)
    if partition.recorded_folder is not None and model["model_name"] == FOLDER:
        model["model_name"] = partition.recorded_folder
    replaced: set[str] = set() if partition.sampling.until is None else {"num_samples"}
    return {
        "model": model,
        "task": partition.task.deciding(_of_no_token if partition.sampling.thinking_budget is None else _of_grading),
        "sampling": partition.sampling.deciding({"batch_size", *replaced}),
        **({"left_to_model": left} if (left := list(partition.sampling.left_to_model)) else {}),
        **_stopped_by(partition),
    }


def _stopped_by(partition: Partition) -> dict[str, Any]:
    """With `sampling.until` the verdicts decide how many responses there are."""
    if partition.sampling.until is None:
        return {}
    return {STOPPED_BY: {"code_version": CODE_VERSIONS["rewards"], **reward_settings(partition)}}


def _model(settings: Backend, base_dir: Path) -> dict[str, Any]:
    """The weights, and what decides how they are computed with. Raises `ModelError` where they are not there."""
    backend = settings.backend_specific
    return {
        **model_identity(settings, base_dir),
        "backend_type": settings.backend_type,
        "torch_dtype": backend.torch_dtype,
        **({} if backend.script is None else {"script": list(backend.script.responses)}),
        **_switch(settings, base_dir),
        **({"engine": backend.engine} if settings.backend_type == "openai" else {}),
    }


def _switch(settings: Backend, base_dir: Path) -> dict[str, Any]:
    """What decides which of two models draws which token; the rest of the model's settings are the first's."""
    switch = settings.switch if isinstance(settings, ModelSettings) else None
    if switch is None or switch.second_model is None:
        return {}
    conditions = {
        name: condition.model_dump(mode="json", exclude_none=True)
        for name, condition in (("when", switch.when), ("back", switch.back))
        if condition is not None
    }
    return {"switch": {"second": _model(switch.second_model, base_dir), **conditions}}


def reward_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's rewards besides the samples and the gold answers."""
    task = partition.task
    settings: dict[str, Any] = {"reward_type": task.reward_type, "format_type": task.format_type}
    if task.thinking is not None:  # it came later: what was graded without it stays what it is
        settings["thinking"] = _thinking(task.thinking)
    return settings


def _thinking(thinking: Thinking) -> Any:
    return thinking.model_dump(mode="json") if isinstance(thinking, ThinkingTags) else thinking


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


def part_settings(partition: Partition) -> dict[str, Any]:
    """What decides the tables of thinking and answer apart besides the samples."""
    thinking = partition.task.thinking
    return {**distribution_settings(partition), **({} if thinking is None else {"thinking": _thinking(thinking)})}


def cross_settings(partition: Partition, reference: Reference) -> dict[str, Any]:
    """What decides the cross-scores of a partition by one reference besides the samples. How the models share the
    memory does not, nor does which other references there are.
    """
    bounds = partition.cross.divergence == "bounds"
    return {
        "model": _scorer(partition.model_settings, partition),
        "reference": _scorer(reference.settings, partition),
        **partition.cross.deciding({"references", "load"}),
        **({"distribution": distribution_settings(partition)} if bounds else {}),
    }


def _scorer(model: ModelSettings, partition: Partition) -> dict[str, Any]:
    """Which weights score, and how; where they are not there, why: they may be another time."""
    try:
        identity = model_identity(model, partition.base_dir)
    except ModelError as error:
        identity = {"cannot_be_identified": str(error)}
    return {
        **identity,
        "scorer": scorer_kind(model),
        "torch_dtype": scoring_settings(model).backend_specific.torch_dtype,
    }


def branch_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's branches besides its samples, rewards and token distributions."""
    return {} if partition.branches is None else partition.branches.deciding()


def confidence_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's confidence besides its samples, rewards and token distributions."""
    if partition.confidence is None:
        return {}
    statistics = statistics_settings(partition)
    return {**partition.confidence.deciding(), **({"statistics": statistics} if statistics else {})}


def second_opinion_settings(partition: Partition) -> dict[str, Any]:
    """What decides a partition's second opinions besides the rewards; empty where none are asked for.

    A judge that is not there is named by its error: the other assets' states do not depend on it, and a run says so.
    """
    asked, judge = partition.task.second_opinion, partition.judge
    if asked is None:
        return {}
    if judge is None:
        return {"kind": asked.kind}
    try:
        model = _model(judge.settings, partition.base_dir)
    except ModelError as error:
        model = {"not there": str(error)}
    thinking = {} if judge.thinking is None else {"thinking": _thinking(judge.thinking)}
    arguments = {} if judge.chat_template is None else {"chat_template": judge.chat_template}
    written = {"template_type": judge.template_type, "max_tokens": asked.max_tokens, **thinking, **arguments}
    return {"kind": asked.kind, "model": model, **written}


def sampling_settings_version(partition: Partition) -> str:
    return fingerprint_of(sampling_settings(partition))


def reward_settings_version(partition: Partition) -> str:
    return fingerprint_of(reward_settings(partition))


def distribution_settings_version(partition: Partition) -> str:
    return fingerprint_of(distribution_settings(partition))


def samples_fingerprint(partition: Partition, problems_version: str) -> str:
    return _of("samples", problems=problems_version, settings=sampling_settings_version(partition))


def recorded_samples_fingerprint(manifest: Manifest) -> str:
    """The fingerprint that today's code gives the settings in a manifest of samples that were drawn here."""
    settings = hashed_settings(manifest)
    return _of("samples", problems=manifest.inputs["problems"], settings=fingerprint_of(settings))


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
    return distributions_fingerprint_of(distribution_settings(partition), samples)


def distributions_fingerprint_of(settings: Mapping[str, Any], samples: str) -> str:
    """The fingerprint of token distributions under settings as `distribution_settings` gives them."""
    return _of("token_distributions", samples=samples, settings=fingerprint_of(dict(settings)))


def parts_fingerprint(partition: Partition, token_distributions: str) -> str:
    settings = fingerprint_of(part_settings(partition))
    return _of("response_parts", token_distributions=token_distributions, settings=settings)


def cross_scores_fingerprint(partition: Partition, samples: str, reference: Reference) -> str:
    settings = fingerprint_of(cross_settings(partition, reference))
    return _of("cross_scores", samples=samples, settings=settings)


def all_references_fingerprint(by_reference: Mapping[str, str]) -> str:
    """One version of the cross-scores by all references: of each reference, its fingerprint."""
    return fingerprint_of(["cross_scores", sorted(by_reference.items())])


def branches_fingerprint(partition: Partition, samples: str, rewards: str, token_distributions: str) -> str:
    inputs = {"samples": samples, "rewards": rewards, "token_distributions": token_distributions}
    return _of("branches", **inputs, settings=fingerprint_of(branch_settings(partition)))


def confidence_fingerprint(partition: Partition, samples: str, rewards: str, token_distributions: str) -> str:
    inputs = {"samples": samples, "rewards": rewards, "token_distributions": token_distributions}
    return _of("confidence", **inputs, settings=fingerprint_of(confidence_settings(partition)))


def second_opinions_fingerprint(partition: Partition, rewards: str) -> str:
    return _of("second_opinions", rewards=rewards, settings=fingerprint_of(second_opinion_settings(partition)))


def optional_settings(partition: Partition) -> dict[str, Any]:
    """What decides the partition's optional assets besides what they are made from, by asset; without those that are
    not asked for.
    """
    settings = {
        "cross_scores": {one.name: cross_settings(partition, one) for one in partition.references},
        "branches": branch_settings(partition),
        "second_opinions": second_opinion_settings(partition),
        "confidence": confidence_settings(partition),
    }
    asked = asked_optional(partition)
    return {asset: of_asset for asset, of_asset in settings.items() if asset in asked}


def _of(asset: str, **inputs: str) -> str:
    return fingerprint_of({"asset": asset, "code_version": CODE_VERSIONS[asset], **inputs})
