"""The cache, the filter, the problems by difference, numbers as text."""

import random
import re
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from onoff_assets.browser import components
from onoff_assets.browser.cache import BoundedCache
from onoff_assets.browser.filters import neighbours, random_wrong
from onoff_assets.browser.numbers import fixed, mass_text, probability_text, short, signed
from onoff_assets.browser.problem_differences import problem_differences
from onoff_assets.browser.reading import Sample
from onoff_assets.browser.text import age
from onoff_assets.browser.views.response import thinking_of
from onoff_core.statistics import ProblemResponses
from onoff_core.statistics.majority import Ballot

TABLE = pa.table(
    {
        "status": ["correct", "wrong", None, "no_answer"],
        "finish_reason": ["stop", "stop", "length", "length"],
        "num_tokens": [5, 10, 20, 0],
        "reward": [1, 0, None, 0],
    }
)


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(components.__file__).parent.glob("*.js")))
def test_a_script_declares_each_name_once(name: str) -> None:
    """Twice is an error of syntax, after which the component is not there; two people may each add one."""
    declared = re.findall(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", components.script(name), re.MULTILINE)
    assert sorted(declared) == sorted(set(declared))


def test_walking() -> None:
    assert neighbours([1, 3, 7], 3) == (1, 7)
    assert neighbours([7, 1, 3], 1) == (7, 3)  # in another order
    assert neighbours([7, 1, 3], 2) == (1, 3)
    assert neighbours([1, 3, 7], 2) == (1, 3)
    assert neighbours([], 2) == (None, None)
    assert random_wrong(TABLE, [0, 1, 2, 3], 1, random.Random(0)) == 3
    assert random_wrong(TABLE, [1], 1, random.Random(0)) == 1
    assert random_wrong(TABLE, [0, 2], 0, random.Random(0)) is None


def test_the_cache_keeps_within_its_bytes() -> None:
    cache = BoundedCache(100)
    made: list[str] = []

    def get(key: str, size: int) -> str:
        return cache.get(key, lambda: made.append(key) or key, lambda value: size)

    get("a", 60)
    get("b", 30)
    get("a", 60)
    assert made == ["a", "b"]
    get("c", 40)  # b was used longest ago, and leaving it out is not enough
    assert cache.num_bytes <= 100
    get("large", 1000)
    get("large", 1000)
    assert made.count("large") == 2
    assert cache.num_bytes <= 100


def test_the_cache_holds_among_threads() -> None:
    cache = BoundedCache(50)

    def work() -> None:
        for i in range(2000):
            assert cache.get(i % 20, lambda i=i: i % 20, lambda value: 10) == i % 20

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.num_bytes <= 50


def counted(**correct: int) -> dict[str, ProblemResponses]:
    """Of ten responses to each problem."""
    return {name: ProblemResponses(name, Ballot(right, (10 - right,), 0)) for name, right in correct.items()}


def test_problems_go_by_difference_and_flips_are_those_that_change_sides() -> None:
    rows = problem_differences(counted(a=10, b=6, c=2, only=1), counted(a=9, b=0, c=10))
    assert [(row.problem_id, row.first.pass_rate, row.second.pass_rate) for row in rows if row.flips] == [
        ("c", 0.2, 1.0), ("b", 0.6, 0.0),
    ]  # fmt: skip
    assert [row.problem_id for row in rows] == ["c", "b", "a"]
    weak = problem_differences(counted(a=0, b=4, c=1), counted(a=0, b=0, c=0))
    assert [(row.problem_id, row.difference) for row in weak] == [("b", 0.4), ("c", 0.1), ("a", 0.0)]
    assert not any(row.flips for row in weak)
    low, high = weak[0].interval()
    assert low < 0.4 < high
    assert weak[2].interval() == pytest.approx(tuple(-end for end in reversed(weak[2].interval())))
    assert problem_differences({"a": ProblemResponses("a", Ballot(0, (), 0), num_ungraded=4)}, counted(a=1)) == []


def test_no_positive_number_reads_as_zero() -> None:
    assert [probability_text(p) for p in (1.0, 0.25, 1e-4, 9.4e-5, 1e-6, 2.71e-9, 0.0)] == [
        "1.0000", "0.2500", "0.0001", "9.4e-5", "1.0e-6", "2.7e-9", "0",
    ]  # fmt: skip
    assert [mass_text(p) for p in (0.3, 2.7e-5, 1e-8, 0.0)] == ["0.3000", "2.7e-5", "< 1e-6", "< 1e-6"]
    assert (fixed(-3e-7, 4), fixed(-2.2, 4)) == ("-3.0e-7", "-2.2000")
    assert [short(p) for p in (0.12345678, 1.23456e-9, 0.0)] == [0.123457, 1.23e-9, 0.0]


def test_a_responses_thinking_is_told_behind_its_tokens() -> None:
    plain = Sample("p", 0, None, None, None, "", [], "", [1] * 40, [], "stop", None, None, None, None)
    assert thinking_of(plain) == ""
    assert thinking_of(replace(plain, answer_start=32)) == " of which 32 thinking"
    cut = replace(plain, answer_start=32, forced_positions=tuple(range(24, 32)))
    assert thinking_of(cut) == " of which 32 thinking, which a budget cut (8 tokens put in)"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(7300, "2 hours ago"), (30, "just now"), (-30, "just now"), (-7300, "2 hours ahead of this clock")],
)
def test_what_was_made_by_a_clock_that_is_ahead_was_not_made_just_now(seconds: float, said: str) -> None:
    """As where the clock was set back."""
    assert age(1e9, 1e9 + seconds) == said


def test_a_difference_that_rounds_to_zero_has_no_sign() -> None:
    assert [signed(value, 1) for value in (-0.04, 0.04, 0.0, 0.06, -12.34)] == ["0.0", "0.0", "0.0", "+0.1", "-12.3"]
