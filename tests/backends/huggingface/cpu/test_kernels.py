"""The compiled attention against the formula in float64, and what it must not read or hide."""

from typing import Any

import numpy as np
import pytest
import torch

from onoff_core.backends.huggingface.cpu import kernels

UNLIMITED = 2**62


class Step:
    """Rows of uneven length over prompts of uneven length; columns that hold nothing are NaN."""

    def __init__(
        self, shared: int = 3, head_dim: int = 64, value_dim: int = 64, rows: int = 7, columns: int = 40
    ) -> None:
        draw = np.random.default_rng(0)
        self.prompt_length = np.array([1, 9, 4, 13, 9, 1, 6][:rows])
        self.slot = np.array([0, 2, 1, 3, 2, 0, 4][:rows])
        self.own_index = np.array([0, 3, 17, 4, 8, columns - 10, 1][:rows])
        self.query = draw.standard_normal((rows, 2 * shared, head_dim), dtype=np.float32)
        self.keys, self.values = (self._kept(draw, rows + 2, columns, dim) for dim in (head_dim, value_dim))
        self.prefix_keys, self.prefix_values = self._kept(draw, 5, 16, head_dim), self._kept(draw, 5, 16, value_dim)
        for row in range(rows):
            for own in (self.keys, self.values):
                own[row, :, self.own_index[row] + 1 :] = np.nan
            for prefix in (self.prefix_keys, self.prefix_values):
                prefix[self.slot[row], :, self.prompt_length[row] :] = np.nan

    @staticmethod
    def _kept(draw: np.random.Generator, rows: int, columns: int, dim: int) -> Any:
        return draw.standard_normal((rows, 2, columns, dim), dtype=np.float32)

    def attend(self, scale: float = 0.125, window: int = UNLIMITED, parts: int = 2) -> Any:
        output = np.full((*self.query.shape[:2], self.values.shape[-1]), np.nan, np.float32)
        kept = kernels.Kept(
            self.keys,
            self.values,
            self.own_index,
            self.prefix_keys,
            self.prefix_values,
            self.slot,
            self.prompt_length,
        )
        kernels.attend(self.query, kept, np.float32(scale), window, output, kernels.threads(parts))
        return output

    def formula(self, scale: float = 0.125, window: int = UNLIMITED) -> Any:
        """softmax(scale q K^T) V over the tokens each row may see, in float64."""
        rows, heads, _ = self.query.shape
        expected = np.empty((rows, heads, self.values.shape[-1]))
        for row in range(rows):
            for head in range(heads):
                at = head // (heads // 2)
                length, own, slot = self.prompt_length[row], self.own_index[row] + 1, self.slot[row]
                keys = np.concatenate([self.prefix_keys[slot, at, :length], self.keys[row, at, :own]])[-window:]
                values = np.concatenate([self.prefix_values[slot, at, :length], self.values[row, at, :own]])[-window:]
                scores = scale * (keys.astype(np.float64) @ self.query[row, head].astype(np.float64))
                weights = np.exp(scores - scores.max())
                expected[row, head] = weights / weights.sum() @ values.astype(np.float64)
        return expected


@pytest.mark.parametrize(
    ("shared", "head_dim", "value_dim"), [(1, 64, 64), (3, 64, 64), (4, 128, 128), (2, 20, 12), (7, 33, 5)]
)
@pytest.mark.parametrize("window", [UNLIMITED, 1, 3, 10])
def test_attention_is_the_formula(shared: int, head_dim: int, value_dim: int, window: int) -> None:
    step = Step(shared, head_dim, value_dim)
    assert np.abs(step.attend(window=window) - step.formula(window=window)).max() < 2e-6


@pytest.mark.parametrize("window", [UNLIMITED, 3])
@pytest.mark.parametrize("columns", [40, 200])
def test_bits_of_bfloat16_are_the_numbers_that_they_stand_for(columns: int, window: int) -> None:
    """Equal to the last bit, over rows longer than a chunk too."""
    step = Step(columns=columns)
    halves = [torch.from_numpy(own).bfloat16() for own in (step.keys, step.values)]
    step.keys, step.values = (half.float().numpy() for half in halves)
    wanted = step.attend(window=window)
    step.keys, step.values = (half.view(torch.uint16).numpy() for half in halves)
    assert np.array_equal(step.attend(window=window), wanted)


def test_rows_longer_than_a_chunk_are_the_formula() -> None:
    step = Step(columns=200)
    assert np.abs(step.attend() - step.formula()).max() < 2e-6


@pytest.mark.parametrize("parts", [1, 2, 3, 50])
def test_every_row_is_computed_however_many_threads_there_are(parts: int) -> None:
    step = Step()
    assert np.array_equal(step.attend(parts=parts), step.attend(parts=1))


def test_parts_hold_about_as_many_tokens_each() -> None:
    lengths = np.array([500, 1, 1, 1, 1, 1, 1, 494])
    assert kernels._parts(lengths, np.zeros(8, np.int64), 2).tolist() == [0, 1, 8]
    assert kernels._parts(np.ones(8, np.int64), np.ones(8, np.int64), 4).tolist() == [0, 2, 4, 6, 8]
    assert kernels._parts(np.zeros(2, np.int64), np.zeros(2, np.int64), 3).tolist()[-1] == 2


def test_scores_far_apart_and_large_are_exact() -> None:
    step = Step()
    assert np.abs(step.attend(scale=40.0) - step.formula(scale=40.0)).max() < 1e-3  # scores of some thousand


def test_a_broken_model_gives_nan_and_no_number() -> None:
    """And only in the heads that see what is broken."""
    for broken in (np.nan, np.inf):
        step = Step()
        step.query[1, :3, 5] = 1  # an infinite key is an infinite score, not one of minus infinity
        step.keys[1, 0, 2, 5] = broken
        output = step.attend()
        assert np.isnan(output[1, :3]).all(), broken
        assert np.isfinite(output[1, 3:]).all()
        assert np.isfinite(np.delete(output, 1, axis=0)).all()


def test_exponentials_are_exact_to_rounding() -> None:
    x = np.linspace(-87, 0, 100_001, dtype=np.float32)
    expected = np.exp(x.astype(np.float64))
    exponent = np.empty(len(x), np.int32)
    kernels._exp(x, exponent, exponent.view(np.float32))
    assert np.abs(x / expected - 1).max() < 2.5e-7  # two units in the last place


def test_a_token_is_put_where_its_row_ends() -> None:
    into, tokens = np.zeros((3, 2, 5, 4), np.float32), np.random.default_rng(0).random((2, 2, 4), dtype=np.float32)
    kernels.put(into, np.array([4, 1]), tokens)
    assert np.array_equal(into[0, :, 4], tokens[0])
    assert np.array_equal(into[1, :, 1], tokens[1])
    assert np.count_nonzero(into) == tokens.size
