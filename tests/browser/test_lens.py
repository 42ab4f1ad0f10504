"""The lens against the whole distribution, which only the test knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onoff_assets.browser.lens import Drawn, Lens, look_through

V, K = 200, 20


def whole(seed: int, scale: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, scale, V)
    return np.sort(logits - np.log(np.exp(logits).sum()))[::-1]


def truth(logprobs: np.ndarray, lens: Lens) -> np.ndarray:
    """What a sampler draws from: temperature, then top-k, then top-p, renormalised."""
    weights = np.exp(logprobs / lens.temperature)
    if lens.top_k is not None:
        weights[lens.top_k :] = 0
    p = weights / weights.sum()
    kept = int(np.searchsorted(np.cumsum(p), lens.top_p - 1e-12)) + 1 if lens.top_p < 1 else V
    p[kept:] = 0
    return p / p.sum()


def seen(logprobs: np.ndarray, lens: Lens) -> Drawn:
    return look_through(logprobs[:K], float(np.exp(logprobs[K:]).sum()), V, lens)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    temperature=st.sampled_from([0.3, 0.6, 1.0, 1.4, 2.0]),
    top_p=st.sampled_from([0.3, 0.7, 0.9, 0.95, 1.0]),
    top_k=st.sampled_from([None, 3, 20, 50]),
)
def test_the_truth_lies_within_the_bounds(
    seed: int, scale: float, temperature: float, top_p: float, top_k: int | None
) -> None:
    logprobs, lens = whole(seed, scale), Lens(temperature, top_k, top_p)
    expected, drawn = truth(logprobs, lens), seen(logprobs, lens)
    assert (expected[:K] >= drawn.low - 1e-9).all()
    assert (expected[:K] <= drawn.high + 1e-9).all()
    if drawn.exact:
        assert drawn.probabilities == pytest.approx(expected[:K], abs=1e-9)
    if drawn.cutoff is not None:
        assert np.count_nonzero(expected) == drawn.cutoff


def test_at_temperature_one_without_truncation_it_is_what_is_stored() -> None:
    logprobs = whole(1)
    drawn = seen(logprobs, Lens())
    assert drawn.exact
    assert drawn.probabilities == pytest.approx(np.exp(logprobs[:K]))
    assert drawn.statement.startswith("No cut-off")


def test_it_says_where_the_stored_tokens_do_not_reach() -> None:
    flat = np.full(V, -np.log(V))
    drawn = seen(flat, Lens(top_p=0.95))
    assert drawn.cutoff is None
    assert "do not reach: they hold 0.1000 of the mass, below top-p 0.95" in drawn.statement


def test_a_cut_off_among_the_stored_is_exact_and_named() -> None:
    drawn = look_through(np.log([0.5, 0.3, 0.1]), 0.1, 100, Lens(top_p=0.75))
    assert drawn.cutoff == 2
    assert drawn.probabilities == pytest.approx([0.625, 0.375, 0])
    assert drawn.statement == "Draws from 2 tokens: the cut-off is after the 2nd."


def test_zero_temperature_is_greedy() -> None:
    assert list(look_through(np.log([0.5, 0.3]), 0.2, 10, Lens(temperature=0)).probabilities) == [1, 0]


def test_a_distribution_stored_at_another_temperature_is_brought_back() -> None:
    logprobs = whole(3)
    hot = logprobs / 2 - np.log(np.exp(logprobs / 2).sum())  # stored at temperature 2, over the whole vocabulary
    drawn = look_through(hot, 0.0, V, Lens(), stored_temperature=2.0)
    assert drawn.probabilities == pytest.approx(np.exp(logprobs))
