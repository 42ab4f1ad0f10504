"""Statistics by one pass over the logits: what the usual operators give. The kernel itself runs where Triton is."""

import importlib.util
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from benchmarks.gpu_parts import compared
from onoff_core.backends.huggingface import gpu, token_statistics
from onoff_core.backends.huggingface.pair_statistics import pair_statistics
from onoff_core.backends.huggingface.token_statistics import block_statistics
from onoff_core.backends.huggingface.top_k import part_maxima
from onoff_core.study import DistributionSettings
from tests.conftest import ROOT
from tests.cross.test_pair_statistics import reference

HAS_TRITON = importlib.util.find_spec("triton") is not None


def by_definition(logits: torch.Tensor, chosen: torch.Tensor, temperature: float, width: int) -> gpu.Pass:
    exact = logits.double()
    z = (exact - exact.amax(-1, keepdim=True)) / temperature
    sums = [(z.exp() * z**power).sum(-1).float() for power in range(3)]
    greater = (logits > chosen[:, None]).sum(-1).int()
    return gpu.Pass(logits.amax(-1).float(), *sums, greater, part_maxima(logits, width))


def of_definition(first: torch.Tensor, second: torch.Tensor, *sums: torch.Tensor) -> tuple[torch.Tensor, ...]:
    found = reference(first, second, torch.zeros(len(first), dtype=torch.long))
    return tuple(found[name].float() for name in ("kl", "reverse_kl", "js"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cross_scores_are_those_of_the_usual_operators(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    pair = [(torch.randn((5, 6007), generator=torch.Generator().manual_seed(n)) * 4).to(dtype) for n in (1, 2)]
    targets = torch.tensor([0, 1, 2, 3, 6006])
    wanted = pair_statistics(*pair, targets, 20)
    monkeypatch.setattr(gpu, "can_run", lambda device, dtype: True)
    monkeypatch.setattr(gpu, "pass_over", by_definition)
    monkeypatch.setattr(gpu, "divergences", of_definition)
    found = pair_statistics(*pair, targets, 20)
    assert {name: column.dtype for name, column in found.items()} == {n: c.dtype for n, c in wanted.items()}
    for name, column in wanted.items():
        torch.testing.assert_close(found[name], column, atol=2e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize(("vocab", "k"), [(6007, 20), (6007, 1), (50, 20), (50, 70)])
def test_columns_are_those_of_the_usual_operators(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, temperature: float, vocab: int, k: int
) -> None:
    logits = (torch.randn((5, vocab), generator=torch.Generator().manual_seed(vocab)) * 4).to(dtype)
    targets, settings = torch.tensor([0, 1, 2, 3, vocab - 1]), DistributionSettings(temperature=temperature, top_k=k)
    wanted = block_statistics(logits, targets, settings)
    monkeypatch.setattr(gpu, "can_run", lambda device, dtype: True)
    monkeypatch.setattr(gpu, "pass_over", by_definition)
    found = block_statistics(logits, targets, settings)
    assert {name: column.dtype for name, column in found.items()} == {n: c.dtype for n, c in wanted.items()}
    for name in wanted.keys() - {"topk_ids"}:
        torch.testing.assert_close(found[name], wanted[name], atol=2e-5, rtol=1e-5, msg=name)
    values = [logits.gather(-1, way["topk_ids"].long()) for way in (found, wanted)]
    assert torch.equal(*values)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_of_a_large_vocabulary_is_that_of_float64(
    monkeypatch: pytest.MonkeyPatch, fused: bool, dtype: torch.dtype
) -> None:
    """By the usual operators in slices, and where a kernel has the other sums; a real vocabulary's size and spread."""
    logits = (torch.randn((5, 151_936), generator=torch.Generator().manual_seed(0)) * 3 - 4).to(dtype)
    logits[:, 7] = 31.0
    monkeypatch.setattr(gpu, "can_run", lambda device, dtype: fused)
    monkeypatch.setattr(gpu, "pass_over", by_definition)
    for temperature in (1.0, 0.6):
        settings = DistributionSettings(temperature=temperature)
        found = block_statistics(logits, torch.tensor([1, 7, 3, 4, 5]), settings)["mean_log_prob_vocabulary"]
        wanted = (logits.double() / temperature).log_softmax(-1).mean(-1)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), wanted, atol=3e-5, rtol=0)


def test_whole_vocabularies_go_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "can_run", lambda device, dtype: True)
    monkeypatch.delattr(gpu, "pass_over")
    columns = block_statistics(torch.randn((2, 30)), torch.tensor([1, 2]), DistributionSettings(top_k=None))
    assert columns["topk_logprobs"].shape == (2, 30)


def test_a_search_in_two_stages_away_from_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no kernel runs, the usual operators search as well in two stages."""
    seen: list[int] = []
    usual = token_statistics.part_maxima

    def maxima(z: Any, width: int) -> torch.Tensor:
        seen.append(width)
        return usual(z, width) if z.device.type == "cpu" else torch.empty((2, 6000 // width), device="meta")

    monkeypatch.setattr(token_statistics, "part_maxima", maxima)
    settings = DistributionSettings(top_k=5)
    block_statistics(torch.randn((2, 6000)), torch.tensor([1, 2]), settings)
    assert seen == []
    block_statistics(torch.randn((2, 6000), device="meta"), torch.tensor([1, 2], device="meta"), settings)
    assert seen == [32]


def test_a_kernel_that_cannot_run_says_why_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No compiler, a driver too old, other numbers: the usual operators stay, and the log has the reason."""
    caplog.set_level("INFO")
    gpu.reason_against.cache_clear()

    def broken(*arguments: Any) -> gpu.Pass:
        raise OSError("no C compiler was found\nlong text")

    monkeypatch.setattr(gpu, "pass_over", broken)
    monkeypatch.setattr(gpu, "divergences", of_definition)
    assert not gpu.can_run(torch.device("cpu"), torch.float32)  # is not even tried
    for _ in range(2):
        assert gpu.reason_against(torch.device("cpu"), torch.float32) == "OSError: no C compiler was found"
    assert caplog.text.count("the usual operators") == 1
    gpu.reason_against.cache_clear()

    def wrong(*arguments: Any) -> gpu.Pass:
        right = by_definition(*arguments)
        return gpu.Pass(right.largest, right.total * 1.01, right.first, right.second, right.greater, right.maxima)

    monkeypatch.setattr(gpu, "pass_over", wrong)
    assert "it is off by" in str(gpu.reason_against(torch.device("cpu"), torch.float32))
    gpu.reason_against.cache_clear()

    def full(*arguments: Any) -> gpu.Pass:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(gpu, "pass_over", full)
    with pytest.raises(torch.OutOfMemoryError):
        gpu.reason_against(torch.device("cpu"), torch.float32)


INTERPRETED = """
import torch
from unittest.mock import patch
from benchmarks.gpu_parts import compared
from onoff_core.backends.huggingface import gpu
from onoff_core.backends.huggingface.pair_statistics import pair_statistics
cpu = torch.device("cpu")
for dtype in (torch.float32, torch.bfloat16):
    assert gpu.reason_against(cpu, dtype) is None, gpu.reason_against(cpu, dtype)
    for rows, vocab, k in ((5, 9000, 20), (2, 4096, 3), (3, 300, 20)):
        with patch.object(gpu, "can_run", lambda *arguments: True):
            found = compared(rows, vocab, dtype, k, cpu)
        print(found)
        assert found.pop("ids_twice") == 0
        assert max(found.values()) < 2e-5, found
    first, second = (torch.randn((4, 9001), generator=torch.Generator().manual_seed(n)).to(dtype) * 3 for n in (1, 2))
    first[1, 5000:] = -float("inf")  # impossible tokens
    second[2, 7] = float("nan")
    sums = [one.float().logsumexp(-1) for one in (first, second)]
    kl, reverse, js = gpu.divergences(first, second, *sums)
    usual = pair_statistics(first, second, torch.tensor([1, 2, 3, 4]), 5)
    for ours, name in ((kl, "kl"), (reverse, "reverse_kl"), (js, "js")):
        rows = [0, 1, 3]
        torch.testing.assert_close(ours[rows], usual[name][rows], atol=2e-5, rtol=1e-5, msg=name)
    assert kl[2].isnan() and reverse[1] == float("inf")
    for zero in gpu.divergences(first, first, sums[0], sums[0]):
        assert zero.max() <= 1e-7, zero
"""


@pytest.mark.skipif(not HAS_TRITON, reason="Triton comes with torch for CUDA; on a CPU it can be installed for this")
def test_the_kernel_as_triton_interprets_it() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", INTERPRETED], cwd=ROOT, env=environment, check=True, timeout=300)


def test_the_comparison_of_the_bench_finds_nothing_apart_here() -> None:
    found = compared(3, 700, torch.float32, 20, torch.device("cpu"))
    assert set(found.values()) == {0}
