"""Numbers of two log-probabilities of the same tokens, against the formulas written out."""

import math

import numpy as np
import pytest

from onoff_core.statistics.mismatch import Compared, ess_share, k3, partition_row, response_row


def test_equal_log_probabilities_differ_in_nothing() -> None:
    row = partition_row([Compared("p", 0, np.zeros(4)), Compared("p", 1, np.zeros(2))])
    assert (row["k1"], row["k3"], row["mean_ratio"]) == (0.0, 0.0, 1.0)
    assert (row["token_ess_share"], row["response_ess_share"]) == (1.0, 1.0)
    assert all((one["tokens"], one["responses"]) == (0.0, 0.0) for one in row["vetoed"])


def test_a_response_by_hand() -> None:
    row = response_row(Compared("p", 3, np.array([math.log(2.0), math.log(0.5), math.log(0.004)])))
    ratios = [2.0, 0.5, 0.004]
    assert row["worst_position"] == 2
    assert row["lowest_log_ratio"] == pytest.approx(math.log(0.004))
    assert row["sequence_log_ratio"] == pytest.approx(math.log(0.004))
    assert row["k3"] == pytest.approx(sum(r - 1 - math.log(r) for r in ratios) / 3)
    assert row["ess_share"] == pytest.approx(sum(ratios) ** 2 / sum(r * r for r in ratios) / 3)


def test_a_response_is_vetoed_for_one_token() -> None:
    row = partition_row([Compared("p", 0, np.log([1.0, 0.004, 1.0])), Compared("p", 1, np.zeros(1))])
    assert {one["threshold"]: (one["tokens"], one["responses"]) for one in row["vetoed"]} == {
        1e-2: (0.25, 0.5),
        1e-3: (0.0, 0.0),
        1e-4: (0.0, 0.0),
    }


def test_k3_estimates_the_divergence_of_draws() -> None:
    """Two known distributions: the mean over draws from the denominator is KL(denominator || numerator)."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    drawn = np.random.default_rng(0).choice(3, 200_000, p=q)
    found, exact = k3(np.log(p[drawn] / q[drawn])), float((q * np.log(q / p)).sum())
    assert found == pytest.approx(exact, rel=0.03)
    assert k3(np.array([1e-9])) >= 0.0  # where exp(x) - 1 - x would be rounding alone


def test_the_effective_sample_size_knows_no_common_factor_and_no_overflow() -> None:
    weights = np.array([0.0, 1.0, 2.0])
    assert ess_share(weights) == pytest.approx(ess_share(weights + 900.0))


def test_without_responses_there_are_no_numbers() -> None:
    assert partition_row([]) == {"num_responses": 0, "num_tokens": 0, "vetoed": []}
