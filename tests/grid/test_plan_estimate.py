"""What is missing or stale would take, from made-up runs whose lengths, speeds and bytes are known."""

import numpy as np
import pytest

from onoff_core.grid.plan_estimate import Estimate, PartitionEstimate, Range, Unknown, Work, total
from onoff_core.grid.plan_measured import Lengths
from onoff_core.grid.plan_text import bytes_text, count_text, log_line, range_text, seconds_text, total_text
from onoff_core.study import load_study
from tests.conftest import MakeProject


def lengths(*num_tokens: int, cut_off: tuple[int, ...] = (), max_length: int | None = 100) -> Lengths:
    """Responses of two problems in turn."""
    count = len(num_tokens)
    cut = np.isin(np.arange(count), cut_off)
    return Lengths(np.array(num_tokens), np.arange(count) % 2, cut, max_length)


def test_lengths_have_the_interval_of_the_problems_means() -> None:
    low, high = lengths(10, 30, 20, 40).mean(100)  # problems' means 15 and 35: 25, standard error 10
    assert (low, high) == (pytest.approx(25 - 19.6), pytest.approx(25 + 19.6))


def test_a_lower_limit_cuts_what_is_longer() -> None:
    low, high = lengths(10, 10, 90, 90).mean(50)
    assert low == high == pytest.approx(30)


def test_what_was_cut_off_may_become_as_long_as_a_higher_limit() -> None:
    low, high = lengths(100, 100, 100, 100, cut_off=(0, 1)).mean(1000)
    assert low == pytest.approx(100)
    assert high == pytest.approx((1000 + 100) / 2)


def test_ranges_go_from_the_lowest_to_the_highest() -> None:
    assert Range(10, 20) + Range(1, 2) == Range(11, 22)
    assert Range(10, 20).over(Range(2, 5)) == Range(2, 10)
    assert total([Range(1, 2), None, Range(3, 3)]) == Range(4, 5)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (count_text(812), "812"),
        (count_text(1_234_000), "1.2M"),
        (bytes_text(999), "999 B"),
        (bytes_text(3.44e9), "3.4 GB"),
        (seconds_text(7800), "2 h 10 min"),
        (seconds_text(100_000), "1 day 4 h"),
        (range_text(Range(1200, 1800), count_text), "1.2k to 1.8k"),
        (range_text(Range(1200, 1201), count_text), "1.2k"),
        (range_text(None, count_text), "?"),
        (total_text([Range(10, 20), None], count_text), "at least 10"),
        (total_text([None], count_text), "?"),
        (total_text([Range(0.1, 0.2), None], seconds_text), "?"),
    ],
)
def test_numbers_read_well(said: str, text: str) -> None:
    assert said == text


def test_the_log_says_it_in_one_line_and_what_is_unknown(make_project: MakeProject) -> None:
    fake = {"model_name": "fake", "backend_type": "fake"}
    make_project(models={"tiny": fake, "other": fake})
    known = Estimate(Work("samples", "missing", 8), Range(800, 900), Range(60, 120), Range(1e6, 1e6), 10**9)
    unknown = Estimate(Work("samples", "missing", 8), unknown=(Unknown("no run of other", "samples"),))
    partitions = [load_study().partition(f"arithmetic|{name}") for name in ("tiny", "other")]
    found = [PartitionEstimate(of, (one,)) for of, one in zip(partitions, (known, unknown), strict=True)]
    assert log_line(found[:1]) == (
        "estimated: 800 to 900 tokens, 1 min 0 s to 2 min 0 s one after another, 1.0 MB of disk, up to 1.0 GB of memory"
    )
    assert log_line(found) == (
        "estimated: at least 800 tokens, at least 1 min 0 s one after another, at least 1.0 MB of disk, "
        "up to 1.0 GB of memory; not known of 1: no run of other that made samples yet (see onoff plan)"
    )
