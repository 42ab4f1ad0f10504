"""How a partition is cut: whole problems, each once, the same cut whoever asks, fragments of a useful size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onoff_core.problems import Problem
from onoff_core.sampling import chunks_of


def problems(count: int) -> list[Problem]:
    return [Problem(f"p{number}", "question", "answer") for number in range(count)]


@given(st.integers(1, 400), st.integers(1, 700))
def test_every_problem_is_in_one_chunk_in_order(count: int, num_samples: int) -> None:
    chunks = chunks_of(problems(count), num_samples)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [problem for chunk in chunks for problem in chunk.problems] == problems(count)
    sizes = [len(chunk.problems) * num_samples for chunk in chunks]
    assert all(size <= max(512, num_samples) for size in sizes)
    assert all(size + num_samples > 32 for size in sizes[:-1])


@pytest.mark.parametrize(
    ("count", "num_samples", "chunks", "problems_each"),
    [(4, 3, 1, 4), (12, 8, 3, 4), (30, 64, 30, 1), (500, 8, 100, 5), (5000, 64, 625, 8), (3, 1000, 3, 1)],
)
def test_the_cut_that_stores_rest_on(count: int, num_samples: int, chunks: int, problems_each: int) -> None:
    """An interrupted run of an earlier release goes on from its fragments only if the cut stays as it is."""
    found = chunks_of(problems(count), num_samples)
    assert (len(found), len(found[0].problems)) == (chunks, problems_each)
