r"""Find `\boxed{...}` in LaTeX text: the one place that knows what a box is.

Used to read gold answers out of reference solutions and final answers out of responses, so that both sides agree.
"""

import re

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")


def last_boxed(text: str) -> str | None:
    r"""The content of the last balanced `\boxed{...}` or `\fbox{...}`, without the braces; None where there is none.

    Braces may nest; `\{` and `\}` are literal and do not count. `\boxed {3}` and the TeX shorthand `\boxed 3` are
    read too. A box that is never closed is passed over, so that a response cut off in its last box falls back on an
    earlier one.
    """
    for match in reversed(list(_BOX.finditer(text))):
        content = _braced(text, match.end())
        if content is None and match.end() < len(text) and text[match.end()] != "{":
            content = _single(text, match)
        if content is not None:
            return content.strip()
    return None


def _braced(text: str, start: int) -> str | None:
    """The content of the brace group that opens at `start`; None where none opens there or it never closes."""
    if not text.startswith("{", start):
        return None
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : position]
        position += 1
    return None


def _single(text: str, match: re.Match[str]) -> str | None:
    r"""`\boxed 3` and `\boxed3`: TeX takes the one next character; MATH's authors wrote whole numbers so."""
    found = re.compile(r"-?\d+(?:\.\d+)?|[A-Za-z]\b").match(text, match.end())
    return found.group() if found else None
