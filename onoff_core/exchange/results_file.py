"""Read a `results.json` and find out which problems its questions are."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.results import RESULTS_NAME
from onoff_core.problems import Problem

# A template around a question is recognised by the question in it; a short question may stand in another by chance.
_LONG_QUESTION = 40


@dataclass(frozen=True)
class Result:
    """One entry of `results`."""

    question: str
    reference: str
    samples: tuple[str, ...]


def read_results(path: Path) -> tuple[Result, ...]:
    """The entries of a `results.json`, or of the folder that holds one. Raises `ExchangeError`."""
    file = path / RESULTS_NAME if path.is_dir() else path
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExchangeError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"{file}: not valid JSON, or cut off: {error}") from error
    entries = raw.get("results") if isinstance(raw, dict) else None
    if not isinstance(entries, list):
        raise ExchangeError(f"{file}: has no list 'results'; is it a {RESULTS_NAME} of 00-sample or of onoff export?")
    if not entries:
        raise ExchangeError(f"{file}: 'results' is empty; there is nothing to import")
    results = tuple(_result(entry, f"{file}: results[{i}]") for i, entry in enumerate(entries))
    if not any(result.samples for result in results):
        raise ExchangeError(f"{file}: holds no samples; there is nothing to import")
    return results


def _result(entry: Any, place: str) -> Result:
    if not isinstance(entry, dict):
        raise ExchangeError(f"{place}: must hold values by name, not a {type(entry).__name__}")
    samples = entry.get("samples")
    if not isinstance(samples, list) or not all(isinstance(sample, str) for sample in samples):
        raise ExchangeError(f"{place}: has no list 'samples' of texts")
    for number, sample in enumerate(samples):
        _check_unicode(sample, f"{place}.samples[{number}]")
    for name in ("rewards", "extracted_answers"):
        beside = entry.get(name)
        if beside is not None and (not isinstance(beside, list) or len(beside) != len(samples)):
            count = len(beside) if isinstance(beside, list) else "no list of"
            raise ExchangeError(f"{place}: has {len(samples)} samples, but {count} {name}")
    return Result(_text(entry, "question", place), _text(entry, "reference", place), tuple(samples))


def _text(entry: dict[str, Any], name: str, place: str) -> str:
    value = entry.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise ExchangeError(f"{place}: has no {name!r}")
    _check_unicode(value, f"{place}.{name}")
    return value


def _check_unicode(text: str, place: str) -> None:
    """JSON can hold half a surrogate pair, which no tokenizer and no table can."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ExchangeError(f"{place}: is not valid Unicode ({error.reason})") from error


def match_problems(results: Sequence[Result], problems: Sequence[Problem], where: str) -> list[Problem]:
    """The problem of each entry, each problem once: the one with the same question up to white space, else the one
    whose question stands in the entry's (the scripts kept some questions inside a prompt template).
    """
    free: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        free[_plain(problem.question)].append(problem)
    found: list[Problem | None] = []
    for result in results:
        same = free.get(_plain(result.question))
        found.append(same.pop(0) if same else None)
    for i, result in enumerate(results):
        if found[i] is None:
            found[i] = _contained(result, free)
    matched = [problem for problem in found if problem is not None]
    if len(matched) < len(results):
        first = found.index(None)
        raise ExchangeError(
            f"{where}: {len(results) - len(matched)} of {len(results)} questions are not in the data set, or more "
            f"often here than there, the first is results[{first}]: {results[first].question[:80]!r}. Name the right "
            "data set, or add --own-problems to take questions and references from the file"
        )
    return matched


def _contained(result: Result, free: dict[str, list[Problem]]) -> Problem | None:
    """The longest free question that stands in the entry's."""
    whole, reference = _plain(result.question), _plain(result.reference)
    for question in sorted((q for q, problems in free.items() if problems and q in whole), key=len, reverse=True):
        if len(question) >= _LONG_QUESTION or _plain(free[question][0].answer) == reference:
            return free[question].pop(0)
    return None


def _plain(text: str) -> str:
    return " ".join(text.split())


def own_problems(results: Sequence[Result]) -> list[Problem]:
    """Problems made of the file's own questions and references."""
    return [Problem(f"imported-{i}", result.question, result.reference) for i, result in enumerate(results)]
