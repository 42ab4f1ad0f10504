"""Divergences of two models' logits against a float64 reference, and bounds that hold it."""

import math

import pytest
import torch
from torch import Tensor

from onoff_core.backends.huggingface.pair_statistics import bounded_statistics, pair_statistics

TOLERANCE = 1e-5  # nats


def reference(first: Tensor, second: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """The definitions, in float64, without a shift or a trick."""
    log_p, log_q = (torch.log_softmax(one.double(), -1) for one in (first, second))
    p, q = log_p.exp(), log_q.exp()
    m = (p + q) / 2
    chosen_p, chosen_q = (one.gather(-1, targets[:, None])[:, 0] for one in (log_p, log_q))
    return {
        "logprob": chosen_p,
        "entropy": -torch.where(p > 0, p * log_p, 0).sum(-1),
        "reference_logprob": chosen_q,
        "reference_rank": (log_q > chosen_q[:, None]).sum(-1) + 1,
        "reference_entropy": -torch.where(q > 0, q * log_q, 0).sum(-1),
        "log_ratio": chosen_q - chosen_p,
        "kl": torch.where(p > 0, p * (log_p - log_q), 0).sum(-1),
        "reverse_kl": torch.where(q > 0, q * (log_q - log_p), 0).sum(-1),
        "js": (torch.where(p > 0, p * (p / m).log(), 0) + torch.where(q > 0, q * (q / m).log(), 0)).sum(-1) / 2,
    }


def logits(rows: int, vocab: int, scale: float, seed: int) -> Tensor:
    return torch.randn((rows, vocab), generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize(("scale", "noise"), [(0.1, 0.1), (3.0, 0.3), (3.0, 3.0), (8.0, 0.01), (8.0, 1e-4)])
@pytest.mark.parametrize("vocab", [300, 50_000])
def test_divergences_are_those_of_float64(scale: float, noise: float, vocab: int) -> None:
    first = logits(9, vocab, scale, 1) + 40
    second = first + logits(9, vocab, noise, 2)
    targets = torch.randint(vocab, (9,), generator=torch.Generator().manual_seed(3))
    found, wanted = pair_statistics(first, second, targets, 20), reference(first, second, targets)
    for name, values in wanted.items():
        if name == "reference_rank":
            assert (found[name] - values).abs().max() <= 1  # float32 may order a near tie the other way
        else:
            assert (found[name].double() - values).abs().max() < TOLERANCE, name


def test_equal_logits_give_zero_in_every_digit() -> None:
    first = logits(7, 50_000, 5.0, 1)
    found = pair_statistics(first, first.clone(), torch.zeros(7, dtype=torch.long), 20)
    for name in ("kl", "reverse_kl", "js", "log_ratio"):
        assert (found[name] == 0).all(), name
    assert (found["topk_overlap"] == 1).all()


def test_two_states_have_known_divergences() -> None:
    """p = (1/2, 1/2), q = (1/4, 3/4): KL(p||q) = ln 2 - ln 3 / 2."""
    first, second = torch.zeros((1, 2)), torch.tensor([[0.0, math.log(3)]])
    found = pair_statistics(first, second, torch.tensor([0]), 1)
    assert found["kl"].item() == pytest.approx(math.log(2) - math.log(3) / 2, abs=1e-6)
    assert found["reverse_kl"].item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), abs=1e-6)
    assert found["log_ratio"].item() == pytest.approx(-math.log(2), abs=1e-6)
    assert found["reference_rank"].item() == 2


@pytest.mark.parametrize("which", ["both", "first", "second"])
def test_tokens_that_are_impossible_count_for_nothing_or_for_all(which: str) -> None:
    """Some families set the logits of rows without a token to minus infinity."""
    first, second = logits(3, 100, 2.0, 1), logits(3, 100, 2.0, 2)
    for name, one in (("first", first), ("second", second)):
        if which in (name, "both"):
            one[:, 90:] = -torch.inf
    targets = torch.tensor([1, 2, 3])
    found, wanted = pair_statistics(first, second, targets, 20), reference(first, second, targets)
    for name in ("entropy", "reference_entropy", "kl", "reverse_kl", "js"):
        values = wanted[name].nan_to_num(0.0, posinf=torch.inf)
        if name == "kl":
            values = torch.full_like(values, torch.inf) if which == "second" else values
        if name == "reverse_kl":
            values = torch.full_like(values, torch.inf) if which == "first" else values
        assert torch.allclose(found[name].double(), values, atol=TOLERANCE), name


@pytest.mark.parametrize("kept", [1, 5, 40, 200])
@pytest.mark.parametrize("noise", [0.0, 0.5, 4.0])
def test_bounds_hold_the_exact_divergence(kept: int, noise: float) -> None:
    first = logits(40, 200, 3.0, 1)
    second = first + logits(40, 200, noise, 2)
    targets = torch.zeros(40, dtype=torch.long)
    exact = reference(first, second, targets)
    log_p = torch.log_softmax(first, -1)
    values, ids = log_p.topk(kept)
    tail = (1 - values.exp().sum(-1)).clamp(min=0)
    entropy = exact["entropy"].float()
    found = {k: v.double() for k, v in bounded_statistics(ids, values, tail, entropy, second, targets, 20).items()}
    assert (found["kl_lower"] <= exact["kl"] + TOLERANCE).all()
    assert (exact["kl"] <= found["kl_upper"] + TOLERANCE).all()
    assert (found["reverse_kl_lower"] <= exact["reverse_kl"] + TOLERANCE).all()
    assert (found["js_lower"] <= exact["js"] + TOLERANCE).all()
    assert (exact["js"] <= found["js_upper"] + TOLERANCE).all()
    assert (found["js_upper"] <= math.log(2) + 1e-6).all()
    if kept == 200:  # all is kept, so nothing is left open
        assert (found["kl_upper"] - found["kl_lower"]).max() < TOLERANCE
        assert (found["js_upper"] - found["js_lower"]).max() < TOLERANCE
