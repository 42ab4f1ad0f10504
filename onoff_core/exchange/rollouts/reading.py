"""Find out which format a file of rollouts has, and read it. Folders are read file by file, in the order of steps."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from onoff_core.errors import DatasetError, ExchangeError
from onoff_core.exchange.json_files import read_json
from onoff_core.exchange.rollouts.inspect_log import is_log, read_archive, rollouts_of_samples
from onoff_core.exchange.rollouts.responses import is_response, rollouts_of_responses
from onoff_core.exchange.rollouts.rollout import Read, Rollout, checked
from onoff_core.exchange.rollouts.rows import MARKS, rollouts_of_rows
from onoff_core.exchange.rollouts.traces import is_trace, rollouts_of_traces
from onoff_core.problems.files import kind_of, read_rows

ROWS, TRACES, INSPECT, RESPONSES = "rows", "traces", "inspect", "responses"
FORMATS = (ROWS, TRACES, INSPECT, RESPONSES)
_KINDS = ("jsonl", "ndjson", "json", "parquet")
_ENDINGS = (*(f".{kind}" for kind in _KINDS), ".eval")
_STEP_IN_NAME = re.compile(r"(?:^|/)(?:(?:global_)?step_(\d+)(?=[/.]|$)|(?:completions_)?(\d+)\.\w+$)")
_NUMBER = re.compile(r"\d+")
__all__ = ["FORMATS", "Read", "Rollout", "is_rollouts", "read_rollouts"]


def is_rollouts(path: Path) -> bool:
    """Whether a path is one of rollouts, by its ending, and by not being a `results.json` or the folder of one."""
    if path.is_dir():
        return not (path / "results.json").exists() and bool(_files(path))
    kind = kind_of(path.name)
    if kind is None or kind[0] not in _KINDS:
        return path.suffix == ".eval"
    return path.name != "results.json" and not (path.suffix == ".json" and _has_results(path))


def _has_results(path: Path) -> bool:
    """Whether a JSON file is a `results.json` under another name; one that cannot be read is taken for one, whose
    reading says what is wrong.
    """
    try:
        whole = read_json(path)
    except ExchangeError:
        return True
    return isinstance(whole, dict) and "results" in whole and not is_log(whole)


def read_rollouts(path: Path, format: str | None = None, step: int | None = None) -> Read:
    """The rollouts of a file or of a folder's files; `step`: only those of that step. Raises `ExchangeError`."""
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise ExchangeError(f"{path}: holds no file of rollouts; there are: {', '.join(_ENDINGS)}")
    rollouts: list[Rollout] = []
    left_out: list[str] = []
    formats: dict[str, None] = {}
    for file in files:
        named = _step_of(file, path)
        if step is not None and named is not None and named != step:
            continue
        found, kind = _read_file(file, format)
        formats[kind] = None
        for one in found:
            if isinstance(one, str):
                left_out.append(one)
            else:
                rollouts.append(checked(one if one.step is not None else _at(one, named)))
    return Read(", ".join(formats), _of_step(rollouts, step, path), tuple(left_out))


def _of_step(rollouts: list[Rollout], step: int | None, path: Path) -> tuple[Rollout, ...]:
    """Those of one step: each step has a policy of its own."""
    steps = sorted({one.step for one in rollouts if one.step is not None})
    if step is None and len(steps) > 1:
        raise ExchangeError(
            f"{path}: holds rollouts of {len(steps)} steps ({steps[0]} to {steps[-1]}), each of another policy; name "
            "one with --step, and give each a model of its own"
        )
    chosen = [one for one in rollouts if step is None or one.step == step]
    if not chosen:
        there = f"; there are steps {', '.join(map(str, steps))}" if step is not None and steps else ""
        raise ExchangeError(f"{path}: holds no rollouts{'' if step is None else f' of step {step}'}{there}")
    return tuple(chosen)


def _at(rollout: Rollout, step: int | None) -> Rollout:
    return rollout if step is None else Rollout(**{**vars(rollout), "step": step})


def _step_of(file: Path, root: Path) -> int | None:
    """The step that a file's name or folder says: `12.jsonl` (verl), `completions_00012.parquet` (TRL),
    `step_12/train/traces.jsonl` (prime-rl).
    """
    named = file.relative_to(root).as_posix() if file != root else "/".join(file.parts[-4:])
    found = _STEP_IN_NAME.findall(named)
    return int("".join(found[-1])) if found else None


def _files(folder: Path) -> list[Path]:
    """All files of rollouts in a folder. prime-rl writes what a step used (`effective`) a second time beside `all`."""
    there = [path for path in folder.rglob("*") if path.suffix in _ENDINGS and path.is_file()]
    twice = {path for path in there if path.parent.name == "effective" and path.parent.with_name("all").is_dir()}
    return sorted(set(there) - twice, key=lambda path: ([int(number) for number in _NUMBER.findall(str(path))], path))


def _read_file(path: Path, format: str | None) -> tuple[Iterable[Rollout | str], str]:
    """(what the file holds, the name of its format)."""
    where = str(path)
    if path.suffix == ".eval":
        return rollouts_of_samples(read_archive(path), where), INSPECT
    rows = _rows(path)
    kind = format or _format_of(rows, path)
    match kind:
        case "inspect":
            samples = rows[0]["samples"] if rows and is_log(rows[0]) else rows
            return rollouts_of_samples(samples, where), kind
        case "traces":
            return rollouts_of_traces(rows, where), kind
        case "responses":
            return rollouts_of_responses(rows, where), kind
        case _:
            return rollouts_of_rows(rows, where), kind


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".json":
            whole = read_json(path)
            if is_log(whole) or (isinstance(whole, dict) and isinstance(whole.get("choices"), list)):
                return [whole]
        return read_rows(path)
    except DatasetError as error:
        raise ExchangeError(str(error)) from error


def _format_of(rows: list[dict[str, Any]], path: Path) -> str:
    if not rows:
        raise ExchangeError(f"{path}: is empty; there is nothing to import")
    row = rows[0]
    if is_log(row):
        return INSPECT
    if is_trace(row):
        return TRACES
    if any(is_response(one) for one in rows):
        return RESPONSES
    if MARKS.intersection(row):
        return ROWS
    raise ExchangeError(
        f"{path}: is none of the formats of rollouts; its first entry has {', '.join(sorted(row)[:12])}. "
        "docs/rollouts.md says what is read"
    )
