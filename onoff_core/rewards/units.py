r"""Units of measurement: what stands behind (or, of money, before) a quantity, and how one unit converts into another.

`12 \text{ cm}^2` -> (`12`, cm²). A unit is measured (it has a dimension and converts exactly: hours and minutes,
degrees and radians, dollars and cents) or only named (apples). Conversion factors are the international definitions.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy
from sympy import Rational

from onoff_core.boxes import closing_braces
from onoff_core.rewards.normalise import WRAPPED, top_level_parts

Dimension = tuple[tuple[str, int], ...]  # of a speed: (("length", 1), ("time", -1))


@dataclass(frozen=True)
class Unit:
    """A unit as an answer has it."""

    words: frozenset[str]  # as written, in the singular, without what says nothing (`of`, `the`)
    dimension: Dimension | None = None  # None: only named
    factor: Any = None  # one of it in the base units of its dimension
    offset: Any = 0  # of a temperature: base = factor * value + offset

    def in_base_units(self, value: Any) -> Any:
        return self.factor * value + self.offset

    @property
    def is_degrees(self) -> bool:
        return self.dimension == _ANGLE and bool(self.factor == sympy.pi / 180)

    def agrees_with(self, other: "Unit") -> bool:
        """Whether quantities of both can be compared at all. Degrees without C or F may be those of a temperature."""
        if self.dimension is not None and other.dimension is not None:
            if {self.words, other.words} == {frozenset({"pound"}), frozenset({"gbp"})}:
                return True  # a pound is a weight or money
            is_temperature = _TEMPERATURE in (self.dimension, other.dimension)
            return self.dimension == other.dimension or (is_temperature and (self.is_degrees or other.is_degrees))
        if self.dimension is not None or other.dimension is not None:
            return False
        return self.words <= other.words or other.words <= self.words


_ANGLE: Dimension = (("angle", 1),)
_TEMPERATURE: Dimension = (("temperature", 1),)


_RATIONAL = {  # base unit of the dimension: 1
    "length": {
        "mm millimeter millimetre": "1/1000", "cm centimeter centimetre": "1/100", "dm decimeter decimetre": "1/10",
        "m meter metre": "1", "km kilometer kilometre": "1000", "in inch inche": "127/5000", "ft foot feet": "381/1250",
        "yd yard": "1143/1250", "mi mile": "201168/125", "micrometer micrometre micron": "1/1000000",
        "nm nanometer nanometre": "1/1000000000", "furlong": "25146/125",
    },
    "time": {
        "ms millisecond": "1/1000", "s sec second": "1", "min minute": "60", "h hr hour": "3600", "day": "86400",
        "week wk": "604800", "fortnight": "1209600", "microsecond": "1/1000000",
    },
    "calendar": {"month": "1", "year yr": "12", "decade": "120", "century centurie": "1200"},
    "mass": {
        "mg milligram": "1/1000", "g gram gramme": "1", "kg kilogram kilo": "1000", "tonne": "1000000",
        "lb pound": "45359237/100000", "oz ounce": "45359237/1600000",
    },
    "money in dollars": {"dollar usd buck": "1", "cent ¢": "1/100"},
    "money in euros": {"euro eur": "1"},
    "money in pounds": {"gbp": "1", "pence": "1/100"},
    "money in rupees": {"rupee r inr": "1", "paise": "1/100"},
    "money in yen": {"yen jpy": "1"},
    "energy": {"j joule": "1", "kj kilojoule": "1000", "megajoule": "1000000", "kwh": "3600000"},
    "power": {"w watt": "1", "kw kilowatt": "1000", "megawatt": "1000000"},
    "force": {"n newton": "1", "kn kilonewton": "1000"},
    "pressure": {"pascal": "1", "kpa kilopascal": "1000"},
    "frequency": {"hz hertz": "1", "khz kilohertz": "1000", "mhz megahertz": "1000000"},
    "voltage": {"v volt": "1", "kv kilovolt": "1000", "millivolt": "1/1000"},
    "resistance": {"ohm": "1", "kiloohm kilohm": "1000"},
    "current": {"amp ampere": "1", "milliamp milliampere": "1/1000"},
    "amount": {"mol mole": "1"},
}  # fmt: skip
_VOLUMES = {
    "l liter litre": "1/1000", "ml milliliter millilitre": "1/1000000", "cc": "1/1000000",
    "gal gallon": "473176473/125000000000", "quart": "473176473/500000000000", "pint": "473176473/1000000000000",
    "cup": "473176473/2000000000000", "tablespoon tbsp": "473176473/32000000000000",
    "teaspoon tsp": "473176473/96000000000000",
}  # fmt: skip
_AREAS = {"acre": "316160658/78125", "hectare ha": "10000"}


def _table() -> dict[str, tuple[Dimension, Any, Any]]:
    known: dict[str, tuple[Dimension, Any, Any]] = {}
    zero = sympy.Integer(0)
    for dimension, units in _RATIONAL.items():
        for names, factor in units.items():
            known |= dict.fromkeys(names.split(), (((dimension, 1),), Rational(factor), zero))
    for names, factor in _VOLUMES.items():
        known |= dict.fromkeys(names.split(), ((("length", 3),), Rational(factor), zero))
    for names, factor in _AREAS.items():
        known |= dict.fromkeys(names.split(), ((("length", 2),), Rational(factor), zero))
    for name, per_hour in (("mph", "201168/125"), ("kmh", "1000"), ("kph", "1000"), ("kmph", "1000")):
        known[name] = ((("length", 1), ("time", -1)), Rational(per_hour) / 3600, zero)
    known |= dict.fromkeys(("rad", "radian"), (_ANGLE, sympy.Integer(1), zero))
    known |= dict.fromkeys(("deg", "degree"), (_ANGLE, sympy.pi / 180, zero))
    known |= dict.fromkeys(("turn", "revolution"), (_ANGLE, 2 * sympy.pi, zero))
    kelvin = Rational(27315, 100)
    known["degc"] = (_TEMPERATURE, sympy.Integer(1), kelvin)
    known["degf"] = (_TEMPERATURE, Rational(5, 9), kelvin - Rational(160, 9))
    return known


_KNOWN = _table()
_SAYS_NOTHING = {"the", "of", "a", "an", "in", "total", "all", "whole", "full", "exactly", "about"}
_GENERIC = {"unit", "way", "time", "number", "value", "square", "cubic", "sq", "cu", "squared", "cubed", "integer"}
_DESCRIPTION = re.compile(r"(?:long|tall|wide|high|deep|away|apart|later|ago|old|of|each|in|on|from|for|after|before)$")


@lru_cache(maxsize=4096)
def unit_of(text: str) -> Unit | None:
    """The unit that a text behind a quantity names; None for one that says nothing, such as `square units`."""
    text = _FRACTION.sub(r" \1/\2 ", text)
    text = re.sub(r"\^\s*\\circ\s*", " degrees ", text)
    text = re.sub(r"(?i)degrees?\s*[\s{}\\]*(?:(c)(?:elsius)?|(f)(?:ahrenheit)?)(?![A-Za-z])", r" deg\1\2 ", text)
    plain = re.sub(r"\\(?:cdot|times)(?![A-Za-z])|\*", " ", WRAPPED.sub(" ", text))
    plain = re.sub(r"\^\s*\{?\s*(-?\d)\s*\}?", r"^\1", plain)
    tokens = re.findall(r"\^-?\d|/|¢|[A-Za-z]+", re.sub(r"[{}\\]", " ", plain))
    words = frozenset(_singular(token) for token in tokens if token.isalpha()) - _SAYS_NOTHING
    measured = _measured(tokens)
    if measured is not None:
        return Unit(words, *measured)
    words -= {"per"}
    if not words or words <= _GENERIC:
        return None
    return Unit(words)


_FRACTION = re.compile(r"\\frac\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*\{((?:[^{}]|\{[^{}]*\})*)\}")


def _singular(word: str) -> str:
    word = word.lower() if len(word) > 1 else word
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


def _measured(tokens: list[str]) -> tuple[Dimension, Any, Any] | None:
    """Dimension, factor and offset of a product of known units; None where a word is none."""
    powers: dict[str, int] = {}
    factor, offset = sympy.Integer(1), sympy.Integer(0)
    sign, raised, count = 1, 1, 0
    for place, token in enumerate(tokens):
        word = _singular(token)
        if token in ("/", "per") or (count and word in ("a", "an")):
            sign = -1
        elif word in ("square", "sq"):
            raised = 2
        elif word in ("cubic", "cu"):
            raised = 3
        elif token.startswith("^") or word in ("squared", "cubed"):
            continue  # seen from the unit it stands behind
        elif word in _SAYS_NOTHING and word not in ("of", "in") and count == 0:
            continue
        elif count and word == "in":
            break
        elif word in _KNOWN or word.lower() in _KNOWN:
            dimension, one, shift = _KNOWN.get(word) or _KNOWN[word.lower()]
            power = sign * raised * _power_behind(tokens, place)
            for name, exponent in dimension:
                powers[name] = powers.get(name, 0) + power * exponent
            factor, offset, raised, count = factor * one**power, shift, 1, count + 1
        elif count and _DESCRIPTION.match(word):
            break
        else:
            return None
    if count == 0:
        return None
    return tuple(sorted((name, power) for name, power in powers.items() if power)), factor, offset


def _power_behind(tokens: list[str], place: int) -> int:
    behind = tokens[place + 1] if place + 1 < len(tokens) else ""
    if behind.startswith("^"):
        return int(behind[1:])
    return {"squared": 2, "cubed": 3}.get(behind, 1)


_CURRENCIES = {"$": "dollar", "€": "euro", "£": "gbp", "¥": "yen", "₹": "rupee", "¢": "cent"}
_CURRENCY = re.compile(
    r"\\(textdollar|pounds|euro)(?![A-Za-z])|\\(\$)|([€£¥₹¢])|(?<![A-Za-z])(Rs|USD|INR|EUR|GBP|US)\b"
)


def currency_of(answer: str) -> Unit | None:
    r"""The unit of an answer with a sign of money, `\$18` or `5¢`; None where there is none or there are several."""
    signs = {next(filter(None, match.groups())) for match in _CURRENCY.finditer(answer)}
    if not signs and answer.count("$") == 1 and re.match(r"^\s*-?\s*\$\s*[\d.]", answer):
        signs = {"$"}
    names = {
        {"textdollar": "dollar", "pounds": "gbp", "US": "dollar", "Rs": "rupee"}.get(sign)
        or _CURRENCIES.get(sign)
        or sign.lower()
        for sign in signs
    }
    return unit_of(names.pop()) if len(names) == 1 else None


_UNIT_WORD = re.compile(
    "mm|cm|dm|km|ft|yd|mi|in|kg|mg|lbs?|oz|m[lL]|mph|km?ph|kmh|hrs?|mins?|secs?|rad|deg|cc|sq|cu|[rR]s|usd|USD|am|AM|pm|PM"
    "|mol|Hz|kWh|m/s|km/h|cm/s|ft/s|st|nd|rd|th"
)
_FUNCTIONS = {"sqrt", "sin", "cos", "tan", "log", "ln", "exp", "frac", "infty", "pi", "mod", "cup", "cap"}
_MONTH = re.compile("(?i)january|february|march|april|june|july|august|september|october|november|december")
_OPERATION = re.compile(
    r"^\s*(?:squared|cubed|plus|minus|factorial|divided|choose|mod|over|half)\b|\b(?:and|or|than|but|not)\b"
    # nor is what bounds or denies the number a unit of it
    r"|\bat\s+(?:the\s+)?(?:very\s+)?(?:least|most)\b|\b(?:approximately|approx|roughly|nearly|almost)\b"
    r"|\b(?:wrong|incorrect|false)\b|\bbelow\s+zero\b"
)
_NO_WORD = re.compile(r"\s*(?:\d|\?)")
_BARE_UNIT = re.compile(
    r"^(?P<number>.*(?:[\d})!]|\\pi\s))(?P<space>\s*)(?P<unit>[A-Za-z]+(?:/[A-Za-z]+)?)(?P<more>(?:\s+[A-Za-z]+\.?)*)"
    r"(?P<power>\^\s*\{?[23]\}?)?$",
    re.DOTALL,
)
_POWER = re.compile(r"\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d)\s*$")
_LETTER_UNIT = re.compile(r"^(.*[\d})])(\s*)((?:m|g|s|h|l|L|N|J|V|W|K)(?:\^\s*\{?[23]\}?)?)$", re.DOTALL)
_LEADING_WORDS = re.compile(r"^(?:\\text\s*\{\s*)?(?:Rs|USD)\.?\s*\}?\s*(?=\d)")
_ORDINAL = re.compile(r"(?<=\d)\s*\^\s*\{?\s*(?:\\(?:text|mathrm)\s*\{)?\s*(?:st|nd|rd|th)\s*\}{0,2}$")
_UNIT_RATIO = re.compile(
    r"(?<=[\d})])\s*\\frac\s*\{\s*\\(?:text|mathrm)\s*\{[^{}]*\}\s*\}\s*\{\s*\\(?:text|mathrm)\s*\{[^{}]*\}[\s^{\d}]*\}$"
)
_DEGREE_SIGN = re.compile(r"^([^°]*[\d})a-z]\s*)\^\s*\\circ\s*$", re.DOTALL)
_PARTED_RATIO = re.compile(r"(\\(?:text|mathrm)\s*\{[^{}]*)\}\s*/\s*\\(?:text|mathrm)\s*\{")  # \text{m}/\text{s}
_DEGREES = re.compile(r"\^\s*\\circ")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
# 5 hundredths is not 5
_PART = re.compile("(?:hal(?:f|ves)|(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|hundredth|thousandth)s?)")
_NO_UNIT = {"st", "nd", "rd", "th", "am", "pm"}


def split_unit(text: str) -> tuple[str, str]:
    r"""A quantity and the text of the unit behind it, empty where there is none: `12 \text{ cm}^2`, `12 cm`,
    `12 apples`. A lone letter is no unit: it may be an unknown (see `split_letter_unit`).
    """
    text = _PARTED_RATIO.sub(r"\1/", _ORDINAL.sub("", _LEADING_WORDS.sub("", text)))
    ratio = _UNIT_RATIO.search(text)
    unit = ratio.group() if ratio else ""
    text = text[: ratio.start()] if ratio else text
    while (shorter := _without_wrapped_unit(text)) != text:
        unit = f"{text[len(shorter) :]} {unit}"
        text = shorter
    parts = top_level_parts(text)
    if len(parts) > 1 and not _TRIGONOMETRY.search(text) and all(_DEGREE_SIGN.match(part) for part in parts):
        return _DEGREES.sub("", text), f"degrees {unit}"  # of every member of a list
    degrees = _DEGREE_SIGN.match(text)
    if degrees and "\\circ" not in degrees.group(1) and not _TRIGONOMETRY.search(text):
        return degrees.group(1).strip(), f"degrees {unit}"
    match = _BARE_UNIT.match(text)
    if (
        not match
        or _OPERATION.search(match["unit"] + match["more"])
        or match["unit"] in _FUNCTIONS
        or _MONTH.fullmatch(match["unit"])
        or _PART.fullmatch(match["unit"])
    ):
        return text, unit
    word = match["unit"]
    is_word = len(word) >= 4 and match["space"] != "" and word.isalpha()
    if not _UNIT_WORD.fullmatch(word) and not is_word:
        return text, unit
    found = "" if word.lower() in _NO_UNIT else f"{word}{match['more']}{match['power'] or ''}"
    return match["number"].strip(), f"{found} {unit}"


def split_letter_unit(normalised: str, may_touch: bool = False) -> tuple[str, Unit | None] | None:
    """`5 m` -> `5`, metres; None where there is no such unit. Only to be asked where the gold answer is a number.

    `5m` is 5 times m, unless a quantity with a unit is asked for (`may_touch`).
    """
    match = _LETTER_UNIT.match(normalised)
    if match is None or not (match.group(2) or may_touch):
        return None
    return match.group(1).strip(), unit_of(match.group(3))


_PART_OF_A_SUM = re.compile(
    r"\s*(\d+(?:\.\d+)?|\\frac\s*\{\d+\}\s*\{\d+\})\s*((?:\\(?:text|mathrm)\s*\{\s*)?[A-Za-z]+\.?\s*\}?)\s*(?:,|and)?"
)


def sum_of_quantities(text: str) -> tuple[str, Unit] | None:
    """`1 hour 30 minutes` -> (`1 \\cdot 60+30`, minutes); None for what is no such sum."""
    parts, place = [], 0
    while place < len(text):
        match = _PART_OF_A_SUM.match(text, place)
        unit = unit_of(match.group(2)) if match else None
        if match is None or unit is None or unit.dimension is None:
            return None
        parts.append((match.group(1), unit))
        place = match.end()
    if len(parts) < 2 or len({unit.dimension for _, unit in parts}) > 1:
        return None
    last = parts[-1][1]
    factors = [unit.factor / last.factor for _, unit in parts]
    return "+".join(rf"{number}\cdot({factor})" for (number, _), factor in zip(parts, factors, strict=True)), last


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
            before, unit = body[: match.start()].strip(), body[match.end() + 1 : -1]
            if not before or before[-1] in "+-*/^_=<>(,:" or _OPERATION.search(unit) or _NO_WORD.match(unit):
                return text
            return before.rstrip(" .,;").removesuffix(r"\cdot").rstrip()
    return text
