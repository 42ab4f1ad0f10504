"""Load the problems of a data set's settings: choose the place, read the rows, check the result."""

import logging
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from onoff_core.errors import DatasetError, SettingsError
from onoff_core.problems.arithmetic import arithmetic_problems
from onoff_core.problems.files import KINDS, Reading, check_kind, kind_of, read_rows, stem_of
from onoff_core.problems.hub import read_hub_rows
from onoff_core.problems.known import ARITHMETIC, KNOWN, Columns, KnownDataset
from onoff_core.problems.problem import Problem
from onoff_core.problems.rows import (
    column_problem,
    fitting_columns,
    is_research_form,
    needed_columns,
    research_problem,
    with_own_ids,
)
from onoff_core.problems.saved import is_saved, saved_files
from onoff_core.study import DatasetSettings
from onoff_core.study.files import expanded

logger = logging.getLogger(__name__)
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")  # test-00000-of-00001


def load_problems(name: str, settings: DatasetSettings, base_dir: Path) -> tuple[Problem, ...]:
    """The first `num_examples` problems of a data set's split, in the publisher's order.

    `name` is the entry's key in the study; `base_dir` is where relative paths start. Raises `DatasetError`.
    """
    where, problems = _read(name, settings, base_dir)
    if not problems:
        raise DatasetError(f"{where}: holds no problem")
    _check_texts(problems, where)
    repeated = [problem_id for problem_id, count in Counter(p.problem_id for p in problems).items() if count > 1]
    if repeated:
        raise DatasetError(f"{where}: the problem id {repeated[0]!r} stands there more than once; ids must be unique")
    if settings.num_examples is not None and settings.num_examples > len(problems):
        logger.warning(
            "%s: num_examples is %d, but there are %d problems; all are taken",
            where,
            settings.num_examples,
            len(problems),
        )
    return problems[: settings.num_examples]


def _check_texts(problems: tuple[Problem, ...], where: str) -> None:
    """JSON can hold half a surrogate pair, which no file and no tokenizer can."""
    for number, problem in enumerate(problems):
        for name, text in asdict(problem).items():
            try:
                (text or "").encode()
            except UnicodeEncodeError as error:
                raise DatasetError(
                    f"{where}, row {number}: the {name} is not valid Unicode ({error.reason})"
                ) from error


def problems_source(name: str, settings: DatasetSettings, base_dir: Path) -> str:
    """Where the problems come from, for people: a file, a hub data set, or the built-in generator. Reads none of
    them; raises `DatasetError` for a place or a name that there is not.
    """
    if settings.path or settings.data_dir:
        return _where(local_files(name, settings, base_dir))
    known = settings.source or name
    if settings.hub is None and known == ARITHMETIC:
        return "built-in generator"
    return f"hub: {settings.hub or _known(name, settings).hub}, split {settings.split}"


def files_read(name: str, settings: DatasetSettings, base_dir: Path) -> tuple[Path, ...]:
    """Every local file that decides the problems, so that a change of one is seen; none: they come from elsewhere.
    Raises `DatasetError`.
    """
    if not settings.path and not settings.data_dir:
        return ()
    files = local_files(name, settings, base_dir)
    return tuple(one for file in files for one in (saved_files(file) if file.is_dir() else (file,)))


def _read(name: str, settings: DatasetSettings, base_dir: Path) -> tuple[str, tuple[Problem, ...]]:
    """(where, problems)."""
    if settings.path or settings.data_dir:
        files = local_files(name, settings, base_dir)
        reading = Reading(settings.split, settings.encoding, settings.separator)
        rows = [row for file in files for row in read_rows(file, reading)]
        return _where(files), _problems(rows, name, settings, settings.split, _where(files))
    if settings.hub is None and (settings.source or name) == ARITHMETIC:
        return ARITHMETIC, arithmetic_problems(settings.split)
    if settings.hub is not None:
        rows = read_hub_rows(settings.hub, settings.hub_config, settings.split, settings.revision)
        return settings.hub, _problems(rows, name, settings, settings.split, settings.hub)
    known = _known(name, settings)
    problems: list[Problem] = []
    for config in known.hub_configs:
        prefix = settings.split if len(known.hub_configs) == 1 else f"{config}-{settings.split}"
        rows = read_hub_rows(known.hub, config, settings.split, settings.revision)
        problems.extend(_problems(rows, name, settings, prefix, f"{known.hub} {config or ''}".strip()))
    return known.hub, tuple(problems)


def _known(name: str, settings: DatasetSettings) -> KnownDataset:
    known = KNOWN.get(settings.source or name)
    if known is None:
        raise DatasetError(
            f"{settings.source or name!r} is not a data set known by name ({', '.join((ARITHMETIC, *KNOWN))}); "
            "name a file (`path`), a folder (`data_dir`) or a data set on the hub (`hub`)"
        )
    if settings.split not in known.splits:
        raise DatasetError(f"{name}: no split {settings.split!r}; there are: {', '.join(known.splits)}")
    return known


