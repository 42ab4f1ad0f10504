"""Whether an answer is the gold answer, by math-verify's comparison and a few stricter and kinder rules before it.

The gold answer is always the first argument: math-verify's comparison is not symmetric (`x=5` against `5`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy
from latex2sympy2_extended.logic import And
from latex2sympy2_extended.sets import FiniteSet as WrittenSet
from math_verify import verify
from sympy.core.function import AppliedUndef
from sympy.core.relational import _Inequality

from onoff_core.rewards.alternatives import alternatives_in
from onoff_core.rewards.answers import Answer, choices, parse_answer
from onoff_core.rewards.normalise import normalise
from onoff_core.rewards.numbers import (
    COMPUTED,
    is_plain_number,
    numerically_near,
    same_limit,
    same_number,
    same_when_computed,
    same_where_real,
)
from onoff_core.rewards.numerals import is_clock
from onoff_core.rewards.parsing import Chain, Named
from onoff_core.rewards.units import Unit, split_letter_unit


def is_equal(gold: Answer, text: str) -> bool:
    """Whether an answer, as it was written, equals the gold answer.

    Where it leaves open which of several it is, each has to be right, or all of them are what is asked for.
    """
    alternatives = alternatives_in(text)
    if alternatives:
        return all(is_equal(gold, one) for one in alternatives) or is_equal(gold, ", ".join(alternatives))
    answer = parse_answer(text)
    return any(same(gold, reading) for reading in _readings(gold, answer, text)) or _is_the_choice(gold, answer)


def work_out(gold: Answer) -> None:
    """Compute what every comparison with a gold answer will: one that takes too long here is the data's fault."""
    if gold.value is not None and not is_plain_number(gold.value):
        is_equal(gold, _SOME_ANSWER)


_SOME_ANSWER = "7919"


def _readings(gold: Answer, answer: Answer, text: str) -> Iterator[Answer]:
    """What an answer may say: itself, what its sentence states, its number where a letter behind it may be a unit."""
    yield answer
    said = answer
    while said.stated is not None and not said.is_conditional and (gold.choice is None or said.choice is None):
        said = said.stated
        yield said
    if answer.key and gold.value is not None and is_plain_number(gold.value):  # no key: nests too deep to be read
        shorter = split_letter_unit(normalise(text), may_touch=gold.unit is not None)
        if shorter is not None:
            number, unit = shorter
            yield replace(parse_answer(number), unit=unit)


def _is_the_choice(gold: Answer, answer: Answer) -> bool:
    """`(C) 5` is the choice C; where the gold answer has a letter and a value too, both have to be right."""
    if answer.choice is None:
        return False
    if gold.choice is not None and gold.stated is not None and answer.stated is not None:
        return gold.choice == answer.choice and same(gold.stated, answer.stated)
    return gold.is_words and answer.choice == gold.key.strip("()")


def same_class(gold: Answer | None, known: Answer, answer: Answer) -> bool:
    """Whether two answers that are not the gold answer are the same one.

    Equality alone would be no basis for classes: 60 equals 60 degrees and 60 degrees equal pi/3, but 60 is not pi/3.
    So both are read as they would be beside the gold answer: where that has a unit, a number without one takes it;
    where it has none, no answer has. Among answers read so, equality is transitive.
    """
    unit = gold.unit if gold is not None else None
    return same(_in_unit_of(unit, _said_at_last(known)), _in_unit_of(unit, _said_at_last(answer)))


def _said_at_last(answer: Answer) -> Answer:
    """`Therefore, Tom has 7 apples left` states a sentence, and that states 7."""
    while answer.stated is not None:
        answer = answer.stated
    return answer


def _in_unit_of(unit: Unit | None, answer: Answer) -> Answer:
    return replace(answer, unit=None if unit is None else answer.unit or unit)


