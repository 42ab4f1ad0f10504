r"""Numerals with a base, ratios, times of day: digits that are no plain number.

`1010_2` is a number written in a base, `1:2:3` a ratio of several, `9:30` may be a time.
"""

import math
import re

import sympy

from onoff_core.rewards.normalise import WRAPPED

_BASE_IN_WORDS = re.compile(
    r"(?<=[\dA-Za-z)}])\s*(?:_\s*\{?\s*)?\(?\s*(?:\\(?:text|mathrm)\s*\{\s*)?\(?\s*(?:in\s+)?base[\s-]*\}?\s*"
    r"(\d{1,2}|[a-z]+)[\s)}]*$"
)
_BRACKETED = re.compile(r"^\(\s*([0-9A-Za-z.]+)\s*\)\s*(?=_)|(?<=_)\s*\{?\(\s*(\d{1,2})\s*\)\}?$")
_WRAPPED_DIGITS = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{\s*([0-9A-F]+)\s*\}(?=[0-9A-F_])")
_NUMERAL = re.compile(
    r"^(-?)(?=[A-Za-z]*\d)([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)_\{?(?:\\text\{)?(\d{1,2}|"
    + "{})\\}}?\\}}?$".format("two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|sixteen")
)
_NAMED_BASES = "two three four five six seven eight nine ten eleven twelve"
_BASES = {name: base for base, name in enumerate(_NAMED_BASES.split(" "), start=2)} | {"sixteen": 16}


def with_base_below(text: str) -> str:
    """`(1010)_2`, `1010_{(2)}`, `1010 in base 2` -> `1010_2`; letters among the digits without their wrappers."""
    if "_" not in text and "base" not in text:
        return text
    text = _BASE_IN_WORDS.sub(r"_{\1}", text)
    text = _BRACKETED.sub(lambda match: match[1] or match[2], text)
    return _WRAPPED_DIGITS.sub(r"\1", text)


def numeral(text: str) -> tuple[str, int, sympy.Rational | None] | None:
    """A numeral's spelling, base and value; the value is None where a digit is not one of that base, which makes it a
    name with an index. None for another text.
    """
    match = _NUMERAL.match(text.replace(" ", ""))
    if not match:
        return None
    sign, digits, base_text = match.groups()
    base = _BASES.get(base_text) or int(base_text)
    spelling = f"{sign}{digits}_{{{base_text}}}"
    whole, _, part = digits.partition(".")
    try:
        value = sympy.Integer(int(whole + part, base)) / sympy.Integer(base) ** len(part)
    except ValueError:
        return spelling, base, None
    return spelling, base, -value if sign else value


_LONG_RATIO = re.compile(r"^\s*\d{1,30}(?:\s*:\s*\d{1,30}){2,}\s*$")


def reduced_ratio(text: str) -> str | None:
    """`2:4:6` -> `1:2:3`; None for what is no ratio of three or more."""
    if not _LONG_RATIO.match(text):
        return None
    numbers = [int(number) for number in text.split(":")]
    divisor = math.gcd(*numbers) or 1
    return ":".join(str(number // divisor) for number in numbers)


_TIME = re.compile(
    r"(?i)^\s*(?:\d{1,2}(?::\d\d)?[\s{\\]*[ap]\s*\.?\s*m\s*\.?[\s}]*"  # 9 a.m. is not 9
    r"|\d{1,2}:00|\d{1,2}/\d{1,2}/\d{4}|\d{4}-\d\d-\d\d)$"
)
_CLOCK = re.compile(r"\d{1,2}:[0-5]\d")


def time_of_day(text: str) -> str | None:
    """`9\\text{ a.m.}` -> `9am`; a date too. None for what is neither."""
    bare = WRAPPED.sub("", text)
    return re.sub(r"[\\{}.\s]", "", bare).lower() if _TIME.match(bare) else None


def is_clock(key: str) -> bool:
    """Whether `9:30` is a time: it may be, and as a ratio it would be written 3:10."""
    return _CLOCK.fullmatch(key) is not None and math.gcd(*map(int, key.split(":"))) > 1
