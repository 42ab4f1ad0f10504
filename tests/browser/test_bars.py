"""Bars: every token with its id, the chosen one always, the rest as a bar of its own."""

import numpy as np
import pytest

from onoff_assets.browser.bars import Distribution, as_payload, bars_of
from onoff_assets.browser.lens import Lens, look_through


def distribution(token_id: int, rank: int, probability: float) -> Distribution:
    return Distribution(
        3, token_id, float(np.log(probability)), rank, 1.2, 0.1, [7, 8, 9], list(np.log([0.5, 0.3, 0.1]))
    )


def test_bars_fall_and_end_with_the_rest() -> None:
    bars = bars_of(distribution(8, 2, 0.3), str, shown=10)
    assert [(bar.label, bar.rank, bar.chosen) for bar in bars] == [
        ("7", 1, False),
        ("8", 2, True),
        ("9", 3, False),
        ("outside the top 3", None, False),
    ]
    assert sum(bar.probability for bar in bars) == pytest.approx(1.0)


def test_a_chosen_token_outside_the_top_k_has_its_rank_and_leaves_the_rest() -> None:
    bars = bars_of(distribution(42, 1234, 0.02), str, shown=10)
    assert (bars[3].label, bars[3].rank, bars[3].chosen) == ("42", 1234, True)
    assert bars[3].probability == pytest.approx(0.02)
    assert (bars[4].label, bars[4].token_id) == ("outside the top 3 but the chosen", None)
    assert bars[4].probability == pytest.approx(0.08)


def test_fewer_bars_than_stored_keep_the_mass_and_the_chosen() -> None:
    bars = bars_of(distribution(9, 3, 0.1), str, shown=1)
    assert [bar.rank for bar in bars] == [1, 3, None]
    assert bars[2].label == "all other tokens but the chosen"
    assert sum(bar.probability for bar in bars) == pytest.approx(1.0)


def test_the_lens_cuts_also_a_chosen_token_outside() -> None:
    at = distribution(42, 1234, 0.02)
    drawn = look_through(np.asarray(at.topk_logprobs), at.tail_mass, 5000, Lens(top_p=0.75))
    bars = bars_of(at, str, 10, drawn)
    assert [bar.cut for bar in bars] == [False, False, True, True, False]
    assert bars[0].drawn == pytest.approx(0.625)


def test_a_click_moves_little() -> None:
    import json

    wide = Distribution(0, 10**6, -9.0, 999, 3.0, 0.2, list(range(40)), [-4.0] * 40)
    drawn = look_through(np.asarray(wide.topk_logprobs), 0.2, 50_000, Lens(1.2, None, 0.99))
    payload = as_payload(bars_of(wide, lambda i: "·token" * 3, 40, drawn), "title", "note", "drawn")
    assert len(json.dumps(payload)) < 10_000
