"""Look for a text or a regular expression in responses, and mark where it stands.

All matching is RE2's (through Arrow), whose time grows with the text's length alone, whatever the expression is.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_assets.browser.text import visible

LONGEST_SECONDS = 20.0  # of one search; what was not looked at by then is told
_BEFORE, _AFTER = 60, 240  # characters of an excerpt around the first hit
_BEGIN, _END = "\ufdd0", "\ufdd1"  # code points that no text may hold


@dataclass(frozen=True)
class Search:
    """A text, whatever its case, or a regular expression of RE2's syntax, whose case counts unless it says (?i)."""

    text: str
    is_regex: bool = False

    @property
    def pattern(self) -> str:
        return self.text if self.is_regex else "(?i)" + _QUOTED.sub(lambda found: _quote(found[0]), self.text)

    def fault(self) -> str | None:
        """Why the expression cannot be used; None where it can."""
        try:
            pc.match_substring_regex(pa.array(["x"]), self.pattern)
        except pa.ArrowInvalid as error:
            return str(error).removeprefix("Invalid regular expression: ")
        return None


_QUOTED = re.compile(r"[^A-Za-z0-9_\x80-\U0010ffff]")


def _quote(character: str) -> str:
    return "\\x00" if character == "\0" else "\\" + character


@dataclass(frozen=True)
class Found:
    """Which responses hold it, and how many were looked at before the time was over."""

    mask: NDArray[np.bool_]
    num_searched: int


def search_responses(
    responses: Iterable[pa.RecordBatch],
    search: Search,
    num_responses: int,
    say: Callable[[int, int], None],
    until: float,
) -> Found:
    """Look through responses, a batch of them at a time; `until` is by `time.monotonic`."""
    mask = np.zeros(num_responses, dtype=bool)
    at = 0
    for batch in responses:
        if time.monotonic() > until:
            break
        hits = pc.match_substring_regex(batch.column("response"), search.pattern)
        mask[at : at + len(hits)] = pc.fill_null(hits, False).to_numpy(zero_copy_only=False)
        at += len(hits)
        say(at, num_responses)
    return Found(mask, at)


Piece = tuple[str, bool]  # a text, and whether it is a hit


def hits(response: str, search: Search) -> list[tuple[int, int]]:
    """Where the hits begin and end, in characters; a hit of no length, as `x*` has them anywhere, is none."""
    found, at = [], 0
    for text, is_hit in _in_pieces(response, search):
        if is_hit:
            found.append((at, at + len(text)))
        at += len(text)
    return found


def _in_pieces(response: str, search: Search) -> list[Piece]:
    """The whole response in pieces that are hits or are none; none is empty."""
    clean = response.replace(_BEGIN, "\ufffd").replace(_END, "\ufffd")
    replaced = pc.replace_substring_regex(pa.array([clean]), f"(?:{search.pattern})", f"{_BEGIN}\\0{_END}")
    return [piece for piece in _pieces(replaced[0].as_py()) if piece[0]]


def excerpt(response: str, search: Search) -> list[Piece]:
    """The response's text around the first hit on one line, every hit in it marked."""
    pieces = _in_pieces(response, search)
    first = next((i for i, (_, is_hit) in enumerate(pieces) if is_hit), None)
    if first is None:
        return []
    shown: list[Piece] = []
    if first > 0:
        before = pieces[first - 1][0]
        shown.append((("…" if first > 1 or len(before) > _BEFORE else "") + before[-_BEFORE:], False))
    room = _AFTER
    for at, (text, is_hit) in enumerate(pieces[first:]):
        if is_hit and at > 0 and len(text) > room:  # a hit is shown whole, or not at all
            shown.append(("…", False))
            break
        shown.append((text if len(text) <= room else text[:room] + "…", is_hit))
        room -= len(text)
        if room <= 0:
            break
    return [(visible(text), is_hit) for text, is_hit in shown]


def _pieces(marked: str) -> list[Piece]:
    head, *rest = marked.split(_BEGIN)
    pieces = [(head, False)]
    for part in rest:
        hit, _, after = part.partition(_END)
        pieces += [(hit, True), (after, False)]
    return pieces
