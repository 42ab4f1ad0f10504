r"""Find `\boxed{...}` in LaTeX text: the one place that knows what a box is.

Used to read gold answers out of reference solutions and final answers out of responses, so that both sides agree.
Takes time in proportion to the text, whatever the text is: a response may be hostile.
"""

import re

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BRACE = re.compile(r"\\[\\{}]|[{}]")  # `\{`, `\}` and the line break before a brace are read over
_SINGLE = re.compile(r"-?\d+(?:\.\d+)?|[A-Za-z]\b")


def last_boxed(text: str) -> str | None:
    r"""The content of the last balanced `\boxed{...}` or `\fbox{...}`, without the braces; None where there is none.

    Braces may nest; `\{` and `\}` are literal and do not count. `\boxed {3}` and the TeX shorthand `\boxed 3` are
    read too. A box that is never closed is passed over, so that a response cut off in its last box falls back on an
    earlier one.
    """
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    closing = closing_braces(text)
    for match in reversed(boxes):
        start = match.end()
        if start in closing:
            return text[start + 1 : closing[start]].strip()
        if not text.startswith("{", start):
            # `\boxed 3` and `\boxed3`: TeX takes the one next character; MATH's authors wrote whole numbers so.
            single = _SINGLE.match(text, start)
            if single:
                return single.group()
    return None


def closing_braces(text: str) -> dict[int, int]:
    """Where each opening brace closes: its position -> that of its closing brace; unbalanced ones are left out."""
    closing: dict[int, int] = {}
    open_at: list[int] = []
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            open_at.append(match.start())
        elif match.group() == "}" and open_at:
            closing[open_at.pop()] = match.start()
    return closing