def same(gold: Answer, answer: Answer) -> bool:
    """Whether two parsed answers are equal."""
    if gold.stated is not None and gold.choice is not None and answer.choice is None and same(gold.stated, answer):
        return True
    if gold.unit is not None and answer.unit is not None and gold.unit != answer.unit:
        if not gold.unit.agrees_with(answer.unit):
            return False
        if gold.unit.dimension is not None and gold.unit.dimension == answer.unit.dimension:
            gold, answer = _in_base_units(gold), _in_base_units(answer)
    if gold.key and gold.key == answer.key and (gold.base, gold.is_percent) == (answer.base, answer.is_percent):
        return True
    if is_clock(gold.key) or gold.is_conditional or answer.is_conditional:
        return False
    if answer.value is not None and any(same_value(value, answer.value) for value in gold.as_gold):
        return True
    if gold.is_words or answer.is_words:
        return _same_words(gold, answer)
    if gold.value is None or answer.value is None:
        return False
    if gold.base is not None or answer.base is not None:
        return _same_numeral(gold, answer)
    if gold.is_percent != answer.is_percent:
        return _same_percent(gold, answer)
    return same_value(gold.value, answer.value) or _same_angle(gold, answer)


def _in_base_units(answer: Answer) -> Answer:
    """Its value in the base units of its dimension; without a key, which has the number in its own unit."""
    assert answer.unit is not None
    value, name = answer.value, None
    if isinstance(value, Named):
        name, value = value.args
    if isinstance(value, sympy.FiniteSet):
        return replace(answer, key="", value=WrittenSet(*map(answer.unit.in_base_units, value.args)))
    if not isinstance(value, sympy.Expr):
        return replace(answer, key="")
    value = answer.unit.in_base_units(value)
    return replace(answer, key="", value=value if name is None else Named(name, value))


def _same_angle(gold: Answer, answer: Answer) -> bool:
    r"""`60^\circ` and `\frac{\pi}{3}`: a number with pi in it and without a unit may be in radians."""
    degrees, radians = (gold, answer) if answer.unit is None else (answer, gold)
    if degrees.unit is None or radians.unit is not None or not degrees.unit.is_degrees:
        return False
    value = radians.value.args[1] if isinstance(radians.value, Named) else radians.value
    is_in_radians = isinstance(value, sympy.Expr | sympy.FiniteSet) and value.has(sympy.pi)
    angle = _in_base_units(degrees)
    return is_in_radians and bool(
        same_value(angle.value, radians.value) if degrees is gold else same_value(radians.value, angle.value)
    )


# Words say these, while an interval or the empty set asks for a set as the answer: `no solution` is none.
_SAID_IN_WORDS = (
    *(sympy.S.Reals, sympy.S.Integers, sympy.S.Rationals, sympy.S.Complexes, sympy.S.Naturals),
    *(sympy.S.Infinity, sympy.S.NegativeInfinity),
)


def _same_words(gold: Answer, answer: Answer) -> bool:
    if gold.as_gold and gold.as_gold == answer.as_gold:
        return True
    if gold.value is sympy.S.EmptySet and answer.key.lower() in ("emptyset", "nullset"):
        return True
    if any(gold.value is value for value in _SAID_IN_WORDS) and answer.as_gold == (gold.value,):
        return True
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
    asks_for_share = is_plain_number(other) and abs(other) < 1
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
    if _is_equation(gold) != _is_equation(answer):
        gold, answer = _stated(gold, is_gold=True), _stated(answer, is_gold=False)
        return gold is not None and answer is not None and same_value(gold, answer)
    if _is_equation(gold):
        return _same_equation(_shortened(gold), _shortened(answer))
    if isinstance(gold, sympy.FiniteSet) != isinstance(answer, sympy.FiniteSet):
        gold, answer = _union(gold), _union(answer)
    if isinstance(answer, sympy.Expr) and isinstance(gold, sympy.FiniteSet):
        return False
    if is_plain_number(gold) and is_plain_number(answer):
        return same_number(gold, answer)
    if isinstance(gold, _COLLECTIONS) and isinstance(answer, _COLLECTIONS):
        return _same_collection(gold, answer)
    if _is_condition(gold) and _is_condition(answer) and _same_condition(gold, answer):
        return True
    if _is_compared_numerically(gold) and _is_compared_numerically(answer):
        if not (gold.free_symbols or answer.free_symbols):
            left, right = gold.doit(), answer.doit()
            if is_plain_number(left) and is_plain_number(right):
                return same_number(left, right, COMPUTED)
        if numerically_near(gold, answer) is False:
            return False
        if any(is_same(gold, answer) for is_same in (same_where_real, same_when_computed, same_limit)):
            return True
    return _verified(gold, answer)


