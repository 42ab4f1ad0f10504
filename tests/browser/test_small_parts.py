"""The cache, the filter, the flips."""

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
from onoff_assets.browser.flips import flips
from onoff_assets.browser.reading import Sample
from onoff_assets.browser.views.response import thinking_of

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


def test_flips_are_the_problems_that_change_sides() -> None:
    assert flips({"a": 1.0, "b": 0.6, "c": 0.2}, {"a": 0.9, "b": 0.0, "c": 1.0}) == [("c", 0.2, 1.0), ("b", 0.6, 0.0)]


def test_a_responses_thinking_is_told_behind_its_tokens() -> None:
    plain = Sample("p", 0, None, None, None, "", [], "", [1] * 40, [], "stop", None, None, None, None)
    assert thinking_of(plain) == ""
    assert thinking_of(replace(plain, answer_start=32)) == " of which 32 thinking"
    cut = replace(plain, answer_start=32, forced_positions=tuple(range(24, 32)))
    assert thinking_of(cut) == " of which 32 thinking, which a budget cut (8 tokens put in)"
