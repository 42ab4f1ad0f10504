"""Numbers and expressions, compared by their digits: decimals, nearness at a point, equality wherever both are real."""

from functools import lru_cache
from typing import Any

import sympy

# A decimal equals a number whose decimals go on, such as 1/3 or pi, when both of these hold: math-verify rounds to six
# places, which alone would make 0.0000672 equal to 0.0000671; a relative tolerance alone would make 1000001.0 equal to
# 1000000. Of two numbers whose decimals end, one with fewer than six places is not rounded, and equality is exact.
_ABSOLUTE, _RELATIVE = 1e-6, 2e-6
_ROUNDED_PLACES = 6
COMPUTED = 1e-12  # relative error of floating-point arithmetic in an answer such as 1.5 \cdot 10^{-3}
_CLEARLY_APART = 1e-4
_ZERO = 1e-60  # sympy computes to 15 digits however small a number is, unless it is 0
_DIGITS = 15


def is_plain_number(value: Any) -> bool:
    return isinstance(value, sympy.Rational | sympy.Float)


def same_number(gold: Any, answer: Any, slack: float = 0.0) -> bool:
    if not isinstance(gold, sympy.Float) and not isinstance(answer, sympy.Float):
        return bool(gold == answer)
    left, right = (
        sympy.Rational(str(number)) if isinstance(number, sympy.Float) else number for number in (gold, answer)
    )
    places = [_decimal_places(left), _decimal_places(right)]
    if None not in places and min(place for place in places if place is not None) < _ROUNDED_PLACES:
        return bool(abs(left - right) <= slack * max(abs(left), abs(right)))
    return _close(left, right, _ABSOLUTE, _RELATIVE)


def _decimal_places(number: Any) -> int | None:
    """How many places a fraction has as a decimal; None where they go on for ever."""
    twos, fives = sympy.multiplicity(2, number.q), sympy.multiplicity(5, number.q)
    return max(twos, fives) if number.q == 2**twos * 5**fives else None


def _close(gold: Any, answer: Any, absolute: float, relative: float) -> bool:
    apart = abs(gold - answer)
    return bool(apart <= absolute and apart <= relative * max(abs(gold), abs(answer)))


def numerically_near(gold: Any, answer: Any) -> bool | None:
    """Whether two expressions are near each other at one point; None where that cannot be computed.

    Equal expressions are equal at every point, so clearly different numbers settle it, and spare a costly `simplify`.
    Where a decimal stands in one of two constants, nearness must be that of decimals.
    """
    try:
        left, right = _at_a_point(gold), _at_a_point(answer)
        if left is None or right is None:
            return None
        size, apart = max(abs(left), abs(right)), abs(left - right)
        has_decimals = gold.has(sympy.Float) or answer.has(sympy.Float)
        if has_decimals and not (gold.free_symbols or answer.free_symbols):
            return bool(apart <= _ABSOLUTE and apart <= _RELATIVE * size)
        return bool(apart <= _CLEARLY_APART * size) or size < (COMPUTED if has_decimals else _ZERO)
    except MemoryError:
        raise
    except Exception:  # not every expression has a numeric value
        return None


def same_when_computed(gold: Any, answer: Any) -> bool:
    """Whether two constants with decimals in them, such as lg 0.01, differ by no more than computing them does."""
    if gold.free_symbols or answer.free_symbols or not (gold.has(sympy.Float) or answer.has(sympy.Float)):
        return False
    try:
        left, right = _at_a_point(gold), _at_a_point(answer)
    except MemoryError:
        raise
    except Exception:  # not every expression has a numeric value
        return False
    return left is not None and right is not None and abs(left - right) <= COMPUTED * max(abs(left), abs(right))


_LIMITS = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit)
_DIGITS_OF_A_LIMIT = 30


def same_limit(gold: Any, answer: Any) -> bool:
    """Whether two constants, an integral, a sum, a product or a limit among them, agree to 25 digits of 30.

    To find what an integral is takes sympy seconds, where it can; to compute it takes none.
    """
    if gold.free_symbols or answer.free_symbols or not (gold.has(*_LIMITS) or answer.has(*_LIMITS)):
        return False
    if gold.has(sympy.Float) or answer.has(sympy.Float):
        return False
    try:
        left, right = (sympy.N(value, _DIGITS_OF_A_LIMIT) for value in (gold, answer))
        if not (left.is_number and right.is_number) or left.has(*_LIMITS) or right.has(*_LIMITS):
            return False
        return bool(abs(left - right) <= sympy.Float(10) ** (5 - _DIGITS_OF_A_LIMIT) * abs(left))
    except MemoryError:
        raise
    except Exception:  # not every one has a numeric value
        return False


# Where expressions in unknowns are compared by value: of both signs, below and above 1, and never a simple fraction.
_PLACES = tuple(sympy.Rational(*place) for place in ((137, 83), (-61, 47), (29, 97), (-17, 101), (613, 89)))
_MANY_DIGITS = 40


def same_where_real(gold: Any, answer: Any) -> bool:
    r"""Whether two expressions in real unknowns are the same function: real and defined at the same of many places, and
    equal there to forty digits. So `\sqrt{1/n}` is `1/\sqrt{n}`, and `\sqrt{x^2}` is not `x`.

    False too where that cannot be computed, where decimals are in them, or where no two places are real.
    """
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=lambda symbol: str(symbol.name))
    if not symbols or len(symbols) > 6 or gold.has(sympy.Float, sympy.I) or answer.has(sympy.Float, sympy.I):
        return False
    if gold.atoms(sympy.core.function.AppliedUndef) or answer.atoms(sympy.core.function.AppliedUndef):
        return False
    real = 0
    try:
        for shift in range(len(_PLACES) * 2):
            point = {
                symbol: abs(_number_of(symbol.name) * _PLACES[(shift + index * (1 + shift // 3)) % len(_PLACES)])
                if shift == 0
                else _number_of(symbol.name) * _PLACES[(shift + index * (1 + shift // 3)) % len(_PLACES)]
                for index, symbol in enumerate(symbols)
            }
            left, right = (value.xreplace(point).doit().evalf(_MANY_DIGITS) for value in (gold, answer))
            is_real = [bool(value.is_real and value.is_finite) for value in (left, right)]
            if is_real[0] != is_real[1]:
                return False
            if is_real[0]:
                if abs(left - right) > sympy.Float(10) ** (8 - _MANY_DIGITS) * max(abs(left), abs(right)):
                    return False
                real += 1
    except MemoryError:
        raise
    except Exception:  # not every expression has a numeric value
        return False
    return real >= 2


@lru_cache(maxsize=4096)  # where many answers are compared with one another, each is computed once
def _at_a_point(value: Any) -> complex | None:
    """The value where every symbol has a fixed positive number of its own, chosen by its name."""
    symbols = sorted(value.free_symbols, key=lambda symbol: str(symbol.name))
    number = value.xreplace({symbol: _number_of(symbol.name) for symbol in symbols}).doit().evalf(_DIGITS)
    return complex(number) if number.is_number and number.is_finite else None


def _number_of(name: str) -> Any:
    """Between 1 and 2, and never a simple fraction."""
    if name == "i":
        return sympy.I
    total = sum((index + 1) * ord(letter) for index, letter in enumerate(name))
    return sympy.Rational(1) + sympy.Rational(total * 7919 % 9973, 9973)
