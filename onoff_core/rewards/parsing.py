r"""Normalised LaTeX -> a value of computer algebra.

The parser is math-verify's (latex2sympy2_extended). It is called directly: `math_verify.parse` falls back on any
number it finds in a text it cannot read (`-2x+20 apples` would become -2), and goes through dozens of patterns first.
Equations are taken apart here, since what they state depends on how their sides are written (`AB = 5` is a length).
"""

import itertools
import re
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.logic import And
from latex2sympy2_extended.sets import FiniteSet as WrittenSet
from math_verify.grader import should_treat_as_complex
from sympy.logic.boolalg import Boolean

from onoff_core.rewards.normalise import top_level_parts
from onoff_core.rewards.structure import is_lone_name, set_condition, sides_of

_INTEGER = re.compile(r"^[+-]?\d{1,300}$")
_DECIMAL = re.compile(r"^[+-]?(?:\d{0,100}\.\d{1,100}|(?:\d{1,50}\.?\d{0,50}|\.\d{1,50})[eE][+-]?\d{1,3})$")
_FRACTION = re.compile(r"^(-?)(?:\\frac\{(-?\d{1,100})\}\{(-?\d{1,100})\}|(\d{1,100})/(\d{1,100}))$")
_DEGREES = re.compile(r"\\circ")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
_TWO_NUMBERS = re.compile(r"\d\s+\d")  # the parser would add them: 5 3 is not 8
_INDEXED_NUMBER = re.compile(r"(?<![A-Za-z\d_{])\d+\s*_")  # it would leave the index out, and so it does with primes
_PRIMES = re.compile(r"(?<![A-Za-z\\])([A-Za-z])('+)")
# It would leave an ellipsis out too: 1+2+...+9 is not 12. Behind a decimal it says that digits are left out.
_ELLIPSIS = re.compile(r"\\[lc]?dots[bcimo]?(?![A-Za-z])|\.\.\.|…")
_DECIMAL_AND_ON = re.compile(r"(?<![\d.])(\d*\.\d+)\s*(?:\\[lc]?dots[bcimo]?(?![A-Za-z])|\.\.\.|…)")
_NORMALISATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none", equations=False
)
_CONVERSION = ConversionConfig(lowercase_symbols=False)  # R^2 - r^2 is not 0


class Named(sympy.Eq):
    """An equation that gives a value to a lone name: `x = 5`, `f(2) = 3`. It states the value."""

    def __new__(cls, name: Any, value: Any) -> "Named":
        made: Named = sympy.Basic.__new__(cls, name, value)
        return made

    @property
    def func(self) -> type[sympy.Eq]:  # sympy looks relations up by it, and knows no other
        return sympy.Eq


class Chain(sympy.Basic):
    """Equations of which each begins with what the one before ends with: `x = 2 + 3 = 5`."""


def value_of(text: str) -> Any | None:
    """The value of LaTeX; None where it cannot be parsed."""
    builder = set_condition(text)
    if builder is not None:
        return _set_of(*builder)
    if _LAND.search(text):
        return _all_of([value_of(part) for part in _LAND.split(text)])
    parts = top_level_parts(text)
    if len(parts) > 1 and any("=" in part for part in parts):
        values = [_single(part) for part in parts]
        return None if any(not isinstance(value, sympy.Basic) for value in values) else WrittenSet(*values)
    return _single(text)


_LAND = re.compile(r"\\land(?![A-Za-z])")


def _all_of(conditions: list[Any]) -> Any | None:
    """`x > 1 and x < 2`; where no number meets both, as in `x < 1 and x > 2`, each is meant by itself."""
    if not all(isinstance(condition, Boolean) and len(condition.free_symbols) == 1 for condition in conditions):
        return None
    together = And(*conditions)
    try:
        is_empty = together.as_set() is sympy.S.EmptySet
    except (NotImplementedError, TypeError, ValueError):
        return None
    return WrittenSet(*conditions) if is_empty else together