def local_files(name: str, settings: DatasetSettings, base_dir: Path) -> tuple[Path, ...]:
    """The file of `path`; or that of the split in `data_dir`, or its shards in order. Raises `DatasetError`."""
    if settings.path is not None:
        file = base_dir / _expanded(settings.path, f"datasets.{name}.path")
        check_kind(file)
        return (file,)
    folder = base_dir / _expanded(str(settings.data_dir), f"datasets.{name}.data_dir")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder (data_dir)")
    if is_saved(folder):
        return (folder,)
    # A copy of a repository of the hub has its files below `data`.
    return (
        _of_split(folder, settings.split) or _of_split(folder / "data", settings.split) or _no_split(folder, settings)
    )


def _expanded(text: str, where: str) -> Path:
    try:
        return expanded(text, where)
    except SettingsError as error:
        raise DatasetError(str(error)) from error


def _of_split(folder: Path, split: str) -> tuple[Path, ...]:
    """The one file of a split, of the first kind there is, or its shards; none: there is no such split."""
    files = _readable(folder)
    whole = [file for file in files if stem_of(file.name) == split]
    if whole:
        order = list(KINDS)
        return (min(whole, key=lambda file: (order.index((kind_of(file.name) or ("",))[0]), file.name)),)
    shards = {file: found for file in files if (found := _SHARD.fullmatch(stem_of(file.name))) and found[1] == split}
    if not shards:
        return ()
    numbers, counts = sorted(int(found[2]) for found in shards.values()), {int(found[3]) for found in shards.values()}
    if len(counts) > 1 or numbers != list(range(next(iter(counts)))):
        there = ", ".join(sorted(file.name for file in shards))
        raise DatasetError(f"{folder}: the shards of {split!r} are not whole: there are {there}")
    return tuple(sorted(shards))


def _readable(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if kind_of(file.name)) if folder.is_dir() else []


def _no_split(folder: Path, settings: DatasetSettings) -> NoReturn:
    stems = [stem_of(file.name) for place in (folder, folder / "data") for file in _readable(place)]
    splits = sorted({found[1] if (found := _SHARD.fullmatch(stem)) else stem for stem in stems})
    raise DatasetError(f"{folder}: no split {settings.split!r}; there are: {', '.join(splits) or 'none'}")


def _where(files: tuple[Path, ...]) -> str:
    """The files for a message: the one there is, or the first of so many."""
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _candidates(name: str, settings: DatasetSettings) -> tuple[Columns, ...]:
    """The forms in which rows may come: columns the user named, else the publisher's, else `question` and `answer`."""
    if settings.question_column or settings.answer_column:
        named = Columns(
            settings.question_column or "question",
            settings.answer_column or "answer",
            settings.solution_column,
            settings.id_column,
        )
        return (named,)
    known = KNOWN.get(settings.source or name)
    plain = Columns("question", "answer", settings.solution_column or "solution", settings.id_column or "problem_id")
    given = (Columns("question", answer, problem_id=settings.id_column) for answer in ("reference_answer", "reference"))
    return (*(known.columns if known else ()), plain, *given)  # given: a results.json


def _problems(
    rows: list[dict[str, Any]], name: str, settings: DatasetSettings, prefix: str, where: str
) -> tuple[Problem, ...]:
    if not rows:
        raise DatasetError(f"{where}: holds no rows")
    present = list(dict.fromkeys(column for row in rows for column in row))  # rows of JSON may differ
    _check_named(settings, present, where)
    if is_research_form(present) and not (settings.question_column or settings.answer_column):
        return tuple(research_problem(row, index, where) for index, row in enumerate(rows))
    columns = fitting_columns(_candidates(name, settings), present, where)
    if "id" in present and not _is_published(columns, name, settings):
        columns = with_own_ids(columns, rows)
    return tuple(column_problem(row, columns, index, prefix, where) for index, row in enumerate(rows))


def _is_published(columns: Columns, name: str, settings: DatasetSettings) -> bool:
    """Whether the rows are in the form of a data set known by name, which says itself where its ids are."""
    known = KNOWN.get(settings.source or name)
    return known is not None and any(needed_columns(columns) == needed_columns(form) for form in known.columns)


def _check_named(settings: DatasetSettings, present: list[str], where: str) -> None:
    """A column that the settings name must be there, also one we could do without."""
    for key in ("question_column", "answer_column", "solution_column", "id_column"):
        column = getattr(settings, key)
        if column is not None and column not in present:
            raise DatasetError(f"{where}: no column {column!r} ({key}); there are: {', '.join(present)}")
