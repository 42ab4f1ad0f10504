"""The second opinion: what its rules call equal, and that they are not those of the first."""

import ast
from fractions import Fraction
from pathlib import Path

import pytest

import onoff_core.rewards.rules as rules
from onoff_core.rewards.rules import is_equal_by_rules, number_in


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac12", r"\dfrac{1}{2}"),
        ("0.5", r"\frac{1}{2}"),
        ("1/2", "0.50"),
        (r"\left( 3, 4 \right)", "(3,4)"),
        (r"12\text{ cm}^2", "12"),
        ("x=5", "5"),
        (r"\text{Evelyn}", "Evelyn"),
        ("1,234", "1234"),
        (r"60^\circ", "60"),
        (r"2\sqrt3", r"2\sqrt{3}"),
        (".5", "0.5"),
        (r"-\frac{6}{4}", "-1.5"),
    ],
)
def test_equal(gold: str, answer: str) -> None:
    assert is_equal_by_rules(gold, answer)
    assert is_equal_by_rules(answer, gold)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "6"),
        ("5", "2x=5"),
        ("1/3", "0.33"),
        ("(1,2)", "(2,1)"),
        ("", ""),
        ("1", r"\frac{1}{0}"),
        ("x+1", "1+x"),
        ("1,2", "12"),
    ],
)
def test_not_equal(gold: str, answer: str) -> None:
    assert not is_equal_by_rules(gold, answer)


def test_numbers_are_exact() -> None:
    assert number_in("0.1") == Fraction(1, 10)
    assert number_in(r"\frac{1}{3}") == Fraction(1, 3)
    assert number_in("pi") is None


def test_it_shares_nothing_with_the_comparison_that_it_looks_at() -> None:
    tree = ast.parse(Path(rules.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"fractions"}
