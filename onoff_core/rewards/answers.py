r"""An answer as text -> an `Answer`: words, or a value of computer algebra with its percent sign and number base apart.

The parser is math-verify's (latex2sympy2_extended). It is called directly: `math_verify.parse` falls back on any
number it finds in a text it cannot read (`-2x+20 apples` would become -2), and goes through dozens of patterns first.
Imports sympy, so it belongs in the workers only.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, latex2sympy, normalize_latex
from math_verify.grader import should_treat_as_complex
from math_verify.parser import get_last_eq

from onoff_core.boxes import closing_braces
from onoff_core.rewards.normalise import WRAPPED, normalise, top_level_parts, unwrapped


@dataclass(frozen=True)
class Answer:
    """One side of a comparison."""

    key: str  # its letters and signs without spaces and wrappers: equal keys are equal answers
    is_words: bool  # a name, a day, a choice: compared by key, never as a product of letters
    value: Any | None  # sympy; None where it is words or cannot be parsed
    is_percent: bool = False  # then `value` is the number before the sign
    base: int | None = None  # of a numeral such as 1011_2; then `value` is its digits read in that base
    is_conditional: bool = False  # `3 when x = 0` is neither 3 nor 0: compared by key alone

    @property
    def is_parsed(self) -> bool:
        return self.is_words or self.is_conditional or self.value is not None


@lru_cache(maxsize=4096)
def parse_answer(answer: str) -> Answer:
    """Read an answer; one that cannot be read, or nests too deep to be, has neither words nor value."""
    try:
        return _read(answer)
    except RecursionError:
        return Answer("", False, None)


def _read(answer: str) -> Answer:
    text, was_wrapped = unwrapped(normalise(answer))
    text = _FOR_ALL.sub("", _with_base_below(text))
    if _TIME.match(WRAPPED.sub("", text)):
        return Answer(re.sub(r"[\\{}.\s]", "", WRAPPED.sub("", text)).lower(), True, None)
    if _LONG_RATIO.match(text):
        return Answer(_reduced_ratio(text), True, None)
    quantity = without_unit(text)
    if quantity == text and _is_words(text, was_wrapped):
        return Answer(_key(_AND.sub(",", text)), True, None)
    key = _key(text)
    if _is_conditional(text):
        return Answer(key, False, None, is_conditional=True)
    text, is_percent = _without_percent(quantity)
    numeral = _NUMERAL.match(text.replace(" ", ""))
    if numeral:
        return _numeral(key, *numeral.groups())
    return Answer(_key(text) if not is_percent else key, False, _value(text), is_percent)


_FOR_ALL = re.compile(  # it holds always, so it is no condition
    r"(?<=\S)\s*,?\s*(?:\\(?:text|mathrm)\s*\{\s*)?(?<![A-Za-z])for (?:all|any|every)(?: real)?"
    r"\s*\}?\s*[A-Za-z]\s*\}?\s*$"
)
_RELATION = r"(?:[=<>]|\\(?:le|ge|ne|neq|in|to|equiv|approx)(?![A-Za-z]))"
_CONDITION = re.compile(  # no capitals but the first: IF may be a segment
    r"(?<![A-Za-z\\])(?:"
    r"(?:[Ww]hen|[Ww]henever|[Ii]f|iff|[Uu]nless|[Pp]rovided|[Aa]ssuming|except|otherwise|gives|yields|then)(?![A-Za-z])"
    # these need not say when: 5 for two people; and a t is a product, as in u + at = v
    rf"|(?:[Ff]or|[Aa]t|[Aa]s|with|[Ww]here|[Gg]iven|since|such\s+that)[\s}}]+(?=[A-Za-z\d\\(])"
    rf"[^=<>]*?(?<![A-Za-z])[A-Za-z(][^=<>]*?{_RELATION})"
)
_SAYS_SOMETHING = re.compile(r"\d|\\|(?<![A-Za-z])[A-Za-z](?![A-Za-z])")


def _is_conditional(text: str) -> bool:
    """Whether an answer holds under a condition only; the parser would multiply its words and take what it equals.

    `\\text{Cost for } n = 5` names what is 5: before the condition there has to be an answer, or nothing.
    """
    bare = WRAPPED.sub("", text)
    match = _CONDITION.search(bare)
    if match is None:
        return False
    before = bare[: match.start()].strip(" {(")
    return not before or _SAYS_SOMETHING.search(before) is not None


_UNIT_WORD = re.compile(
    "mm|cm|dm|km|ft|yd|mi|in|kg|mg|lbs?|oz|m[lL]|mph|km?ph|kmh|hrs?|mins?|secs?|rad|deg|cc|sq|cu|[rR]s|usd|USD|am|AM|pm|PM"
    "|mol|Hz|kWh|m/s|km/h|cm/s|ft/s|st|nd|rd|th"
)
_FUNCTIONS = {"sqrt", "sin", "cos", "tan", "log", "ln", "exp", "frac", "infty", "pi", "mod", "cup", "cap"}
_MONTH = re.compile("(?i)january|february|march|april|june|july|august|september|october|november|december")
_OPERATION = re.compile(
    r"^\s*(?:squared|cubed|plus|minus|factorial|divided|choose|mod|over|half)\b|\b(?:and|or|than)\b"
)
_BARE_UNIT = re.compile(
    r"^(?P<number>.*(?:[\d})!]|\\pi\s))(?P<space>\s*)(?P<unit>[A-Za-z]+(?:/[A-Za-z]+)?)(?P<more>(?:\s+[A-Za-z]+\.?)*)"
    r"(?:\^\s*\{?[23]\}?)?$",
    re.DOTALL,
)
_POWER = re.compile(r"\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d)\s*$")
_LETTER_UNIT = re.compile(r"^(.*[\d})])\s+(?:m|g|s|h|l|L|N|J|V|W|K)(?:\^\s*\{?[23]\}?)?$", re.DOTALL)
_TIME = re.compile(
    r"(?i)^\s*(?:\d{1,2}(?::\d\d)?[\s{\\]*[ap]\s*\.?\s*m\s*\.?[\s}]*"  # 9 a.m. is not 9
    r"|\d{1,2}:00|\d{1,2}/\d{1,2}/\d{4}|\d{4}-\d\d-\d\d)$"
)
_LONG_RATIO = re.compile(r"^\s*\d{1,30}(?:\s*:\s*\d{1,30}){2,}\s*$")
_LEADING_WORDS = re.compile(r"^(?:\\text\s*\{\s*)?(?:Rs|USD)\.?\s*\}?\s*(?=\d)")
_ORDINAL = re.compile(r"(?<=\d)\s*\^\s*\{?\s*(?:\\(?:text|mathrm)\s*\{)?\s*(?:st|nd|rd|th)\s*\}{0,2}$")
_UNIT_RATIO = re.compile(
    r"(?<=[\d})])\s*\\frac\s*\{\s*\\(?:text|mathrm)\s*\{[^{}]*\}\s*\}\s*\{\s*\\(?:text|mathrm)\s*\{[^{}]*\}[\s^{\d}]*\}$"
)
# 5 hundredths is not 5
_PART = re.compile("(?:hal(?:f|ves)|(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|hundredth|thousandth)s?)")


def without_unit(text: str) -> str:
    r"""Without the unit behind a quantity: `12 \text{ cm}^2`, `12 cm`, `12 apples`. A lone letter is kept: it may be an
    unknown (see `without_letter_unit`).
    """
    text = _UNIT_RATIO.sub("", _ORDINAL.sub("", _LEADING_WORDS.sub("", text)))
    while (shorter := _without_wrapped_unit(text)) != text:
        text = shorter
    match = _BARE_UNIT.match(text)
    if (
        not match
        or _OPERATION.search(match["unit"] + match["more"])
        or match["unit"] in _FUNCTIONS
        or _MONTH.fullmatch(match["unit"])
        or _PART.fullmatch(match["unit"])
    ):
        return text
    unit = match["unit"]
    is_word = len(unit) >= 4 and match["space"] != "" and unit.isalpha()
    return match["number"].strip() if _UNIT_WORD.fullmatch(unit) or is_word else text


def without_letter_unit(text: str) -> str | None:
    """`5 m` -> `5`; None where there is no such unit. Only to be asked where the gold answer is a plain number."""
    match = _LETTER_UNIT.match(normalise(text))
    return match.group(1).strip() if match else None


def _without_wrapped_unit(text: str) -> str:
    """Without a `\\text{...}` at the end, where a quantity stands before it."""
    power = _POWER.search(text)
    end = power.start() if power else len(text)
    body = text[:end].rstrip()
    if not body.endswith("}"):
        return text
    closing = closing_braces(body)
    for match in WRAPPED.finditer(body):
        if closing.get(match.end()) == len(body) - 1:
            before = body[: match.start()].strip()
            if not before or before[-1] in "+-*/^_=<>(," or _OPERATION.search(body[match.end() + 1 : -1]):
                return text
            return before.rstrip(" .,;").removesuffix(r"\cdot").rstrip()
    return text


_AND = re.compile(r",?\s+and\s+")
_QUOTED = re.compile(r"""^(["'`]+)(.*?)["'`]+$""", re.DOTALL)
# A choice, or letters in an order: of several, as of words, case does not count. Yes and No are no products.
_LETTERS = re.compile(r"\(?[A-Z]\)?|[A-Z]{3,}|[A-Z][a-z]{2,}|[Nn]o|yes")


def _key(text: str) -> str:
    text = WRAPPED.sub("", text.replace(r"\!", ""))
    text = re.sub("[{}]", "", text) if "\\" not in text.replace("\\ ", "") else text
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", _QUOTED.sub(r"\2", text.strip())).strip(".,;:")


def _is_words(text: str, was_wrapped: bool) -> bool:
    """Whether an answer is words rather than mathematics.

    A wrapper says so for anything with a letter (but `\\text{B, E}` may be a list of letters, which keys compare);
    without one, four letters in a row that no command starts do, or a capital by itself.
    """
    bare = WRAPPED.sub("", text)
    if was_wrapped:
        return re.search(r"[A-Za-z]", bare) is not None and "\\" not in bare and "=" not in bare
    if _LETTERS.fullmatch(bare):
        return True
    letters = re.findall(r"[A-Za-z]{4,}", bare)
    return bool(letters) and re.fullmatch(r"[A-Za-z\d\s.,;:'\"()!?-]+", bare) is not None


def _reduced_ratio(text: str) -> str:
    """`2:4:6` -> `1:2:3`."""
    numbers = [int(number) for number in text.split(":")]
    divisor = math.gcd(*numbers) or 1
    return ":".join(str(number // divisor) for number in numbers)


_CLOCK = re.compile(r"\d{1,2}:[0-5]\d")


def is_clock(key: str) -> bool:
    """Whether `9:30` is a time: it may be, and as a ratio it would be written 3:10."""
    return _CLOCK.fullmatch(key) is not None and math.gcd(*map(int, key.split(":"))) > 1


_BASE_IN_WORDS = re.compile(
    r"(?<=[\dA-Za-z)}])\s*(?:_\s*\{?\s*)?\(?\s*(?:\\(?:text|mathrm)\s*\{\s*)?\(?\s*(?:in\s+)?base[\s-]*\}?\s*"
    r"(\d{1,2}|[a-z]+)[\s)}]*$"
)
_BRACKETED = re.compile(r"^\(\s*([0-9A-Za-z.]+)\s*\)\s*(?=_)|(?<=_)\s*\{?\(\s*(\d{1,2})\s*\)\}?$")


def _with_base_below(text: str) -> str:
    """`(1010)_2`, `1010_{(2)}`, `1010 in base 2` -> `1010_2`; letters among the digits without their wrappers."""
    if "_" not in text and "base" not in text:
        return text
    text = _BASE_IN_WORDS.sub(r"_{\1}", text)
    text = _BRACKETED.sub(lambda match: match[1] or match[2], text)
    return _WRAPPED_DIGITS.sub(r"\1", text)


_WRAPPED_DIGITS = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{\s*([0-9A-F]+)\s*\}(?=[0-9A-F_])")
_NUMERAL = re.compile(
    r"^(-?)(?=[A-Za-z]*\d)([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)_\{?(?:\\text\{)?(\d{1,2}|"
    + "{})\\}}?\\}}?$".format("two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|sixteen")
)
_NAMED_BASES = "two three four five six seven eight nine ten eleven twelve"
_BASES = {name: base for base, name in enumerate(_NAMED_BASES.split(" "), start=2)} | {"sixteen": 16}


def _numeral(key: str, sign: str, digits: str, base_text: str) -> Answer:
    base = _BASES.get(base_text) or int(base_text)
    whole, _, part = digits.partition(".")
    try:
        value = sympy.Integer(int(whole + part, base)) / sympy.Integer(base) ** len(part)
    except ValueError:  # a digit that the base does not have, or no such base: a name with an index
        return Answer(key, False, _value(f"{sign}{digits}_{{{base_text}}}"))
    return Answer(key, False, -value if sign else value, base=base)


_PERCENT = re.compile(r"\s*\\%\s*$")


def _without_percent(text: str) -> tuple[str, bool]:
    shorter = _PERCENT.sub("", text)
    return shorter, shorter != text


_INTEGER = re.compile(r"^[+-]?\d{1,300}$")
_DECIMAL = re.compile(r"^[+-]?(?:\d{0,100}\.\d{1,100}|(?:\d{1,50}\.?\d{0,50}|\.\d{1,50})[eE][+-]?\d{1,3})$")
_FRACTION = re.compile(r"^(-?)(?:\\frac\{(-?\d{1,100})\}\{(-?\d{1,100})\}|(\d{1,100})/(\d{1,100}))$")
_DEGREES = re.compile(r"\\circ")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
_TWO_NUMBERS = re.compile(r"\d\s+\d")  # the parser would add them: 5 3 is not 8
_INDEXED_NUMBER = re.compile(r"(?<![A-Za-z\d_{])\d+\s*_")  # it would leave the index out, and so it does with primes
_PRIMES = re.compile(r"(?<![A-Za-z\\])([A-Za-z])('+)")
_NORMALISATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none", equations=False
)
_CONVERSION = ConversionConfig(lowercase_symbols=False)  # R^2 - r^2 is not 0


def _value(text: str) -> Any | None:
    """The value of LaTeX; None where it cannot be parsed. Plain numbers do without the parser."""
    compact = text.replace(" ", "") if not _TWO_NUMBERS.search(text) else text
    if _INTEGER.match(compact):
        return sympy.Integer(int(compact))
    if _DECIMAL.match(compact):
        return sympy.Float(compact)
    fraction = _FRACTION.match(compact)
    if fraction:
        sign, above, below, left, right = fraction.groups()
        numerator, denominator = int(above or left), int(below or right)
        if denominator != 0:
            return sympy.Rational(-numerator if sign else numerator, denominator)
    if not text or _TWO_NUMBERS.search(text) or _INDEXED_NUMBER.search(text):
        return None
    return _parsed(_PRIMES.sub(lambda match: rf"{match[1]}_{{{'p' * len(match[2])}}}", text))


def _parsed(text: str) -> Any | None:
    try:
        latex = normalize_latex(text, _NORMALISATION)
        try:
            return _latex(latex)
        except MemoryError:
            raise
        except Exception:
            last = get_last_eq(latex)  # a = b = c: what it ends with
            if last == latex:
                return None
            return _latex(last)
    except MemoryError:
        raise
    except Exception:  # whatever the parser raises, recursion included, means that it cannot read this
        return None


def _latex(latex: str) -> Any:
    in_degrees = bool(_DEGREES.search(latex) and _TRIGONOMETRY.search(latex))
    value = latex2sympy(
        latex,
        is_real=not should_treat_as_complex(latex),
        convert_degrees=in_degrees,
        normalization_config=None,
        conversion_config=_CONVERSION,
    )
    if not isinstance(value, sympy.Basic | sympy.MatrixBase):
        return value
    return value.xreplace({symbol: sympy.I for symbol in value.free_symbols if symbol.name == "i"})


def choices(answer: Answer) -> list[str]:
    """The parts of a list of words or letters, sorted: `\\text{B, E, G}`, `(A)`. Only a lone letter keeps its case."""
    parts = [part.strip("()[]{}") for part in top_level_parts(answer.key.strip("()"))]
    return sorted(part if len(part) == 1 else part.lower() for part in parts)
