"""The fit of accuracy against entropy: exact where there is no noise, and the same in SQL."""

import math

import duckdb
import numpy as np
import pytest

from onoff_core.series import fit_entropy


def test_points_on_the_curve_give_the_curve() -> None:
    entropies = [0.2, 0.5, 0.9, 1.4]
    fit = fit_entropy([0.9 - 0.15 * math.exp(h) for h in entropies], entropies)
    assert fit is not None
    assert (fit.a, fit.b) == (pytest.approx(0.15), pytest.approx(0.9))
    assert fit.ceiling == pytest.approx(0.75)
    assert fit.residuals == pytest.approx([0.0] * 4, abs=1e-12)
    assert fit.r_squared == pytest.approx(1.0)


def test_noise_is_left_over_and_the_residuals_sum_to_nothing() -> None:
    rng = np.random.default_rng(3)
    entropies = rng.uniform(0.1, 1.5, 12)
    rewards = 0.8 - 0.1 * np.exp(entropies) + rng.normal(0, 0.02, 12)
    fit = fit_entropy(rewards.tolist(), entropies.tolist())
    assert fit is not None
    assert sum(fit.residuals) == pytest.approx(0, abs=1e-12)
    a, b = duckdb.sql(
        f"SELECT -regr_slope(r, exp(h)), regr_intercept(r, exp(h)) FROM (VALUES "
        f"{', '.join(f'({r}, {h})' for r, h in zip(rewards, entropies, strict=True))}) AS t(r, h)"
    ).fetchall()[0]
    assert (fit.a, fit.b) == (pytest.approx(a), pytest.approx(b))


@pytest.mark.parametrize(("rewards", "entropies"), [([0.1, 0.2], [1.0, 2.0]), ([], []), ([0.1, 0.2, 0.3], [1.0] * 3)])
def test_what_cannot_be_fitted_is_not(rewards: list[float], entropies: list[float]) -> None:
    assert fit_entropy(rewards, entropies) is None


def test_equal_accuracies_have_no_share_explained() -> None:
    fit = fit_entropy([0.5, 0.5, 0.5], [0.1, 0.2, 0.3])
    assert fit is not None
    assert fit.r_squared is None
    assert fit.a == pytest.approx(0)
