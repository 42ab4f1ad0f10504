"""The methods paragraph of a paper: every setting and version that decides the numbers, from the results' manifests.

Each clause is written for every partition; what is the same for all is said once, what differs is said of whom.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from onoff_assets.report.gathering import Reported
from onoff_core.backends.identity import FOLDER
from onoff_core.store.provenance import RunProvenance

INTERVALS = (
    "Accuracy is the mean over problems of the problem's mean reward, and pass@1. 95\u00a0% intervals are for other "
    "problems like these (the problem is the unit): Gaffke's bound for the mean of numbers in [0, 1] (Gaffke 2005; "
    "Learned-Miller and Thomas 2019). Where intervals for these very problems, drawn again, are given, they are "
    "Clopper and Pearson's at an effective number of responses (Korn and Graubard 1998). pass@k is the unbiased "
    "estimator of Chen et al. (2021); maj@k is the majority of k responses (Wang et al. 2022), over all subsets of k, "
    "ties averaged."
)
_SAID_OF_SAMPLING = frozenset(
    {"max_length", "temperature", "top_k", "top_p", "do_sample", "num_samples", "batch_size", "seed", "stop_strings"}
)
_SAID_OF_TASK = frozenset(
    {
        "template_type",
        "format_type",
        "reward_type",
        "system_prompt",
        "examples",
        "prefill",
        "second_opinion",
        "thinking",
    }
)
_TEMPLATES = {"model": "the model's own chat template"}
_FORMATS = {"boxed": "the last balanced \\boxed{}", "structured": "the <answer> tags"}


def methods(there: Sequence[Reported]) -> list[str]:
    """The paragraph as sentences, in plain text."""
    clauses: tuple[Callable[[Reported], str], ...] = (_drawn, _prompted, _engine, _graded, _scored, _versions)
    sentences = [_problems(there), _models(there)]
    for clause in clauses:
        sentences += _said(there, clause)
    return [*sentences, INTERVALS]


def settings_json(there: Sequence[Reported]) -> str:
    """Of each partition and asset: its fingerprint, what it was made from, the settings that decided it, and the code's
    versions. Without paths and names of machines.
    """
    told = {one.key: {asset: _as_told(one, asset) for asset in one.manifests} for one in there}
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def _as_told(one: Reported, asset: str) -> dict[str, Any]:
    manifest, run = one.manifests[asset], one.run(asset)
    versions = {} if run is None else {"onoff": run.onoff_version, "commit": run.onoff_commit, **run.packages}
    return {
        "fingerprint": manifest.fingerprint,
        "inputs": manifest.inputs,
        "settings": _without_places(manifest.settings),
        "versions": versions,
    }


def _without_places(settings: Any) -> Any:
    if not isinstance(settings, dict):
        return settings
    return {
        name: _name(value) if name == "model_name" and isinstance(value, str) else _without_places(value)
        for name, value in settings.items()
    }


def _said(there: Sequence[Reported], clause: Callable[[Reported], str]) -> list[str]:
    """The clause once where it is the same of all, else once for each of its wordings with whom it is of."""
    groups: dict[str, list[str]] = {}
    for one in there:
        groups.setdefault(clause(one), []).append(one.key)
    groups.pop("", None)
    if len(groups) == 1 and len(next(iter(groups.values()))) == len(there):
        return [_sentence(next(iter(groups)))]
    return [f"Of {', '.join(keys)}: {text}." for text, keys in groups.items()]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _problems(there: Sequence[Reported]) -> str:
    found: dict[str, None] = {}
    for one in there:
        content = one.manifests["samples"].inputs["problems"]
        found[f"{one.dataset} ({_count(one.num_problems, 'problem')}, content {content})"] = None
    return f"The problems are those of {_listed(list(found))}."


def _models(there: Sequence[Reported]) -> str:
    return f"The models are {_listed(list(dict.fromkeys(f'{one.model} ({_identity(one)})' for one in there)))}."


def _identity(one: Reported) -> str:
    """Which weights, at which revision and precision; a folder by its name and content, for its path is nobody's."""
    made, model = one.samples, one.samples.model
    switch = model.get("switch")
    if switch is not None:
        second = _name(str(switch["second"]["model_name"]))
        return f"{_name(made.model_name)} and {second} in turns"
    revision = made.model_revision or model.get("revision")
    parts = [
        "weights of a folder" if made.model_name == FOLDER else _name(made.model_name),
        f"revision {revision}" if revision else "",
        f"adapter {model['adapter_revision']}" if model.get("adapter_revision") else "",
        str(made.torch_dtype or model.get("torch_dtype") or ""),
    ]
    return ", ".join(part for part in parts if part)


