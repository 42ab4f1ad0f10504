"""What sections of the settings are made of: their base, and values that are checked where they are read."""

import codecs
import re
import zoneinfo
from collections.abc import Collection
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A part of the settings: frozen, and without room for unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    # Fields that came after results had been made without them: at their default they are no part of what decides a
    # result, so that those results keep their fingerprints. A field that is added to a section belongs in here.
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset()

    def deciding(self, exclude: Collection[str] = ()) -> dict[str, Any]:
        """The settings as a fingerprint takes them, without those of `exclude`."""
        unchanged = {
            name for name in self.ADDED_LATER if getattr(self, name) == type(self).model_fields[name].get_default()
        }
        return self.model_dump(mode="json", exclude={*exclude, *unchanged})


_EXPONENT = re.compile(r"[-+]?[0-9]{1,20}[eE][-+]?[0-9]{1,3}")


def _whole_number_as_float(value: Any) -> Any:
    """YAML writes 1 where a person means 1.0, and 1e-3 is a text to it for want of a point; true is not a number,
    though Python says it is.
    """
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def list_as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def nothing_as_empty(value: Any) -> Any:
    """A heading with all its lines commented out reads as null in YAML."""
    return {} if value is None else value


_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))


def known_cron(value: str) -> str:
    """Five fields with numbers that there are; a wrong one would stop the platform from loading."""
    fields = value.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(f"five fields are wanted, minute hour day month weekday, such as '0 2 * * *', not {value!r}")
    for field, (name, low, high) in zip(fields, _CRON_FIELDS, strict=True):
        for number in re.findall(r"(?<![/#\w])\d+", field):
            if not low <= int(number) <= high:
                raise ValueError(f"{name} should be {low} to {high}, not {number}")
    return value


def known_timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"a time zone such as Europe/Zurich is wanted, not {value!r}") from error
    return value


def known_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError as error:
        raise ValueError(f"an encoding such as utf-8, utf-16, latin-1 or cp1252 is wanted, not {value!r}") from error
    return value


def _web_address(value: str) -> str:
    """What becomes a link on a page; `javascript:` and its like would run there."""
    if not re.fullmatch(r"https?://[^\s\"'<>]+", value):
        raise ValueError(f"an address that begins with http:// or https:// is wanted, not {value!r}")
    return value


def known_endpoint(value: str) -> str:
    """The address of a server, which is written into logs and so must hold no secret."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"an address such as http://127.0.0.1:8000/v1 is wanted, not {value!r}")
    if parts.username or parts.password or parts.query:
        raise ValueError("an address holds no key and no password; name the variable that does in api_key_env")
    return value.rstrip("/")


Count = Annotated[int, Field(ge=1, lt=2**31)]  # what is counted is numbered in 32 bits
Real = Annotated[float, BeforeValidator(_whole_number_as_float), Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Owner = Annotated[str, Field(pattern=r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]
