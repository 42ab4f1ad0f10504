"""Read a `results.json`, in either of the two shapes there are, and find out which problems its questions are.

described   `reference`, `samples` as texts, `rewards` and `extracted_answers` as lists beside them
scripts     `reference_answer`, `prompt`, `samples` with `sample_id`, `response`, `extracted_answer` and `reward` each

An entry says by its own `samples` which shape it has.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

from onoff_core.errors import ExchangeError
from onoff_core.exchange.json_files import read_json
from onoff_core.exchange.results import RESULTS_NAME
from onoff_core.problems import Problem

# A template around a question is recognised by the question in it; a short question may stand in another by chance.
_LONG_QUESTION = 40
_NO_REWARD = "write null where there is none"


@dataclass(frozen=True)
class Result:
    """One entry of `results`."""

    question: str
    reference: str
    samples: tuple[str, ...]  # in the order of their numbers
    prompt: str | None = None  # the text the model was given; None: the file does not say
    rewards: tuple[float | None, ...] | None = None  # the file's own; None, NaN: it does not say
    extracted_answers: tuple[str | None, ...] | None = None  # the file's own; None in it: none was found
    failed: tuple[str, ...] = ()  # entries without a response: where they stand, and the error they name


def read_results(path: Path) -> tuple[Result, ...]:
    """The entries of a `results.json`, or of the folder that holds one. Raises `ExchangeError`."""
    file = path / RESULTS_NAME if path.is_dir() else path
    raw = read_json(file)
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
    if isinstance(samples, list):
        wrong = [number for number, sample in enumerate(samples) if not isinstance(sample, (str, dict))]
        if wrong:
            raise ExchangeError(
                f"{place}.samples[{wrong[0]}]: is no text, nor an entry with a 'response', but "
                f"{_shortened(samples[wrong[0]])}; take it out, or write an empty text where the model said nothing"
            )
    else:
        raise ExchangeError(f"{place}: has no list 'samples' of texts, or of entries with a 'response' each")
    if len({type(sample) for sample in samples}) > 1:
        raise ExchangeError(f"{place}: has texts and entries among its samples; one of the two shapes is wanted")
    question = _text(entry, ("question",), place)
    reference = _text(entry, ("reference_answer", "reference"), place)
    prompt = None if entry.get("prompt") is None else _text(entry, ("prompt",), place)
    if samples and isinstance(samples[0], dict):
        return _of_scripts(question, reference, prompt, samples, place)
    for number, sample in enumerate(samples):
        _check_unicode(sample, f"{place}.samples[{number}]")
    rewards, answers = (_beside(entry, name, len(samples), place) for name in ("rewards", "extracted_answers"))
    return Result(
        question,
        reference,
        tuple(samples),
        prompt=prompt,
        rewards=(
            None
            if rewards is None
            else tuple(_reward(value, f"{place}.rewards[{number}]") for number, value in enumerate(rewards))
        ),
        extracted_answers=None if answers is None else tuple(_answer(value) for value in answers),
    )


def _beside(entry: dict[str, Any], name: str, count: int, place: str) -> list[Any] | None:
    """A list that stands beside the samples, one value a sample; None where there is none."""
    beside = entry.get(name)
    if beside is None:
        return None
    if not isinstance(beside, list) or len(beside) != count:
        there = len(beside) if isinstance(beside, list) else "no list of"
        raise ExchangeError(f"{place}: has {count} samples, but {there} {name}")
    return beside


def _of_scripts(question: str, reference: str, prompt: str | None, entries: list[dict[str, Any]], place: str) -> Result:
    """An entry whose samples are entries themselves; those that failed have an `error` instead of a response."""
    whole, failed = [], []
    for number, entry in enumerate(entries):
        where = f"{place}.samples[{number}]"
        if entry.get("error") is not None and not isinstance(entry.get("response"), str):
            failed.append(f"{where}: {entry['error']}")
            continue
        if not isinstance(entry.get("response"), str):
            raise ExchangeError(f"{where}: has no text 'response'")
        _check_unicode(entry["response"], where)
        whole.append((where, entry))
    whole = _by_number(whole, place)
    return Result(
        question,
        reference,
        tuple(entry["response"] for _, entry in whole),
        prompt=prompt,
        rewards=tuple(_reward(entry.get("reward"), where) for where, entry in whole),
        extracted_answers=(
            tuple(_answer(entry["extracted_answer"]) for _, entry in whole)
            if all("extracted_answer" in entry for _, entry in whole)
            else None
        ),
        failed=tuple(failed),
    )


def _by_number(entries: list[tuple[str, dict[str, Any]]], place: str) -> list[tuple[str, dict[str, Any]]]:
    """The samples in the order of their `sample_id`, or as they stand where none has one. What is missing between two
    numbers (it failed, or was removed) leaves no gap in ours.
    """
    if all(entry.get("sample_id") is None for _, entry in entries):
        return entries
    for where, entry in entries:
        number = entry["sample_id"] = _whole_number(entry.get("sample_id"))
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ExchangeError(f"{where}: sample_id should be a number 0, 1, ..., not {number!r}")
    ids = [entry["sample_id"] for _, entry in entries]
    if len(set(ids)) < len(ids):
        twice = next(number for number in ids if ids.count(number) > 1)
        raise ExchangeError(f"{place}: sample_id {twice} stands there more than once; number the samples anew")
    return sorted(entries, key=lambda pair: pair[1]["sample_id"])


def _whole_number(value: Any) -> Any:
    """`"3"` and `3.0` as the number they are; anything else as it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else value


def _reward(value: Any, place: str) -> float | None:
    """NaN stays: it is how programs write a number that is missing, and whoever compares tells the user."""
    if value is None:
        return None
    try:
        if not isinstance(value, (int, float, str)):  # true and false are numbers to Python, and 1 and 0 here
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise ExchangeError(f"{place}: a reward should be a number, not {_shortened(value)}; {_NO_REWARD}") from error
    if math.isinf(number):
        raise ExchangeError(f"{place}: a reward should be a finite number, not {number!r}; {_NO_REWARD}")
    return number


def _shortened(value: Any) -> str:
    """What stands in a file, for a sentence."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _answer(value: Any) -> str | None:
    return None if value is None else str(value)


def _text(entry: dict[str, Any], names: tuple[str, ...], place: str) -> str:
    """The text under the first of these names that is there."""
    name = next((name for name in names if entry.get(name) is not None), names[-1])
    value = entry.get(name)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], (str, int, float)):
        (value,) = value  # as data sets have answers, ["70"]
    if isinstance(value, float) and not math.isfinite(value):
        raise ExchangeError(f"{place}: {name!r} is {value!r}, which no JSON should hold")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise ExchangeError(f"{place}: {name!r} should be a text, not {_shortened(value)}")
    if value is None or not value.strip():
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
    """White space and the ways of Unicode to write an accent do not count."""
    return " ".join(normalize("NFC", text).split())


def own_problems(results: Sequence[Result]) -> list[Problem]:
    """Problems made of the file's own questions and references."""
    return [Problem(f"imported-{i}", result.question, result.reference) for i, result in enumerate(results)]
