"""Whether an answer is the gold answer, by math-verify's comparison and a few stricter and kinder rules before it.

The gold answer is always the first argument: math-verify's comparison is not symmetric (`x=5` against `5`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.sets import FiniteSet as WrittenSet
from math_verify import verify
from sympy.core.relational import _Inequality

from onoff_core.rewards.answers import Answer, choices, is_clock, parse_answer, without_letter_unit

# A decimal equals a number whose decimals go on, such as 1/3 or pi, when both of these hold: math-verify rounds to six
# places, which alone would make 0.0000672 equal to 0.0000671; a relative tolerance alone would make 1000001.0 equal to
# 1000000. Of two numbers whose decimals end, one with fewer than six places is not rounded, and equality is exact.
_ABSOLUTE, _RELATIVE = 1e-6, 2e-6
_ROUNDED_PLACES = 6
_COMPUTED = 1e-12  # relative error of floating-point arithmetic in an answer such as 1.5 \cdot 10^{-3}
_CLEARLY_APART = 1e-4
_ZERO = 1e-60  # sympy computes to 15 digits however small a number is, unless it is 0
_DIGITS = 15


def is_equal(gold: Answer, text: str) -> bool:
    """Whether an answer, as it was written, equals the gold answer."""
    answer = parse_answer(text)
    if same(gold, answer):
        return True
    if answer.key and gold.value is not None and _is_plain_number(gold.value):  # no key: nests too deep to be read
        shorter = without_letter_unit(text)
        return shorter is not None and same(gold, parse_answer(shorter))
    return False


# Whether an answer, as it was written, earns the reward: what `task.reward_type` names.
REWARDS: dict[str, Callable[[Answer, str], bool]] = {"math_verify": is_equal}


def same(gold: Answer, answer: Answer) -> bool:
    """Whether two parsed answers are equal."""
    if gold.key and gold.key == answer.key and (gold.base, gold.is_percent) == (answer.base, answer.is_percent):
        return True
    if is_clock(gold.key) or gold.is_conditional or answer.is_conditional:
        return False
    if gold.is_words or answer.is_words:
        return _same_words(gold, answer)
    if gold.value is None or answer.value is None:
        return False
    if gold.base is not None or answer.base is not None:
        return _same_numeral(gold, answer)
    if gold.is_percent != answer.is_percent:
        return _same_percent(gold, answer)
    return same_value(gold.value, answer.value)


def _same_words(gold: Answer, answer: Answer) -> bool:
    if not gold.key or not answer.key:
        return False
    return choices(gold) == choices(answer)


def _same_percent(gold: Answer, answer: Answer) -> bool:
    """20 % is 20 where the question asks for a percentage, and 1/5 everywhere. A gold answer below 1 asks for a share:
    0.25 % is not 0.25.
    """
    percent: Any = gold.value if gold.is_percent else answer.value
    other: Any = answer.value if gold.is_percent else gold.value
    if not isinstance(percent, sympy.Expr):
        return False
    if gold.is_percent:
        return same_value(percent, other) or same_value(percent / 100, other)
    asks_for_share = _is_plain_number(other) and abs(other) < 1
    return (not asks_for_share and same_value(other, percent)) or same_value(other, percent / 100)


def _same_numeral(gold: Answer, answer: Answer) -> bool:
    """Numerals with a base: both have one, then by value; one has none, then it must be written in the other's digits,
    since the question asked for that base.
    """
    if gold.base is not None and answer.base is not None:
        return bool(gold.value == answer.value) and gold.base == answer.base
    digits, plain = (gold, answer) if gold.base is not None else (answer, gold)
    return digits.key.partition("_")[0].upper() == plain.key.upper()


def same_value(gold: Any, answer: Any) -> bool:
    """Whether two values are mathematically equal."""
    gold, answer = _evaluated(gold), _evaluated(answer)
    if isinstance(gold, sympy.FiniteSet) != isinstance(answer, sympy.FiniteSet):
        gold, answer = _union(gold), _union(answer)
    if isinstance(answer, sympy.Expr) and (isinstance(gold, sympy.FiniteSet) or _is_line(gold)):
        return False
    if _is_plain_number(gold) and _is_plain_number(answer):
        return _same_number(gold, answer)
    if isinstance(gold, _COLLECTIONS) and isinstance(answer, _COLLECTIONS):
        return _same_collection(gold, answer)
    if _is_compared_numerically(gold) and _is_compared_numerically(answer):
        if not (gold.free_symbols or answer.free_symbols):
            left, right = gold.doit(), answer.doit()
            if _is_plain_number(left) and _is_plain_number(right):
                return _same_number(left, right, _COMPUTED)
        if _numerically_near(gold, answer) is False:
            return False
    return bool(
        verify(gold, answer, timeout_seconds=None, raise_on_error=False, allow_set_relation_comp=True, strict=True)
    )


_COLLECTIONS = (sympy.FiniteSet, sympy.Tuple, sympy.Interval, sympy.MatrixBase)


def _evaluated(value: Any) -> Any:
    """A product with a matrix multiplied out, a set of one as its member."""
    if isinstance(value, sympy.MatrixExpr):
        return value.doit()
    if isinstance(value, sympy.FiniteSet) and len(_written(value)) == 1:
        return value.args[0]
    return value


def _union(value: Any) -> Any:
    """`x<1 or x>3` as a union of intervals."""
    if not isinstance(value, sympy.FiniteSet) or len(value.free_symbols) != 1:
        return value
    inequalities = all(isinstance(part, _Inequality) for part in value.args)
    return sympy.Union(*(part.as_set() for part in value.args)) if inequalities else value


def _is_line(value: Any) -> bool:
    """`x+y=5`, which is not 5; `x=5` is."""
    return isinstance(value, sympy.Eq) and isinstance(value.lhs, sympy.Add)


def _same_collection(gold: Any, answer: Any) -> bool:
    """Compare sets, lists, points, intervals and matrices by their members, which math-verify would round.

    `(1,2)` may be an open interval, of which 1 and 2 are only the ends: it is not the list `1,2`, but it is `x=1, y=2`.
    """
    if isinstance(gold, sympy.MatrixBase) or isinstance(answer, sympy.MatrixBase):
        matrices = isinstance(gold, sympy.MatrixBase) and isinstance(answer, sympy.MatrixBase)
        return matrices and gold.shape == answer.shape and _same_in_order(gold.flat(), answer.flat())
    ends = [(value.left_open, value.right_open) for value in (gold, answer) if isinstance(value, sympy.Interval)]
    if len(ends) == 2:
        return ends[0] == ends[1] and _same_in_order(_written(gold), _written(answer))
    if ends and ends[0] != (True, True):
        return False
    sets = [value for value in (gold, answer) if isinstance(value, sympy.FiniteSet)]
    if ends and sets and not _is_named(sets[0]):
        return False
    if isinstance(gold, sympy.FiniteSet) and _is_named(gold) == _is_named(answer):
        return _same_in_any_order(gold, answer)
    return _same_in_order(_written(gold), _written(answer))


def _is_named(value: Any) -> bool:
    """`x=1, y=2`: whose order counts where the other side has no names."""
    return all(isinstance(part, sympy.Eq) for part in value.args) and len({part.lhs for part in value.args}) > 1


def _same_in_order(gold: Sequence[Any], answer: Sequence[Any]) -> bool:
    return len(gold) == len(answer) and all(map(same_value, gold, answer))


def _same_in_any_order(gold: Any, answer: Any) -> bool:
    """Where the gold answer repeats a member, as in `3,3,4`, an answer has to do so too."""
    repeats = len(_written(gold)) > len(gold.args)
    left, right = (_written(gold), _written(answer)) if repeats else (gold.args, list(dict.fromkeys(_written(answer))))
    rest = list(right)
    for member in left:
        place = next((place for place, other in enumerate(rest) if same_value(member, other)), None)
        if place is None:
            return False
        del rest[place]
    return not rest


def _written(value: Any) -> list[Any]:
    """The members as they were written: a set's in their order and with repetitions, an interval's ends."""
    if isinstance(value, sympy.Interval):
        return [value.start, value.end]
    return list(value._unsorted_args if isinstance(value, WrittenSet) else value.args)


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, sympy.Rational | sympy.Float)


def _same_number(gold: Any, answer: Any, slack: float = 0.0) -> bool:
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
        has_decimals = gold.has(sympy.Float) or answer.has(sympy.Float)
        if has_decimals and not (gold.free_symbols or answer.free_symbols):
            return bool(apart <= _ABSOLUTE and apart <= _RELATIVE * size)
        return bool(apart <= _CLEARLY_APART * size) or size < (_COMPUTED if has_decimals else _ZERO)
    except MemoryError:
        raise
    except Exception:  # not every expression has a numeric value
        return None


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
