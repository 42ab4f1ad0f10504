"""Load the problems of a data set's settings: choose the place, read the rows, check the result."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onoff_core.errors import DatasetError
from onoff_core.problems.arithmetic import arithmetic_problems
from onoff_core.problems.files import check_kind, read_rows
from onoff_core.problems.hub import read_hub_rows
from onoff_core.problems.known import ARITHMETIC, KNOWN, Columns, KnownDataset
from onoff_core.problems.problem import Problem
from onoff_core.problems.rows import column_problem, fitting_columns, is_research_form, research_problem
from onoff_core.study import DatasetSettings

_ENDINGS = ("parquet", "jsonl", "json", "csv")


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
        raise DatasetError(f"{where}: num_examples is {settings.num_examples}, but there are {len(problems)} problems")
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
        return str(_local_file(settings, base_dir))
    known = settings.source or name
    if settings.hub is None and known == ARITHMETIC:
        return "built-in generator"
    return f"hub: {settings.hub or _known(name, settings).hub}, split {settings.split}"


def _read(name: str, settings: DatasetSettings, base_dir: Path) -> tuple[str, tuple[Problem, ...]]:
    """(where, problems)."""
    if settings.path or settings.data_dir:
        file = _local_file(settings, base_dir)
        return str(file), _problems(read_rows(file), name, settings, settings.split, str(file))
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


def _local_file(settings: DatasetSettings, base_dir: Path) -> Path:
    """The file of `path`, or of the split in `data_dir`."""
    if settings.path is not None:
        file = base_dir / Path(settings.path).expanduser()
        check_kind(file)
        return file
    folder = base_dir / Path(str(settings.data_dir)).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder (data_dir)")
    for ending in _ENDINGS:
        if (folder / f"{settings.split}.{ending}").is_file():
            return folder / f"{settings.split}.{ending}"
    splits = sorted({file.stem for file in folder.iterdir() if file.suffix[1:] in _ENDINGS})
    raise DatasetError(f"{folder}: no split {settings.split!r}; there are: {', '.join(splits) or 'none'}")


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
    return (*(known.columns if known else ()), plain)


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
    return tuple(column_problem(row, columns, index, prefix, where) for index, row in enumerate(rows))


def _check_named(settings: DatasetSettings, present: list[str], where: str) -> None:
    """A column that the settings name must be there, also one we could do without."""
    for key in ("question_column", "answer_column", "solution_column", "id_column"):
        column = getattr(settings, key)
        if column is not None and column not in present:
            raise DatasetError(f"{where}: no column {column!r} ({key}); there are: {', '.join(present)}")
