"""What runs took that are in the store already: lengths of responses, speeds, bytes, memory.

Read once for a plan; from several stores at once, where a probe has a throw-away store of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_core.store import Generation, Store
from onoff_core.store.provenance import CostsProvenance, SamplesProvenance
from onoff_core.tables import TABLES, TRUNCATED


@dataclass(frozen=True)
class Lengths:
    """The lengths of a partition's responses, in tokens."""

    num_tokens: NDArray[np.int64]  # (responses,)
    problems: NDArray[np.int64]  # (responses,) a number for each problem
    cut_off: NDArray[np.bool_]  # (responses,) ended by max_length
    max_length: int | None  # they were drawn with; None: imported

    def mean(self, max_length: int) -> tuple[float, float]:
        """(low, high) of the mean length under another max_length: 95 % interval, responses clustered by problem.

        What is longer than it counts as it would be cut. Of what was cut off before it, the low end counts what is
        there, and the high end all that it may become.
        """
        least = np.minimum(self.num_tokens, max_length).astype(float)
        most = np.where(self.cut_off, float(max(max_length, self.max_length or 0)), least)
        most = np.minimum(most, max_length)
        return max(0.0, _clustered(least, self.problems, -1)), min(
            float(max_length), _clustered(most, self.problems, 1)
        )


def _clustered(values: NDArray[np.float64], problems: NDArray[np.int64], side: int) -> float:
    """An end of the 95 % interval of the mean: that of the problems' means."""
    counts = np.bincount(problems)
    means = np.bincount(problems, weights=values)[counts > 0] / counts[counts > 0]
    error = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else 0.0
    return float(values.mean() + side * 1.96 * error)


@dataclass(frozen=True)
class Measured:
    """What one generation took."""

    dataset: str
    model: str
    costs: CostsProvenance
    num_responses: int | None  # that it was made of, or that it holds; None: what it was made of is not there any more
    is_probe: bool
    generation: Generation

    @cached_property
    def num_tokens(self) -> int:
        """Of all its rows."""
        if self.generation.asset != "samples":
            return self.costs.num_rows  # a row a token, of those assets that are asked
        return sum(pc.sum(table["num_tokens"]).as_py() or 0 for table in self.generation.tables(["num_tokens"]))


@dataclass(frozen=True)
class Probe:
    """A few problems of a partition, made to be measured."""

    store: Store
    warm: Store  # with one response, that was made before


class Measurements:
    """Everything that was measured in the study's store, and in probes."""

    def __init__(self, store: Store, probes: Sequence[Probe] = ()) -> None:
        self._stores = [store, *(probe.store for probe in probes)]
        self._warm = [None, *(probe.warm for probe in probes)]
        self.of = cache(self._of)
        self.lengths = cache(self._lengths)
        self.sampled = cache(self._sampled)

    def _of(self, asset: str) -> tuple[Measured, ...]:
        """Of the current generations of an asset, those that were made here and not imported."""
        return tuple(
            Measured(
                made.partition[0],
                made.partition[1],
                costs,
                _num_responses(store, made),
                is_probe=number > 0,
                generation=made,
            )
            for number, store in enumerate(self._stores)
            for made in _current(store, asset)
            if (costs := _costs(made, self._warm[number])) is not None
        )

    def _sampled(self) -> tuple[tuple[str, str], ...]:
        """The partitions that have samples, imported ones too."""
        found = {
            (made.partition[0], made.partition[1]): None
            for store in self._stores
            for made in _current(store, "samples")
        }
        return tuple(found)

    def _lengths(self, dataset: str, model: str) -> Lengths | None:
        """None: there are no samples of the partition."""
        for store in self._stores:
            samples = store.current("samples", (dataset, model))
            if samples is not None and samples.manifest().num_rows:
                return _read_lengths(samples)
        return None


def _costs(made: Generation, warm: Store | None) -> CostsProvenance | None:
    """What it took; of grading in a probe, without what the first response takes, which is to start processes: that
    comes once, however many responses follow.
    """
    costs = CostsProvenance.of(made.manifest())
    before = None if warm is None or made.asset != "rewards" else warm.current(made.asset, made.partition)
    first = None if before is None else CostsProvenance.of(before.manifest())
    if costs is None or first is None or costs.work_seconds is None or first.work_seconds is None:
        return costs
    start = min(costs.work_seconds, first.work_seconds)
    other = start + (costs.other_seconds or 0.0)
    return replace(costs, work_seconds=costs.work_seconds - start, other_seconds=other)


def _current(store: Store, asset: str) -> Iterator[Generation]:
    for partition in store.partitions(asset):
        generation = store.current(asset, partition)
        if generation is not None:
            yield generation


def _num_responses(store: Store, made: Generation) -> int | None:
    if made.asset == "samples":
        return made.manifest().num_rows
    followed = TABLES[made.asset].made_from
    source = "samples" if "samples" in followed else followed[0]
    fingerprint = made.manifest().inputs.get(source)
    if fingerprint is None:
        return None
    generation = store.generation(source, made.partition[:2], fingerprint)
    return generation.manifest().num_rows if generation.is_complete else None


def _read_lengths(samples: Generation) -> Lengths:
    ids: list[str] = []
    lengths: list[int] = []
    reasons: list[str] = []
    for table in samples.tables(["problem_id", "num_tokens", "finish_reason"]):
        ids += table["problem_id"].to_pylist()
        lengths += table["num_tokens"].to_pylist()
        reasons += table["finish_reason"].to_pylist()
    drawn = SamplesProvenance.of(samples.manifest()).sampling
    return Lengths(
        np.array(lengths, dtype=np.int64),
        np.unique(np.array(ids), return_inverse=True)[1].astype(np.int64),
        np.isin(np.array(reasons, dtype=str), TRUNCATED),
        None if drawn is None else drawn.max_length,
    )
