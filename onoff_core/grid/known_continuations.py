"""The continuations that earlier generations of a partition drew from the same samples, by what decides them.

A continuation is decided by its samples, its seed and its key, and by no setting of `branches`. So a generation under
other settings, complete or not, holds the very rows that this one would draw.
"""

import logging
from collections.abc import Iterator, Mapping

import pyarrow as pa

from onoff_core.branches.drawing import Continuation, ContinuationKey
from onoff_core.errors import StoreError
from onoff_core.grid.branch_inputs import BranchInputs
from onoff_core.store import Generation, Store

logger = logging.getLogger(__name__)

_KEY = ("problem_id", "sample_index", "position", "token_id", "continuation_index")


class KnownContinuations(Mapping[ContinuationKey, Continuation]):
    """By key; rows become objects when they are asked for."""

    def __init__(self, tables: list[pa.Table]) -> None:
        self._tables = tables
        self._rows: dict[ContinuationKey, tuple[int, int]] = {}
        for number, table in enumerate(tables):
            columns = (table[name].to_pylist() for name in _KEY)
            for row, (problem_id, sample, position, token, index) in enumerate(zip(*columns, strict=True)):
                self._rows.setdefault(((problem_id, sample, position, token), index), (number, row))

    @staticmethod
    def none() -> "KnownContinuations":
        return KnownContinuations([])

    @staticmethod
    def of(store: Store, generation: Generation, inputs: BranchInputs) -> "KnownContinuations":
        """Of all other generations of the partition, the newest first."""
        others = [
            other
            for other in _newest_first(store, generation)
            if other.fingerprint != generation.fingerprint and _is_of(other, inputs)
        ]
        return KnownContinuations([table for other in others for table in _whole_tables(other)])

    def __getitem__(self, key: ContinuationKey) -> Continuation:
        number, row = self._rows[key]
        of = self._tables[number].slice(row, 1).to_pylist()[0]
        forced = of.get("forced_positions")  # older tables have no such column
        return Continuation(
            tuple(of["token_ids"]),
            tuple(of["token_logprobs"]),
            of["response"],
            of["finish_reason"],
            None if forced is None else tuple(forced),
        )

    def __iter__(self) -> Iterator[ContinuationKey]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows


def _newest_first(store: Store, generation: Generation) -> list[Generation]:
    there = {one.fingerprint: one for one in store.generations(generation.asset, generation.partition)}
    order = [name for name in store.order(generation.asset, generation.partition) if name in there]
    return [there.pop(name) for name in order] + list(there.values())


def _is_of(generation: Generation, inputs: BranchInputs) -> bool:
    """Whether it was begun with these samples and this seed."""
    if not generation.is_begun:
        return False
    begun = generation.begin({})
    return (begun.get("samples"), begun.get("seed")) == (inputs.samples.fingerprint, inputs.seed)


def _whole_tables(generation: Generation) -> list[pa.Table]:
    """Its fragments; a damaged one is drawn again rather than taken over."""
    found = []
    columns = [*_KEY, "token_ids", "token_logprobs", "response", "finish_reason", "forced_positions"]
    for index in sorted(generation.fragment_indices()):
        try:
            found.append(generation.read_fragment(index, columns))
        except StoreError as error:
            logger.warning("not taken over: %s", error)
    return found
