r"""A second opinion by rules of its own: answers as text and as numbers, without computer algebra.

It shares no code with the comparison whose verdicts it looks at, so that a fault of one is seen by the other. The
text rule is that of the MATH data set (Hendrycks et al. 2021, "Measuring Mathematical Problem Solving With the MATH
Dataset", arXiv:2103.03874): both answers are brought to one spelling and compared as they stand. The numeric rule
compares what Python's own numbers can hold: whole numbers, decimals and plain fractions.

It says yes less often than a mathematician does: what it calls different may well be equal.
"""

import re
from fractions import Fraction

_LEFT_OUT = re.compile(r"\\left|\\right|\\!|\\,|\\;|\\ |\\\$|\$|\^\{?\\circ\}?|\\%|%|\s")
_FRACTION_NAMES = re.compile(r"\\[dt]frac")
_SHORT_FRACTION = re.compile(r"\\frac(?:\{([^{}]*)\}|(\w))(?:\{([^{}]*)\}|(\w))")
_SHORT_ROOT = re.compile(r"\\sqrt(\w)")
_SLASHED = re.compile(r"^(-?\d+)/(\d+)$")
_UNIT_BEHIND = re.compile(r"(?<=[\d})])\s*\\(?:text|mbox|mathrm)\s*\{[^{}]*\}(?:\^\{?\d\}?)?$")
_WRAPPER = re.compile(r"^\\(?:text|mbox|mathrm|textbf)\s*\{([^{}]*)\}$")
_NAME_BEFORE = re.compile(r"^[A-Za-z]=")
_THOUSANDS = re.compile(r"^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
_NUMBER = re.compile(r"^-?(?:\d+(?:\.\d+)?|\.\d+)$")
_PLAIN_FRACTION = re.compile(r"^(-?)\\frac\{(-?\d+)\}\{(-?\d+)\}$")


def is_equal_by_rules(gold: str, answer: str) -> bool:
    """Whether an answer is the gold answer, as text in one spelling or as a number."""
    return is_same_text(gold, answer) or is_same_number(gold, answer)


def is_same_text(gold: str, answer: str) -> bool:
    """Whether two answers have the same spelling, by the rules of the MATH data set; empty ones have none."""
    left, right = _spelling(gold), _spelling(answer)
    return left == right and left != ""


def is_same_number(gold: str, answer: str) -> bool:
    """Whether both are numbers, and exactly equal: `0.5`, `1/2` and `\\frac{1}{2}`."""
    left, right = number_in(gold), number_in(answer)
    return left is not None and left == right


def number_in(answer: str) -> Fraction | None:
    """The number that an answer is; None for any other answer."""
    text = _spelling(answer)
    if _THOUSANDS.match(text):
        text = text.replace(",", "")
    if _NUMBER.match(text):
        return Fraction(text)
    fraction = _PLAIN_FRACTION.match(text)
    if fraction is None or int(fraction.group(3)) == 0:
        return None
    value = Fraction(int(fraction.group(2)), int(fraction.group(3)))
    return -value if fraction.group(1) else value


def _spelling(answer: str) -> str:
    text = _UNIT_BEHIND.sub("", answer.strip().rstrip("."))
    wrapped = _WRAPPER.match(text)
    text = wrapped.group(1) if wrapped else text
    text = _NAME_BEFORE.sub("", _LEFT_OUT.sub("", text))
    text = _FRACTION_NAMES.sub(lambda match: r"\frac", text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = _SHORT_FRACTION.sub(_braced, text)
    slashed = _SLASHED.match(text)
    if slashed:
        text = rf"\frac{{{slashed.group(1)}}}{{{slashed.group(2)}}}"
    return f"0{text}" if text.startswith(".") else text


def _braced(match: re.Match[str]) -> str:
    above, below = match.group(1) or match.group(2) or "", match.group(3) or match.group(4) or ""
    return rf"\frac{{{above}}}{{{below}}}"
