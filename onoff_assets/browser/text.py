"""Text of models and data sets made safe to show: what one sees is what is there, and nothing of it is markup.

`visible` is for labels (charts, tables, lists); `latex.as_markdown` is for questions, whose LaTeX is to be set.
"""

import re
import unicodedata

# Characters that change how their neighbours are laid out, or that one cannot see.
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_MARKS = {"\n": "↵", "\r": "␍", "\t": "→"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|$~<>&:^=\"'@/%])")
# Streamlit makes links, arrows or logos of these after it has read the Markdown, so escaping does not prevent it. An
# invisible word joiner between the characters does.
_REPLACED = (
    (re.compile(r"(:)(//)|(www)(\.)|(:)(streamlit:)", re.IGNORECASE), "\\1\\3\\5\u2060\\2\\4\\6"),
    (re.compile(r"()(@)|(?<!\S)([<>~-])([->=]|->)(?!\S)"), "\\1\\3\u2060\\2\\4"),
)


def is_invisible(character: str) -> bool:
    """Whether a character is a control, a direction mark or another one without a shape of its own."""
    return character in _BIDI or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(text: str, limit: int | None = None) -> str:
    """One line in which every invisible character has a mark; `limit` shortens it with an ellipsis."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():  # the quick way out, since a table has thousands of cells
        return text
    return "".join(_MARKS.get(c) or (f"⟨U+{ord(c):04X}⟩" if is_invisible(c) else c) for c in text)


def plain(text: str) -> str:
    """Like `visible`, but line breaks and tabs stay: for blocks of text."""
    return "".join(c if c in "\n\t" or not is_invisible(c) else f"⟨U+{ord(c):04X}⟩" for c in text)


def age(then: float, now: float) -> str:
    """`3 hours ago`, of two moments in seconds since 1970. One that is still to come is of another clock, or of this
    one before it was set back.
    """
    seconds = abs(now - then)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} {'ago' if now >= then else 'ahead of this clock'}"
    return "just now"


def escaped(text: str) -> str:
    """Markdown that shows exactly this text: no HTML, links, images, directives or maths."""
    shown = plain(text)
    for pattern, apart in _REPLACED:
        shown = pattern.sub(apart, shown)
    return _MARKDOWN.sub(r"\\\1", shown).replace("\n", "  \n")
