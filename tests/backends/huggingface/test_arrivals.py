"""Columns that come block by block, as a GPU sends them: those of all blocks, one below the other."""

import numpy as np
import pytest
import torch

from benchmarks import gpu
from onoff_core.backends.huggingface.arrivals import Arrivals

LENGTHS = (3, 1, 40)


def blocks(device: str = "cpu", k: int = 1000) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    return [
        {
            "rank": torch.randint(1, 9, (length,), generator=draw, dtype=torch.int32).to(device),
            "topk_logprobs": torch.randn((length, k), generator=draw).to(device),
        }
        for length in LENGTHS
    ]


@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_all_blocks_one_below_the_other(device: str, overlapping: bool) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    sent = blocks(device)
    arrivals = Arrivals(sum(LENGTHS), overlapping=overlapping)
    for block in sent:
        arrivals.add({name: column.clone() for name, column in block.items()})  # whose memory nobody else keeps
    found = arrivals.columns()
    for name in sent[0]:
        wanted = torch.cat([block[name] for block in sent]).cpu().numpy()
        assert found[name].dtype == wanted.dtype
        np.testing.assert_array_equal(found[name], wanted)


def test_what_is_computed_later_changes_nothing_that_was_sent() -> None:
    (block, *_), arrivals = blocks(), Arrivals(LENGTHS[0], overlapping=True)
    wanted = block["topk_logprobs"].numpy().copy()
    arrivals.add(block)
    block["topk_logprobs"].zero_()
    np.testing.assert_array_equal(arrivals.columns()["topk_logprobs"], wanted)


def test_tokens_that_did_not_come_are_a_fault() -> None:
    arrivals = Arrivals(sum(LENGTHS), overlapping=True)
    arrivals.add(blocks()[0])
    with pytest.raises(AssertionError, match="3 of 44 tokens came"):
        arrivals.columns()


def test_two_models_in_turns_are_what_the_bench_of_a_gpu_asks_for() -> None:
    _, part = gpu._parts(tiny=True)["switch"]
    found = part()
    assert found["first_alone"] == found["second_alone"] == found["responses"]
    for placed in (found, found["second_on_cpu"]):
        assert placed["by_the_wrong_one"] == 0
        assert 0 < placed["by_the_second"] < placed["tokens"]
        assert placed["worst_logprob"] < 1e-4
