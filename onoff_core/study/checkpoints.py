"""Models that are checkpoints of a training run: one entry of `models` with a folder pattern becomes one a checkpoint.

A pattern is `model_name` (or `adapter`) with `{step}` in it, or `series: {folder: runs/x/checkpoint-*}`. The folders
are looked up each time the study is read, so a new checkpoint becomes a model of its own and what is there stays.
"""

import glob
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from onoff_core.errors import SettingsError
from onoff_core.study.checking import validate
from onoff_core.study.files import expanded
from onoff_core.study.settings import ModelSettings
from onoff_core.study.values import Name, Section

_STEP = "{step}"
_PATTERN_KEYS = ("model_name", "adapter")
FIRST, PREVIOUS = "first", "previous"  # in `scored_by` of a pattern: other checkpoints of it


class SeriesSettings(Section):
    """`series` where the checkpoints are folders that a pattern names."""

    name: Name | None = None  # of the series; null: the entry's
    folder: Name  # runs/x/checkpoint-*: * (or {step}, where there are several) is the step


def with_checkpoints(entries: Iterable[tuple[str, Any]], path: Path) -> list[tuple[str, Any]]:
    """The entries of `models` with each pattern replaced by an entry a folder, named `<entry>-<step>`. Raises
    `SettingsError` for a pattern that matches nothing.
    """
    found: list[tuple[str, Any]] = []
    for name, entry in entries:
        pattern = _pattern(name, entry, path) if isinstance(entry, Mapping) else None
        found += [(name, entry)] if pattern is None else _checkpoints(name, entry, *pattern, path)
    names = [name for name, _ in found]
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise SettingsError(f"{path}: models.{twice}: there are two of this name, one of them from a folder pattern")
    return found


def _pattern(name: str, entry: Mapping[str, Any], path: Path) -> tuple[str, str, str] | None:
    """(the key that takes the folder, the pattern with `{step}`, the name of the series); None: it is no pattern."""
    where = f"models.{name}"
    keys = [key for key in _PATTERN_KEYS if isinstance(entry.get(key), str) and _STEP in entry[key]]
    series = entry.get("series")
    if isinstance(series, Mapping):
        settings = validate(SeriesSettings, series, path, f"{where}.series")
        if keys or "model_name" in entry:
            raise SettingsError(f"{path}: {where}: name the checkpoints' folder once, in series.folder or model_name")
        text = settings.folder
        if _STEP not in text:
            if text.count("*") != 1:
                raise SettingsError(
                    f"{path}: {where}.series.folder: one * or {_STEP} is wanted where the step stands, such as "
                    f"runs/x/checkpoint-*, not {text!r}"
                )
            text = text.replace("*", _STEP)
        return "model_name", text, settings.name or name
    if not keys:
        return None
    if len(keys) > 1:
        raise SettingsError(f"{path}: {where}: {_STEP} stands in both {' and '.join(keys)}; one is wanted")
    if series is not None and not isinstance(series, str):
        raise SettingsError(f"{path}: {where}.series: a name is wanted, not {series!r:.40}")
    return keys[0], _escaped(entry[keys[0]]), series or name


def _escaped(pattern: str) -> str:
    """The pattern with everything but the step taken as it stands."""
    return _STEP.join(glob.escape(part) for part in pattern.split(_STEP))


def _checkpoints(
    name: str, entry: Mapping[str, Any], key: str, pattern: str, series: str, path: Path
) -> list[tuple[str, Any]]:
    where = f"{path}: models.{name}"
    if entry.get("step") is not None:
        raise SettingsError(f"{where}.step: the step of each checkpoint is read from its folder's name; leave it out")
    folders = _folders(pattern, path.parent, where)
    plain = {other: value for other, value in entry.items() if other != "series"}
    models = {step: f"{name}-{step}" for step in folders}
    return [
        (
            models[step],
            {**plain, key: folder, "series": series, "step": step, **_scored_by(entry, list(models.values()), number)},
        )
        for number, (step, folder) in enumerate(folders.items())
    ]


def _folders(pattern: str, base_dir: Path, where: str) -> dict[int, str]:
    """step -> folder, by rising step."""
    text = str(expanded(pattern, where))
    regex = _regex(text)
    found: dict[int, str] = {}
    for folder in sorted(glob.glob(text.replace(_STEP, "*"), root_dir=base_dir)):
        step = regex.fullmatch(folder)
        if step is None or not (base_dir / folder).is_dir():
            continue
        number = int(step[1])
        if number in found:
            raise SettingsError(f"{where}: {found[number]} and {folder} are both of step {number}")
        found[number] = folder
    if not found:
        raise SettingsError(
            f"{where}: no folder matches {base_dir / text} with a number for the step; write the entry once there is a "
            "checkpoint, or mend the pattern"
        )
    return dict(sorted(found.items()))


def _regex(pattern: str) -> re.Pattern[str]:
    """A glob pattern as a regular expression; the step is its first group, and stands for itself where it comes again.

    A `*` and a `?` are of one folder's name; what `glob.escape` wrote in brackets is itself.
    """
    wild = {"*": "[^/]*", "?": "[^/]", _STEP: r"(\d+)"}
    parts = re.findall(r"\{step\}|\[[^\]]\]|.", pattern, flags=re.DOTALL)
    written = [wild.get(part, re.escape(part[1] if len(part) == 3 and part[0] == "[" else part)) for part in parts]
    seen = False
    for number, part in enumerate(parts):
        if part == _STEP:
            written[number] = r"\1" if seen else wild[_STEP]
            seen = True
    return re.compile("".join(written))


def _scored_by(entry: Mapping[str, Any], models: list[str], number: int) -> dict[str, Any]:
    """`scored_by` with `first` and `previous` as the models they are; a checkpoint is no reference of its own."""
    asked = entry.get("scored_by")
    if not isinstance(asked, list):
        return {}
    meant = {FIRST: models[0], PREVIOUS: models[max(0, number - 1)]}
    names = [meant.get(one, one) for one in asked]
    return {"scored_by": [one for one in dict.fromkeys(names) if one != models[number]]}


def check_series(models: Mapping[str, ModelSettings], path: Path) -> None:
    """Raise `SettingsError` where two models are the same step of a series."""
    known: dict[tuple[str, int], str] = {}
    for name, settings in models.items():
        if settings.series is None or settings.step is None:
            continue
        other = known.setdefault((settings.series, settings.step), name)
        if other != name:
            raise SettingsError(
                f"{path}: models.{name}: is step {settings.step} of series {settings.series}, as is models.{other}; "
                "each step is one model"
            )
