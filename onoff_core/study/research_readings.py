"""What the keys of a research file mean here, where the scripts meant something else.

A key that stands in the file has our meaning, and a note says where that is another than theirs; a key that is absent
has their default. `docs/research-scripts.md` has the table of every key.
"""

import re
from collections.abc import Mapping
from typing import Any

from onoff_core.study.checking import shown, validate
from onoff_core.study.research_file import DIST, SAMPLE, Mapped, ResearchFile
from onoff_core.study.settings import NO_TRUNCATION, Backend, BackendOptions

# The scripts' defaults for keys that are absent, as far as ours are others.
TASK_DEFAULTS: Mapping[str, Any] = {"template_type": "simple"}
SAMPLING_DEFAULTS: Mapping[str, Any] = {"max_length": 100, "num_samples": 1, "seed": None}
WITHOUT_SAMPLING: Mapping[str, Any] = {"max_length": 2048, "num_samples": 2, "seed": None, "stop_strings": ["\n\n"]}
DISTRIBUTION_DEFAULTS: Mapping[str, Any] = {"top_k": 1000}
STRUCTURED_PREFILL = "<think>"  # the scripts open the model's turn with it

_DEVICE = re.compile(r"(cpu|mps|cuda)(:\d+)?")
_ADAPTER = "lora_adapter_path"


def task_in_our_words(file: ResearchFile, raw: Mapped, key: str) -> Mapped:
    """Task settings, with the scripts' defaults."""
    settings = _with_defaults(file, raw, TASK_DEFAULTS, key)
    if settings["template_type"] == "simple":
        file.note(f"{key}.template_type", "simple has this project's wording (Question: ... Answer:), not the scripts'")
    if settings.get("format_type") == "structured":
        settings.setdefault("prefill", STRUCTURED_PREFILL)
        file.note(
            f"{key}.format_type",
            "structured asks in this project's wording; as in the scripts, the model's turn is opened with "
            f"{STRUCTURED_PREFILL} (prefill)",
        )
    return settings


def sampling_in_our_words(file: ResearchFile, raw: Mapped | None, key: str) -> Mapped:
    """Sampling settings, with the scripts' defaults; None where the file has no such section.

    What transformers takes for "none" is none: a `top_k` of 0 (others: -1), a null `top_p`, `temperature`,
    `batch_size` or `stop_strings`. One stop string needs no list.
    """
    if raw is None:
        file.note(key, "is absent; as in the scripts: 2,048 tokens, 2 samples, a stop at a blank line, no seed")
        settings = dict(WITHOUT_SAMPLING)
    else:
        until = {} if raw.get("until") is None else {"num_samples": None}  # it takes the place of a default
        settings = {**_with_defaults(file, {**until, **raw}, SAMPLING_DEFAULTS, key)}
        if until and settings["num_samples"] is None:
            del settings["num_samples"]
    file.note(
        f"{key}.max_length",
        f"{settings['max_length']} counts generated tokens here; the scripts counted the prompt's tokens too",
    )
    if settings.get("generation_defaults") is None:
        unset = [name for name in ("top_k", "top_p") if settings.get(name) is None]
        for name in unset:
            file.note(
                f"{key}.{name}",
                "null is no truncation here; the scripts fell back on the model's generation_config.json "
                "(generation_defaults: model does)",
            )
    if "batch_size" in settings and settings["batch_size"] is None:
        file.note(f"{key}.batch_size", "null is 64 here; the scripts found a number; it decides speed, not content")
    return _plain(settings)


def distribution_in_our_words(file: ResearchFile, raw: Mapped, key: str) -> Mapped:
    """Distribution settings, with the scripts' defaults."""
    return _plain(_with_defaults(file, raw, DISTRIBUTION_DEFAULTS, key))


def _with_defaults(file: ResearchFile, raw: Mapped, defaults: Mapping[str, Any], key: str) -> Mapped:
    absent = [name for name in defaults if name not in raw]
    if absent:
        said = ", ".join(f"{name} {'none' if defaults[name] is None else defaults[name]}" for name in absent)
        file.note(key, f"does not say all; as in the scripts: {said}")
    return {**defaults, **raw}


def _plain(raw: Mapped) -> Mapped:
    """Settings without the nulls that stand for a default of ours."""
    unset = ("top_p", "temperature", "batch_size", "stop_strings")
    settings = {name: value for name, value in raw.items() if value is not None or name not in unset}
    if settings.get("top_k") in (0, -1) and not isinstance(settings["top_k"], bool):
        settings["top_k"] = NO_TRUNCATION if settings.get("generation_defaults") else None
    if isinstance(settings.get("stop_strings"), str):
        settings["stop_strings"] = [settings["stop_strings"]]
    return settings


def backend_in_our_words(file: ResearchFile, step: Mapped, key: str) -> Backend:
    """The backend of a step. Options may stand beside `backend_specific` as well as in it."""
    raw, place = dict(file.section(step.get("backend"), key)), f"{key}.backend_specific"
    options = {k: v for k, v in file.section(raw.pop("backend_specific", None), place).items() if v is not None}
    for name in (*BackendOptions.model_fields, _ADAPTER):
        beside = raw.pop(name, None)
        if beside is not None and options.setdefault(name, beside) != beside:
            raise file.error(f"{key}.{name}", f"stands there twice, as {shown(beside)} and {shown(options[name])}")
    if (adapter := options.pop(_ADAPTER, None)) is not None:
        raw["adapter"] = adapter
    if isinstance(options.get("torch_dtype"), str):
        options["torch_dtype"] = options["torch_dtype"].removeprefix("torch.")
    if isinstance(options.get("num_process"), list):
        del options["num_process"]
        file.warn(f"{place}.num_process", "has no effect here as a list; write how many replicas there should be")
    if "num_process" in options or "replicas" in options:
        options["num_process_at_most"] = True  # the scripts' files travel between machines
    if "device_map" in options and "device" in options:
        del options["device"]
        file.warn(place, "device_map decides where the model goes; device is ignored")
    if isinstance(options.get("device_map"), str) and _DEVICE.fullmatch(options["device_map"]):
        options["device"] = options.pop("device_map")
    return validate(Backend, {**raw, "backend_specific": options}, file.path, key)


def same_backend(file: ResearchFile, sample: Backend, dist: Backend) -> None:
    """Samples are scored by the model that drew them; the study has one."""
    ours, theirs = _flat(sample), _flat(dist)
    different = ", ".join(f"{key} ({ours[key]!r} and {theirs[key]!r})" for key in ours if ours[key] != theirs[key])
    if different:
        raise file.error(
            f"{DIST}.backend",
            f"differs from {SAMPLE}.backend in {different}. Samples are scored by the model that drew them: make the "
            f"two equal, or remove {DIST}.backend",
        )


def _flat(backend: Backend) -> Mapped:
    """All of a backend's settings in one row, but for the number of replicas: the sampler's is the scorer's."""
    options = backend.backend_specific.model_dump(exclude={"num_process", "num_process_at_most"})
    return {**backend.model_dump(), "backend_specific": None, **options}
