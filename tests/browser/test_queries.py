"""Orders, filters and searches of the tables: values in, values out."""

import time

import numpy as np
import pyarrow as pa
import pytest

from onoff_assets.browser.computing import job
from onoff_assets.browser.queries import Column, Query, read_query, rows_of
from onoff_assets.browser.searching import Search, excerpt, search_responses

COLUMNS = (
    Column("problem_id", "problem", "text", "", in_given_order=True),
    Column("num_tokens", "tokens", "number", "", short="tokens"),
    Column("log_prob", "log-prob", "number", ""),
    Column("subject", "subject", "choice", ""),
)
TABLE = pa.table(
    {
        "problem_id": ["p10", "p2", "p1", "P20"],
        "num_tokens": [5, None, 7, 5],
        "log_prob": [-1.5, float("nan"), -0.25, -3.0],
        "subject": ["Algebra, basic", None, "100%", "Algebra, basic"],
    }
)


def asked(**address: str) -> list[int]:
    query, messages = read_query(address, COLUMNS)
    assert messages == []
    assert read_query(query.address(COLUMNS), COLUMNS) == (query, [])  # a link means the same when it is passed on
    return [int(row) for row in rows_of(TABLE, query, COLUMNS, None)]


@pytest.mark.parametrize(
    ("address", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"sort": "tokens"}, [0, 3, 2, 1]),  # equal rows keep their order, what is missing is last
        ({"sort": "-tokens"}, [2, 0, 3, 1]),
        ({"sort": "-log_prob"}, [2, 0, 3, 1]),
        ({"sort": "log_prob"}, [3, 0, 2, 1]),
        ({"sort": "problem_id"}, [0, 1, 2, 3]),  # as the data set has them, not as text
        ({"sort": "-problem_id"}, [3, 2, 1, 0]),
        ({"sort": "subject"}, [2, 0, 3, 1]),
        ({"tokens": "6-"}, [2]),
        ({"tokens": "-6"}, [0, 3]),
        ({"tokens": "5"}, [0, 3]),
        ({"tokens": "5-7", "log_prob": "-2..-0.5"}, [0]),
        ({"log_prob": "..-1"}, [0, 3]),
        ({"subject": "Algebra%2C basic"}, [0, 3]),
        ({"subject": "100%25,Algebra%2C basic"}, [0, 2, 3]),
        ({"problem_id": "p2"}, [1, 3]),  # whatever its case
        ({"problem_id": "p(2"}, []),  # a text, not an expression
    ],
)
def test_a_query_of_the_address(address: dict[str, str], rows: list[int]) -> None:
    assert asked(**address) == rows


@pytest.mark.parametrize("value", ["x-3", "nan-", "1-inf", "-", "..", "1-2-3"])
def test_what_is_no_range_is_said(value: str) -> None:
    query, messages = read_query({"tokens": value}, COLUMNS)
    assert query == Query()
    assert len(messages) == 1
    assert "tokens" in messages[0]


def test_what_another_page_sorts_by_is_left_out() -> None:
    assert read_query({"sort": "-pass_rate", "text": "x", "regex": "1"}, COLUMNS) == (Query(), [])


def test_a_text_keeps_only_rows_that_hold_it() -> None:
    query, _ = read_query({"text": "x", "sort": "tokens"}, COLUMNS, searches=True)
    assert (query.text, query.is_regex) == ("x", False)
    assert rows_of(TABLE, query, COLUMNS, np.array([True, False, False, True])).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("text", "regex", "response", "marked"),
    [
        ("a.b", False, "x A.B aXb", ["A.B"]),
        ("\\E)(*", False, "so \\e)(* it is", ["\\e)(*"]),
        ("a\0b", False, "a\0b", ["a⟨U+0000⟩b"]),
        ("é", False, "CAFÉ", ["É"]),
        (r"\d+ × \d+", True, "3 × 4 = 12, then 12 × 2", ["3 × 4", "12 × 2"]),
        ("x|y", True, "axby", ["x", "y"]),
        ("a*", True, "baab", ["aa"]),
        ("\ufdd0", False, "a\ufdd0b", []),
    ],
)
def test_hits_are_marked(text: str, regex: bool, response: str, marked: list[str]) -> None:
    pieces = excerpt(response, Search(text, regex))
    assert [piece for piece, is_hit in pieces if is_hit] == marked


def test_an_excerpt_is_short_and_on_one_line() -> None:
    pieces = excerpt("a\n" * 500 + "here" + " b" * 500 + "here", Search("here"))
    shown = "".join(text for text, _ in pieces)
    assert "\n" not in shown
    assert len(shown) < 400
    assert [text for text, is_hit in pieces if is_hit] == ["here"]
    assert shown[0] == shown[-1] == "…"


@pytest.mark.parametrize("pattern", ["(", "a{2000}{2000}", "(?=x)", r"(a)\1"])
def test_what_cannot_be_searched_for_is_said(pattern: str) -> None:
    assert Search(pattern, True).fault()
    assert Search(pattern).fault() is None


def test_no_expression_takes_long() -> None:
    """(a+)+$ takes a backtracking engine 2^40 steps here."""
    batch = pa.record_batch({"response": ["a" * 40 + "b"] * 100})
    began = time.monotonic()
    found = search_responses([batch], Search("(a+)+$", True), 100, lambda done, total: None, began + 60)
    assert not found.mask.any()
    assert time.monotonic() - began < 5


def test_a_search_ends_in_time_and_says_how_far_it_came() -> None:
    batches = [pa.record_batch({"response": ["x"] * 3})] * 2
    found = search_responses(batches, Search("x"), 6, lambda done, total: None, time.monotonic() - 1)
    assert (found.num_searched, found.mask.any()) == (0, False)


def test_work_is_done_once_and_again_where_it_failed() -> None:
    calls: list[int] = []

    def make(say: object) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("once")
        return 7

    with pytest.raises(ValueError, match="once"):
        job(("test", make), make).result(10)
    assert job(("test", make), make).result(10) == 7
    assert job(("test", make), make).result(10) == 7
    assert len(calls) == 2