def _drawn(one: Reported) -> str:
    made = one.samples
    if made.imported or made.sampling is None:
        return "responses were imported, and how they were drawn is not recorded"
    sampling = made.sampling
    number = "1 response was" if made.num_samples == 1 else f"{made.num_samples} responses were"
    if sampling.greedy:
        how = "greedily"
    else:
        top_k = "without top-k truncation" if sampling.top_k is None else f"top-k {sampling.top_k}"
        top_p = "without top-p truncation" if sampling.top_p >= 1 else f"top-p {sampling.top_p:g}"
        how = f"at temperature {sampling.temperature:g}, {top_p}, {top_k}"
    others = _others(one.manifests["samples"].settings.get("sampling", {}), _SAID_OF_SAMPLING)
    stops = f", ending also at {', '.join(map(repr, sampling.stop_strings))}" if sampling.stop_strings else ""
    if sampling.until is not None:
        stops += (
            f", in rounds until the accuracy's 95 % confidence sequence on these problems was at most "
            f"{2 * sampling.until.half_width:g} wide or each problem had {sampling.until.most} ({made.stopped})"
        )
    left = made.seed if made.seed is not None else sampling.seed
    return f"{number} drawn per problem {how}, at most {sampling.max_length:,} tokens each, seed {left}{stops}{others}"


def _prompted(one: Reported) -> str:
    task: Mapping[str, Any] = one.manifests["samples"].settings.get("task", {})
    template = task.get("template_type")
    if template is None:
        return ""
    parts = [f"prompts follow {_TEMPLATES.get(template, f'the template {template}')}"]
    examples = len(task.get("examples") or ())
    if examples:
        parts.append(f"with {_count(examples, 'worked example')}")
    if task.get("system_prompt") is not None:
        parts.append(f"with the system prompt {task['system_prompt']!r}")
    if task.get("prefill"):
        parts.append(f"the response opened by {task['prefill']!r}")
    return ", ".join(parts) + _others(task, _SAID_OF_TASK)


def _others(settings: Mapping[str, Any], said: frozenset[str]) -> str:
    """Every setting that has no words of its own here, as it stands, such as one that came later."""
    found = {name: value for name, value in settings.items() if name not in said and value not in (None, [], {})}
    return "".join(f", {name} {_value(value)}" for name, value in found.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_value(inner)}" for name, inner in value.items())
    return str(value)


def _engine(one: Reported) -> str:
    made, run = one.samples, one.run("samples")
    if made.imported:
        return ""
    on = "" if run is None or not run.gpus else f" on {_listed(sorted(set(run.gpus)))}"
    if made.engine is not None:
        return f"they were sampled by {made.engine}{on}"
    return f"they were sampled by {made.backend_type}{on}{_with(run)}"


def _graded(one: Reported) -> str:
    thinking = one.manifests["rewards"].settings.get("thinking") if "rewards" in one.manifests else None
    without = ", what stands in thinking tags left out" if thinking else ""
    looked = _FORMATS.get(one.rewards.format_type, one.rewards.format_type)
    return (
        f"the answer is taken from {looked}{without}, and compared with the gold answer by {one.rewards.reward_type}"
        f"{_with(one.run('rewards'))}"
    )


def _scored(one: Reported) -> str:
    if one.scores is None:
        return ""
    kept = "the whole vocabulary" if one.scores.top_k is None else f"the {one.scores.top_k} most probable tokens"
    at = "" if one.scores.temperature == 1 else f" at temperature {one.scores.temperature:g}"
    run = one.run("token_distributions")
    return (
        f"token distributions{at} are of a forward pass over the sampled ids; entropy is over the whole vocabulary of "
        f"{one.scores.vocab_size:,}, {kept} are kept{_with(run)}"
    )


def _versions(one: Reported) -> str:
    runs = [run for asset in one.manifests if (run := one.run(asset)) is not None]
    if not runs:
        return ""
    versions = dict.fromkeys(
        f"onoff {run.onoff_version}" + (f" ({run.onoff_commit[:12]})" if run.onoff_commit else "") for run in runs
    )
    return f"results were made with {_listed(list(versions))}"


def _with(run: RunProvenance | None) -> str:
    if run is None:
        return ""
    packages = [f"{name} {version}" for name, version in run.packages.items() if version is not None]
    return f" ({', '.join(packages)})" if packages else ""


def _name(model_name: str) -> str:
    """A model's name; of a folder the last part, for the machine's paths are no reader's."""
    return PurePosixPath(model_name).name if model_name.startswith(("/", ".")) else model_name


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
