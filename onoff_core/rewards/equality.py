"""Whether an answer is the gold answer, by math-verify's comparison and a few stricter and kinder rules before it.

The gold answer is always the first argument: math-verify's comparison is not symmetric (`x=5` against `5`).
"""

from typing import Any

import sympy
from math_verify import verify

from onoff_core.rewards.answers import Answer, choices, parse_answer, without_letter_unit

# A decimal equals an exact number when both of these hold: math-verify rounds to six places, which alone would make
# 0.0000672 equal to 0.0000671; a relative tolerance alone would make 1000001.0 equal to 1000000.
_ABSOLUTE, _RELATIVE = 1e-6, 2e-6
_CLEARLY_APART = 1e-4
_DIGITS = 15


def is_equal(gold: Answer, text: str) -> bool:
    """Whether an answer, as it was written, equals the gold answer."""
    answer = parse_answer(text)
    if same(gold, answer):
        return True
    if gold.value is not None and _is_plain_number(gold.value):
        shorter = without_letter_unit(text)
        return shorter is not None and same(gold, parse_answer(shorter))
    return False


def same(gold: Answer, answer: Answer) -> bool:
    """Whether two parsed answers are equal."""
    if gold.key and gold.key == answer.key and (gold.base, gold.is_percent) == (answer.base, answer.is_percent):
        return True
    if gold.is_words or answer.is_words:
        return _same_words(gold, answer)
    if gold.value is None or answer.value is None:
        return False
    if gold.base is not None or answer.base is not None:
        return _same_numeral(gold, answer)
    if gold.is_percent != answer.is_percent:
        # 20 % is 20 where the question asks for a percentage, and 1/5 everywhere
        percent, other = (gold.value, answer.value) if gold.is_percent else (answer.value, gold.value)
        if gold.is_percent:
            return same_value(percent, other) or same_value(percent / 100, other)
        return same_value(other, percent) or same_value(other, percent / 100)
    return same_value(gold.value, answer.value)


def _same_words(gold: Answer, answer: Answer) -> bool:
    if not gold.key or not answer.key:
        return False
    return choices(gold) == choices(answer)


def _same_numeral(gold: Answer, answer: Answer) -> bool:
    """Numerals with a base: both have one, then by value; one has none, then it must be written in the other's digits,
    since the question asked for that base.
    """
    if gold.base is not None and answer.base is not None:
        return bool(gold.value == answer.value) and gold.base == answer.base
    digits, plain = (gold, answer) if gold.base is not None else (answer, gold)
    return digits.key.partition("_")[0] == plain.key


def same_value(gold: Any, answer: Any) -> bool:
    """Whether two values are mathematically equal."""
    if _is_plain_number(gold) and _is_plain_number(answer):
        return _same_number(gold, answer)
    if _is_compared_numerically(gold) and _is_compared_numerically(answer):
        if not (gold.free_symbols or answer.free_symbols):
            left, right = gold.doit(), answer.doit()
            if isinstance(left, sympy.Rational) and isinstance(right, sympy.Rational):
                return bool(left == right)
        if _numerically_near(gold, answer) is False:
            return False
    return bool(
        verify(gold, answer, timeout_seconds=None, raise_on_error=False, allow_set_relation_comp=True, strict=True)
    )


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, sympy.Rational | sympy.Float)


def _same_number(gold: Any, answer: Any) -> bool:
    if not isinstance(gold, sympy.Float) and not isinstance(answer, sympy.Float):
        return bool(gold == answer)
    return _close(sympy.Rational(str(gold)), sympy.Rational(str(answer)), _ABSOLUTE, _RELATIVE)


def _close(gold: Any, answer: Any, absolute: float, relative: float) -> bool:
    apart = abs(gold - answer)
    return bool(apart <= absolute and apart <= relative * max(abs(gold), abs(answer)))


def _is_compared_numerically(value: Any) -> bool:
    """An expression proper; a lone symbol is left to math-verify, which knows `abc` and `a b c`."""
    return isinstance(value, sympy.Expr) and not isinstance(value, sympy.Symbol | sympy.MatrixExpr)


def _numerically_near(gold: Any, answer: Any) -> bool | None:
    """Whether two expressions are near each other at one point; None where that cannot be computed.

    Equal expressions are equal at every point, so clearly different numbers settle it, and spare a costly `simplify`.
    Where a decimal stands in one of two constants, nearness must be that of decimals.
    """
    try:
        left, right = _at_a_point(gold), _at_a_point(answer)
        if left is None or right is None:
            return None
        size, apart = max(abs(left), abs(right)), abs(left - right)
        if not (gold.free_symbols or answer.free_symbols) and (gold.has(sympy.Float) or answer.has(sympy.Float)):
            return bool(apart <= _ABSOLUTE and apart <= _RELATIVE * size)
        return bool(apart <= _CLEARLY_APART * size) or size < _ABSOLUTE
    except MemoryError:
        raise
    except Exception:  # not every expression has a numeric value
        return None


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
