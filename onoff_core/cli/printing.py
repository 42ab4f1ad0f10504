"""Plain tables for a terminal."""

import os
import sys
import unicodedata
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be; numbers to the right."""
    texts = [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(header, *texts, strict=True)]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *texts]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if flag else cell.ljust(width)
            for cell, width, flag in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def plain(text: str) -> str:
    """The text without what would command a terminal; such names may come with a stranger's store."""
    return "".join(
        character if unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp") else ascii(character)[1:-1]
        for character in text
    )


def fraction(value: float | None) -> str:
    """`0.115`, or a dash where there is no number."""
    return "-" if value is None else f"{value:.3f}"


def interval(low: float | None, high: float | None, of: str, why: str | None) -> str:
    """`[0.014, 0.330]  on other problems like these`, or why there is no interval."""
    if low is None or high is None:
        return f"no interval {of}: {why or 'the statistics do not say why'}"
    return f"[{fraction(low)}, {fraction(high)}]  {of}"


def red(text: str) -> str:
    """For standard error: red where a person reads it on a terminal (and has not set NO_COLOR, see no-color.org)."""
    return f"\x1b[31m{text}\x1b[0m" if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else text
