"""The address of a view: what a URL's query asks for, what of it goes along to another page, and helpers for links.

An address names a place (`Link`: data set, model, problem, sample, token, ...), and by its other names how one looks at
it: colour and threshold of the tokens (`colour=rank`, `unsure=90%`), lens (`lens=0.6,0.95,0`: temperature, top-p and
top-k), number of bars, filter, sort. Both stay while one goes from page to page, as far as they still mean something.
"""

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
    other_sample: int | None = None  # the second response of Side by side
    branch: int | None = None  # the token id of the alternative that is open at the token
    samples: str | None = None  # the beginning of the fingerprint of the samples that were looked at

    def query(self) -> dict[str, str]:
        """The query's names and values, without those that are None."""
        return {name: str(value) for name, value in vars(self).items() if value is not None}


_NUMBERS = ("sample", "token", "other_sample", "branch")
# What a value belongs to: it goes along only while these stay the same.
_BELONGS_TO = {
    "dataset": (),
    "model": (),
    "problem": ("dataset",),
    "sample": ("dataset", "problem"),
    "samples": ("dataset", "model"),
    "token": ("dataset", "model", "problem", "sample"),
    "branch": ("dataset", "model", "problem", "sample", "token"),
    "other": ("dataset",),
    "other_sample": ("dataset", "problem"),
}


def looks_of(query: Mapping[str, str]) -> dict[str, str]:
    """The part of a query that names no place but how one looks at it: each page reads what it knows of it."""
    return {name: value for name, value in query.items() if value and name not in Link.__dataclass_fields__}


def carried(link: Link, before: Link) -> Link:
    """The link, with what it leaves open as it was before, as far as it still belongs to the same."""
    values = vars(link).copy()
    for name, owners in _BELONGS_TO.items():
        if values[name] is None and all(values[owner] == getattr(before, owner) for owner in owners):
            values[name] = getattr(before, name)
    return Link(**values)


def side_by_side(
    key: tuple[str, str], problem: str, sample: int | None, other: str | None, other_sample: int | None = None
) -> dict[str, str]:
    """The query of Side by side: a response of `key`, beside one of the model `other` (None: of the same model).

    A sample that is None is chosen there: one that is correct of the one and wrong of the other, where there are such.
    """
    return Link(*key, other=other, problem=problem, sample=sample, other_sample=other_sample).query()


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


def identity_of(fingerprint: str) -> str:
    """What an address keeps of the fingerprint of samples."""
    return fingerprint[:8]


def former_samples(wanted: str | None, fingerprint: str) -> str | None:
    """A message where a link was made on other samples than those that are shown."""
    if wanted is None or wanted == identity_of(fingerprint):
        return None
    return (
        f"This link was made on other responses ({visible(wanted, 16)}) than there are ({identity_of(fingerprint)}): "
        "a sample or a token may be another one."
    )


def clamp_token(wanted: int | None, num_tokens: int) -> tuple[int | None, str | None]:
    """The wanted position, or the last one with a message."""
    if wanted is None or num_tokens == 0:
        return None, None
    if wanted < num_tokens:
        return wanted, None
    return num_tokens - 1, f"This response has {num_tokens} tokens, so there is no token {wanted}; showing the last."
