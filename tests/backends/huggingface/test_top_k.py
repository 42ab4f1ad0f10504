"""The k largest in two stages: as one search finds them."""

import pytest
import torch

from onoff_core.backends.huggingface.top_k import part_maxima, part_width, top_k


@pytest.mark.parametrize("k", [1, 3, 20, 90])
@pytest.mark.parametrize("width", [1, 8, 64])
@pytest.mark.parametrize("kind", ["apart", "many ties", "all in one part", "sorted", "infinite"])
def test_two_stages_find_what_one_finds(k: int, width: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(k * width)
    values = torch.randn((4, 6007), generator=generator)
    if kind == "many ties":
        values = values.round()
    elif kind == "all in one part":
        values[:, 128:192] += 100
    elif kind == "sorted":
        values = values.sort(-1).values
    elif kind == "infinite":
        values[:, ::2] = float("-inf")
    found, ids = top_k(values, k, width, part_maxima(values, width))
    assert torch.equal(found, torch.topk(values, k).values)
    assert torch.equal(values.gather(1, ids), found)
    assert all(len(row.unique()) == k for row in ids)


def test_the_largest_may_stand_in_a_last_part_that_is_shorter() -> None:
    values = torch.zeros((1, 1001))
    values[0, 1000], values[0, 3] = 2, 1
    assert part_maxima(values, 8).shape == (1, 126)
    found, ids = top_k(values, 2, 8, part_maxima(values, 8))
    assert found.tolist() == [[2, 1]]
    assert ids.tolist() == [[1000, 3]]


def test_two_stages_are_taken_where_they_see_far_fewer_values() -> None:
    assert part_width(151_936, 20) == 64
    assert part_width(151_936, 1000) == 16
    assert part_width(49_152, 1) == 256
    assert part_width(300, 20) is None
    assert part_width(49_152, 40_000) is None
    assert part_width(10, 20) is None