def _single(text: str) -> Any | None:
    sides = sides_of(text)
    if sides is not None:
        return _equation(sides)
    value: Any = _expression(text)
    is_member = (
        isinstance(value, sympy.Eq) and value.lhs.is_Symbol and "\\in" in text
    )  # the parser makes it an equation
    return Named(*value.args) if is_member else value


def _equation(sides: list[str]) -> Any | None:
    """What is not a name with its value, nor a chain, stays an equation with two sides, and states no value.

    Links of a chain are kept to be looked at: it states its last value where all are true.
    """
    if len(sides) == 2 and not is_lone_name(sides[0]) and is_lone_name(sides[1]) and not _is_number_free(sides[0]):
        sides = sides[::-1]  # 5 = x
    named = is_lone_name(sides[0])
    values = [_expression(side) for side in sides]
    if (named and values[0] is None) or (named and isinstance(values[0], sympy.Tuple | sympy.Interval)):
        values[0] = sympy.Symbol(re.sub(r"[\s{}]", "", sides[0]))
    if any(not isinstance(value, sympy.Basic | sympy.MatrixBase) for value in values):
        return None
    values = [value.as_immutable() if isinstance(value, sympy.MatrixBase) else value for value in values]
    if len(sides) == 2:
        return Named(*values) if named else _equality(*values)
    links = [_equality(left, right) for left, right in itertools.pairwise(values)]
    if named:
        links[0] = Named(*values[:2])
    return Chain(*links)


def _is_number_free(side: str) -> bool:
    return re.search(r"\d", side) is None


def _equality(left: Any, right: Any) -> Any:
    try:
        return sympy.Eq(left, right, evaluate=False)
    except TypeError:  # sympy compares no matrices or sets so
        made: sympy.Eq = sympy.Basic.__new__(sympy.Eq, left, right)
        return made


def _set_of(name: str, domain: str | None, cases: list[list[str]]) -> Any | None:
    """All numbers of a domain for which all conditions of a case hold; None where sympy cannot tell them."""
    symbol = sympy.Symbol(name, real=True)
    found: Any = sympy.S.EmptySet
    for conditions in cases:
        relations: list[Any] = [value_of(condition) for condition in conditions]
        if not relations or not all(_is_about(symbol, relation) for relation in relations):
            return None
        try:
            found = sympy.Union(found, sympy.Intersection(*(relation.as_set() for relation in relations)))
        except (NotImplementedError, TypeError, ValueError):  # not every condition has a set that sympy can name
            return None
    whole = {
        "Z": sympy.S.Integers,
        "N": sympy.S.Naturals,
        "Z^+": sympy.S.Naturals,
        "R^+": sympy.Interval.open(0, sympy.oo),
    }
    if domain is not None:
        if domain not in whole:
            return None
        found = sympy.Intersection(found, whole[domain])
    if isinstance(found, sympy.Range) and found.is_finite_set:
        found = WrittenSet(*found)
    return found


def _is_about(symbol: sympy.Symbol, relation: Any) -> bool:
    """Whether it is a condition on the one symbol: an inequality, or several that hold together."""
    return isinstance(relation, Boolean) and relation.free_symbols == {symbol}


def _expression(text: str) -> Any | None:
    """The value of what is no equation. Plain numbers do without the parser."""
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
    text = _DECIMAL_AND_ON.sub(r"\1", text)
    if _ELLIPSIS.search(text):
        return None
    return _parsed(_PRIMES.sub(lambda match: rf"{match[1]}_{{{'p' * len(match[2])}}}", text))


def _parsed(text: str) -> Any | None:
    try:
        return _latex(normalize_latex(text, _NORMALISATION))
    except (MemoryError, RecursionError):  # that it cannot be read here says nothing of whether it is well formed
        raise
    except Exception:  # whatever else the parser raises means that it cannot read this
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