def _verified(gold: Any, answer: Any) -> bool:
    """What math-verify says; it keeps no time of its own here."""
    return bool(
        verify(gold, answer, timeout_seconds=None, raise_on_error=False, allow_set_relation_comp=True, strict=True)
    )


def _is_equation(value: Any) -> bool:
    return isinstance(value, sympy.Eq | Chain)


def _as_equation(value: Any) -> Any:
    """For math-verify, which knows neither names nor our chains."""
    if isinstance(value, Chain):
        return And(*map(_as_equation, value.args))
    return sympy.Eq(*value.args, evaluate=False) if isinstance(value, Named) else value


def _shortened(equation: Any) -> Any:
    """`x = 2 + 3 = 5` as `x = 5`; a chain that is not true, or names nothing, stays one."""
    if not isinstance(equation, Chain) or not isinstance(equation.args[0], Named):
        return equation
    value = _stated(equation, is_gold=False)
    return equation if value is None else Named(equation.args[0].args[0], value)


def _same_equation(gold: Any, answer: Any) -> bool:
    """Two equations: the same value for the same name, or math-verify finds the same solutions."""
    if isinstance(gold, Chain) != isinstance(answer, Chain):
        return False
    if isinstance(gold, Named) and isinstance(answer, Named):
        (name, value), (other_name, other_value) = gold.args, answer.args
        if name == other_name and same_value(value, other_value):
            return True
        lone = (sympy.Symbol, AppliedUndef)
        if isinstance(name, lone) and isinstance(other_name, lone) and name != other_name:
            return bool(value.free_symbols or other_value.free_symbols) and _verified(
                _as_equation(gold), _as_equation(answer)
            )
    return _verified(_as_equation(gold), _as_equation(answer))


def _stated(value: Any, is_gold: bool) -> Any | None:
    """What an equation states: the value of a lone name, or the last of a chain in which every link is true.

    2x = 7 states no 7, 2 + 2 = 7 nothing true, and x = 2 + 2 = 7 no value of x. A link with other unknowns, as in
    A = pi r^2 = 9 pi, is taken for a formula with its numbers put in. A gold equation in unknowns is asked for as such.
    """
    if not _is_equation(value):
        return value
    links = value.args if isinstance(value, Chain) else (value,)
    named = isinstance(links[0], Named)
    unproved = links[1:] if named else links
    if not all(_is_true(link, named) for link in unproved):
        return None
    if is_gold and not named and value.free_symbols:
        return None
    return links[-1].args[1]


def _is_true(link: Any, is_formula: bool) -> bool:
    left, right = link.args
    if is_formula and left.free_symbols and not right.free_symbols:
        return True
    return same_value(left, right)


def _is_compared_numerically(value: Any) -> bool:
    """An expression proper; a lone symbol is left to math-verify, which knows `abc` and `a b c`."""
    return isinstance(value, sympy.Expr) and not isinstance(value, sympy.Symbol | sympy.MatrixExpr)


def _is_condition(value: Any) -> bool:
    """An inequality in one unknown, or several that hold together."""
    parts = value.args if isinstance(value, And) else (value,)
    inequalities = all(isinstance(part, _Inequality | sympy.Ne) for part in parts)
    return bool(parts) and inequalities and len(value.free_symbols) == 1


def _same_condition(gold: Any, answer: Any) -> bool:
    """`1<x<2` and `2>x>1`: whether they hold for the same numbers; False too where sympy cannot tell."""
    if gold.free_symbols != answer.free_symbols:
        return False
    try:
        left, right = (value.as_set() for value in (gold, answer))
    except (NotImplementedError, TypeError, ValueError, AttributeError):
        return False
    if isinstance(left, sympy.Interval) and isinstance(right, sympy.Interval):
        return _same_collection(left, right)
    return bool(left == right)


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


@dataclass(frozen=True)
class Comparison:
    """How answers are compared: with the gold answer, for the reward; with one another, for the classes of maj@k."""

    is_equal: Callable[[Answer, str], bool]
    is_same_class: Callable[[Answer | None, Answer, Answer], bool]
    work_out: Callable[[Answer], None]


COMPARISONS = {"math_verify": Comparison(is_equal, same_class, work_out)}  # what `task.reward_type` names
