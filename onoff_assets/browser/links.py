"""Every view has a link: read the query of a URL, and check it against the store."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from onoff_assets.browser.text import visible

Value = TypeVar("Value", str, int)


@dataclass(frozen=True)
class Link:
    """The view that a URL asks for; None where it says nothing. Not yet checked against the store."""

    dataset: str | None = None
    model: str | None = None
    other: str | None = None  # the second model of Compare
    problem: str | None = None
    sample: int | None = None
    token: int | None = None
    way: str | None = None  # of Opinions: how the verdicts differ

    def query(self) -> dict[str, str]:
        """The query's names and values, without those that are None."""
        return {name: str(value) for name, value in vars(self).items() if value is not None}


_NUMBERS = ("sample", "token")


def read_link(query: Mapping[str, str]) -> tuple[Link, list[str]]:
    """The link, and a message for each value that cannot be read."""
    values: dict[str, str | int] = {}
    messages: list[str] = []
    for name in Link.__dataclass_fields__:
        text = query.get(name)
        if text is None or text == "":
            continue
        if name not in _NUMBERS:
            values[name] = text
        elif text.isascii() and text.isdecimal() and len(text) <= 9:
            values[name] = int(text)
        else:
            messages.append(f"The link's {name} '{visible(text, 40)}' is not a number; showing the first.")
    return Link(**values), messages  # type: ignore[arg-type]


def choose(what: str, wanted: Value | None, options: Sequence[Value]) -> tuple[Value | None, str | None]:
    """The wanted option, or the first with a message where the link asks for one that is not there."""
    if not options:
        return None, None
    if wanted is None:
        return options[0], None
    if wanted in options:
        return wanted, None
    close = difflib.get_close_matches(str(wanted), [str(option) for option in options[:5000]], n=1)
    meant = f" Did you mean '{visible(close[0], 60)}'?" if close and not isinstance(wanted, int) else ""
    shown = visible(str(options[0]), 60)
    return options[0], f"There is no {what} '{visible(str(wanted), 60)}' here (any more).{meant} Showing '{shown}'."


def clamp_token(wanted: int | None, num_tokens: int) -> tuple[int | None, str | None]:
    """The wanted position, or the last one with a message."""
    if wanted is None or num_tokens == 0:
        return None, None
    if wanted < num_tokens:
        return wanted, None
    return num_tokens - 1, f"This response has {num_tokens} tokens, so there is no token {wanted}; showing the last."
