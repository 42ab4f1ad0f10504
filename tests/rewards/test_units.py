"""Units: what they are read as, and how they convert. Nothing converts but by the definitions of the units."""

import pytest
import sympy

from onoff_core.rewards.units import currency_of, split_unit, unit_of


@pytest.mark.parametrize(
    ("text", "quantity", "unit"),
    [
        (r"12 \text{ cm}^2", "12", r"\text{ cm}^2"),
        ("12 cm", "12", "cm"),
        ("12 apples", "12", "apples"),
        (r"60^\circ", "60", "degrees"),
        (r"30^\circ, 60^\circ", "30, 60", "degrees"),
        (r"\cos 60^\circ", r"\cos 60^\circ", ""),
        ("2xy", "2xy", ""),
        ("5 m", "5 m", ""),
        ("21st", "21", ""),
    ],
)
def test_a_quantity_and_what_stands_behind_it(text: str, quantity: str, unit: str) -> None:
    found, behind = split_unit(text)
    assert (found, behind.strip()) == (quantity, unit)


@pytest.mark.parametrize(
    ("one", "other", "factor"),
    [
        ("hour", "minutes", 60),
        ("mile", "feet", 5280),
        ("yard", "inches", 36),
        ("km/h", "m/s", sympy.Rational(5, 18)),
        ("mph", "miles per hour", 1),
        ("square meter", "cm^2", 10_000),
        (r"\text{m}^3", "liters", 1000),
        ("pound", "ounces", 16),
        ("gallon", "quarts", 4),
        ("dollar", "cents", 100),
        ("year", "months", 12),
        ("radians", "degrees", 180 / sympy.pi),
        (r"\frac{\text{km}}{\text{h}}", "kmh", 1),
        ("meters tall", "m", 1),
    ],
)
def test_units_convert(one: str, other: str, factor: object) -> None:
    left, right = unit_of(one), unit_of(other)
    assert left is not None
    assert right is not None
    assert left.agrees_with(right)
    assert sympy.simplify(left.factor / right.factor - factor) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hours", "meters"),
        ("apples", "oranges"),
        ("apples", "hours"),
        ("cm^2", "cm^3"),
        ("euros", "dollars"),
        ("day", "year"),
    ],
)
def test_what_measures_something_else_does_not_agree(one: str, other: str) -> None:
    left, right = unit_of(one), unit_of(other)
    assert left is not None
    assert right is not None
    assert not left.agrees_with(right)


@pytest.mark.parametrize("text", ["units", "square units", "ways", "times"])
def test_what_says_nothing_is_no_unit(text: str) -> None:
    assert unit_of(text) is None


def test_temperatures_have_another_zero() -> None:
    celsius, fahrenheit = unit_of("degC"), unit_of("degF")
    assert celsius is not None
    assert fahrenheit is not None
    assert celsius.in_base_units(100) == fahrenheit.in_base_units(212)
    assert celsius.in_base_units(-40) == fahrenheit.in_base_units(-40)


@pytest.mark.parametrize(
    ("answer", "unit"),
    [
        (r"\$5", "dollar"),
        ("$5", "dollar"),
        ("$5$", None),
        ("5¢", "cent"),
        (r"\text{Rs. }5", "rupee"),
        (r"5€ or \$5", None),
    ],
)
def test_signs_of_money(answer: str, unit: str | None) -> None:
    assert currency_of(answer) == (None if unit is None else unit_of(unit))
