"""Rows as publishers wrote them -> problems.

Two forms are read: the research scripts' Parquet (`prompt`, `reward_model`, `extra_info`) and named columns. Every
fault is a `DatasetError` that names the place and the row.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from onoff_core.boxes import last_boxed
from onoff_core.errors import DatasetError
from onoff_core.problems.known import Columns
from onoff_core.problems.problem import Problem

Row = Mapping[str, Any]

_MAYBE_JSON = re.compile(r"""\s*(\[\s*["'{]|\{\s*")""")
_PRINTED_LIST = re.compile(r"\['([^']*)'\]")  # as Python prints a list with one text


def is_research_form(columns: Iterable[str]) -> bool:
    """Whether rows with these columns are in the research scripts' form, which is verl's; not all have `extra_info`."""
    return {"prompt", "reward_model"} <= set(columns)


def research_problem(row: Row, index: int, where: str) -> Problem:
    """A row of the research scripts' Parquet files.

    `ground_truth` is the answer itself, a list with it, or a struct; a list or a struct may be JSON text. `target` of
    the struct has lost matrix rows and `\\text{}` in `math`, so where a solution stands beside it the answer is the
    solution's last box. `prompt` may be templated; the clean question is in the struct or in `extra_info`.
    """
    place = f"{where}, row {index}"
    truth = _ground_truth(_struct(row, "reward_model", place).get("ground_truth"))
    extra = _struct(row, "extra_info", place)
    fields: Mapping[str, Any] = truth if isinstance(truth, Mapping) else {}
    question = fields.get("question") or extra.get("question") or row.get("prompt")
    solution = fields.get("solution") or row.get("solution")
    boxed = last_boxed(fields["solution"]) if fields.get("solution") else None
    answer = boxed or (fields.get("target") if fields else truth)
    split, number = extra.get("split"), extra.get("index")  # a struct of Parquet has all its fields, null or not
    return Problem(
        problem_id=f"{'row' if split is None else split}-{index if number is None else number}",
        question=_required(_last_message(question), "question", place),
        answer=_required(_answer(answer), "answer", place),
        solution=_optional(solution),
        subject=_optional(row.get("subject", row.get("type"))),
        level=_optional(row.get("level")),
    )


def column_problem(row: Row, columns: Columns, index: int, id_prefix: str, where: str) -> Problem:
    """A row with named columns; `id_prefix` and the row's number make the id where no column holds one."""
    place = f"{where}, row {index}"
    absent = sorted(needed_columns(columns) - set(row))
    if absent:
        raise DatasetError(f"{place}: no column {', '.join(map(repr, absent))}")
    solution = _optional(row.get(columns.solution)) if columns.solution else None
    if columns.answer is None:
        answer: Any = last_boxed(solution) if solution else None
    elif columns.answer_mark:
        text = _required(row[columns.answer], "answer", place)
        if columns.answer_mark not in text:
            raise DatasetError(f"{place}: the answer column {columns.answer!r} has no {columns.answer_mark!r}")
        answer = text.rpartition(columns.answer_mark)[2]
    else:
        answer = row[columns.answer]
    given_id = _optional(row.get(columns.problem_id)) if columns.problem_id else None
    return Problem(
        problem_id=given_id or f"{id_prefix}-{index}",
        question=_required(_last_message(row[columns.question]), "question", place),
        answer=_required(_answer(answer), "answer", place),
        solution=solution,
        subject=_optional(row.get(columns.subject)) if columns.subject else None,
        level=_optional(row.get(columns.level)) if columns.level else None,
    )


def needed_columns(columns: Columns) -> set[str]:
    """The columns without which a row is no problem: the question, and the answer or the solution that boxes it."""
    return {name for name in (columns.question, columns.answer or columns.solution) if name is not None}


def fitting_columns(candidates: Sequence[Columns], present: Sequence[str], where: str) -> Columns:
    """The first of the candidate forms whose needed columns are all there, without those of its optional ones that
    are not.
    """
    for columns in candidates:
        if needed_columns(columns) <= set(present):
            optional = ("solution", "problem_id", "subject", "level")
            absent: dict[str, Any] = {field: None for field in optional if getattr(columns, field) not in present}
            return replace(columns, **absent)
    first = candidates[0]
    missing = [name for name in (first.question, first.answer or first.solution) if name not in present]
    named = " and no column ".join(repr(name) for name in missing)
    raise DatasetError(
        f"{where}: no column {named}; there are: {', '.join(present)}. Name them with question_column and answer_column"
    )


def with_own_ids(columns: Columns, rows: Sequence[Row]) -> Columns:
    """The columns with `id` as that of the ids, where nothing names another one and each row has an id of its own."""
    if columns.problem_id is not None:
        return columns
    ids = [_optional(row["id"]) if isinstance(row.get("id"), (str, int)) else None for row in rows]
    unique = None not in ids and len(set(ids)) == len(ids)
    return replace(columns, problem_id="id") if unique else columns


def _struct(row: Row, column: str, place: str) -> Row:
    value = _from_json(row.get(column))
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DatasetError(f"{place}: the column {column!r} holds no struct, as the research scripts' files do")
    return value


def _from_json(value: Any) -> Any:
    """A struct, or a list with one text, that was written as JSON text or as Python prints it; else the value.

    `[1]` and `{1, 2}` stay as they are: an interval or a set may be an answer.
    """
    if not isinstance(value, str) or not _MAYBE_JSON.match(value):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        printed = _PRINTED_LIST.fullmatch(value.strip())
        return [printed[1]] if printed else value
    texts = isinstance(read, list) and len(read) == 1 and isinstance(read[0], str)
    return read if texts or isinstance(read, dict) or _is_conversation(read) else value


def _ground_truth(value: Any) -> Any:
    """What verl's `ground_truth` holds; as JSON text it may also be a text in quotes, or a list with one number."""
    try:
        read = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return _from_json(value)
    if isinstance(read, list):
        return read[0] if len(read) == 1 else value
    return read if isinstance(read, (str, Mapping)) else value


def _answer(value: Any) -> Any:
    """An answer that stands in a list by itself, also as text; several are not one answer."""
    read = _from_json(value)
    while isinstance(read, list) and len(read) == 1:
        read = read[0]
    return value if isinstance(read, Mapping) else read


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(m, Mapping) and "content" in m for m in value)


def _last_message(value: Any) -> Any:
    """The text of a question in the form of a chat: of the user's last message, where one is a user's. Anything else
    is the question itself.
    """
    conversation = _from_json(value)
    if not _is_conversation(conversation):
        return value
    messages = [message for message in conversation if message.get("role") == "user"] or conversation
    content = messages[-1]["content"]
    if isinstance(content, list):  # parts, as APIs of models that also see have them
        return "".join(
            part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)
        )
    return content


def _text(value: Any) -> str:
    """A cell as text; JSON's 27.0 is the answer 27, and not-a-number is an empty cell."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _optional(value: Any) -> str | None:
    return None if value is None or _text(value) == "" else _text(value)


def _required(value: Any, what: str, place: str) -> str:
    fitting = not isinstance(value, (bool, bytes, Mapping, list))
    text = _optional(value) if fitting else None
    if text is None:
        instead = "" if fitting else f" (a {type(value).__name__} stands there, not a text or a number)"
        raise DatasetError(
            f"{place}: no {what}{instead}. Mend or remove the row; a problem needs a question and an answer"
        )
    return text
