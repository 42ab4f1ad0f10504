"""How work is cut into units."""

import itertools

import pytest

from onoff_core.backends.replicas.engine import cut_at_prompts, unit_sizes
from onoff_core.backends.requests import Request


def requests(problems: int, samples: int) -> list[Request]:
    return [Request(f"p{n}", s, (n,)) for n in range(problems) for s in range(samples)]


@pytest.mark.parametrize(
    ("problems", "samples", "replicas", "rows"),
    [(30, 8, 2, 64), (1, 100, 4, 64), (500, 8, 3, 64), (2, 8, 2, 64), (3, 1, 8, 4), (1, 1, 2, 64), (7, 3, 2, 5)],
)
def test_every_request_is_in_one_unit_in_order(problems: int, samples: int, replicas: int, rows: int) -> None:
    asked = requests(problems, samples)
    units = list(cut_at_prompts(asked, unit_sizes(len(asked), replicas, rows)))
    assert list(itertools.chain(*units)) == asked
    assert len(units) >= min(replicas, len(asked))  # nobody is without work while there is some
    assert max(map(len, units)) <= max(samples, -(-len(asked) // replicas)) + samples


def test_units_are_large_at_first_and_fill_the_rows_to_the_last() -> None:
    sizes = list(itertools.islice(unit_sizes(12_800, 2, 64), 30))
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], min(sizes)) == (1600, 64)


def test_a_prompt_stays_whole_where_it_fits() -> None:
    units = list(cut_at_prompts(requests(8, 8), unit_sizes(64, 2, 12)))
    for unit in units:
        assert all(count == 8 for count in (len([r for r in unit if r.problem_id == p.problem_id]) for p in unit))
