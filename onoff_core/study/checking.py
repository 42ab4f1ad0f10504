"""Check a section of a settings file, and say each mistake as one sentence: which file, which key, what is allowed."""

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from onoff_core.errors import SettingsError
from onoff_core.study.study import suggestion
from onoff_core.study.task_settings import AUTO
from onoff_core.study.values import Section

S = TypeVar("S", bound=Section)
_NUMBERS = ("int_type", "int_from_float", "float_type", "bool_type")

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


def shown(value: Any) -> str:
    """A value for a message: as Python writes it, shortened where it is long or deep."""
    return _repr.repr(value)


def validate(kind: type[S], raw: Any, path: Path, where: str) -> S:
    """A section of a settings file, checked; every mistake is a sentence that names the file and the key."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = [f"{path}: {_sentence(kind, one, where)}" for one in error.errors()]
        raise SettingsError("\n".join(problems)) from error


def _sentence(kind: type[BaseModel], error: Any, where: str) -> str:
    """One pydantic error as `key: what is wrong (what is allowed)`."""
    location = [str(part) for part in error["loc"] if not _is_type_tag(part)]
    value = shown(error["input"])
    if error["loc"][-1:] == ("[key]",) or error["type"] == "invalid_key":
        names = ".".join([*([where] if where else []), *location[:-1]]) or "the file"
        return f"{names}: the name {value} is not a text to YAML; write it in quotes"
    key = ".".join([*([where] if where else []), *location]) or "the file"
    match error["type"]:
        case "extra_forbidden":
            owner = _section_at(kind, location[:-1])
            return f"{key}: unknown key{suggestion(location[-1], owner.model_fields)}"
        case "literal_error" if error["ctx"]["expected"] == repr(AUTO):
            return f"{key}: {AUTO} or settings by name are wanted (open: ..., close: ...), not {value}"
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case "dict_type" | "model_type":
            return f"{key}: settings by name are wanted (name: value), not {value}"
        case "tuple_type":
            return f"{key}: a list is wanted, such as [a, b], not {value}"
        case "string_too_short":
            return f"{key}: is empty"
        case other:
            text = "the text " if other in _NUMBERS and isinstance(error["input"], str) else ""
            message = error["msg"][0].lower() + error["msg"][1:]
            return f"{key}: {message.replace('input ', '')}, not {text}{value}"


def _is_type_tag(part: Any) -> bool:
    """Pydantic puts the branch of a union it tried into the location; a reader wants keys and positions only."""
    return isinstance(part, str) and (part in {"constrained-int", "int", "float", "str", "none"} or "[" in part)


def _section_at(kind: type[BaseModel], location: list[str]) -> type[BaseModel]:
    for part in location:
        if part in kind.model_fields:
            nested = next(_sections_in(kind.model_fields[part].annotation), None)
            kind = nested or kind
    return kind


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections among what a field's annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for allowed in get_args(annotation):
        yield from _sections_in(allowed)
