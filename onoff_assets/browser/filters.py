"""Choose the responses to walk through: by status, ending, length, entropy, text; or a random wrong one."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class Filter:
    """What a response has to match; a field that is empty or None matches all."""

    statuses: tuple[str, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    min_tokens: int | None = None
    max_tokens: int | None = None
    min_entropy: float | None = None  # nats, the response's mean
    max_entropy: float | None = None
    text: str = ""

    @property
    def is_empty(self) -> bool:
        return self == Filter()


def matching(
    table: pa.Table,
    wanted: Filter,
    mean_entropy: Callable[[], NDArray[np.float64]],
    holds_text: Callable[[str], NDArray[np.bool_]],
) -> list[int]:
    """Row numbers of the matching responses, in order. The two functions read files: they are called only if needed."""
    keep = np.ones(table.num_rows, dtype=bool)
    for name, values in (("status", wanted.statuses), ("finish_reason", wanted.finish_reasons)):
        if values:
            keep &= _true(pc.is_in(table[name], pa.array(values, pa.string())))
    lengths = table["num_tokens"].to_numpy()
    if wanted.min_tokens is not None:
        keep &= lengths >= wanted.min_tokens
    if wanted.max_tokens is not None:
        keep &= lengths <= wanted.max_tokens
    if wanted.min_entropy is not None:
        keep &= mean_entropy() >= wanted.min_entropy
    if wanted.max_entropy is not None:
        keep &= mean_entropy() <= wanted.max_entropy
    if wanted.text:
        keep &= holds_text(wanted.text)
    return [int(row) for row in np.flatnonzero(keep)]


def _true(mask: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)


def neighbours(rows: Sequence[int], row: int) -> tuple[int | None, int | None]:
    """The matching rows before and after this one, which need not match itself."""
    before = [other for other in rows if other < row]
    after = [other for other in rows if other > row]
    return (before[-1] if before else None), (after[0] if after else None)


def random_wrong(table: pa.Table, rows: Sequence[int], row: int, chance: random.Random) -> int | None:
    """A random one of the matching responses with reward 0; this one only if there is no other."""
    rewards = table["reward"].to_pylist()
    wrong = [other for other in rows if rewards[other] == 0]
    others = [other for other in wrong if other != row]
    return chance.choice(others or wrong) if wrong else None
