"""Score every token of a partition's samples, fragment by fragment.

Where a former generation scored the same responses in the same way, its rows are taken over; with a larger top-k, cut.
"""

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa

from onoff_core.backends import open_scorer
from onoff_core.backends.contract import ModelInfo, Scorer
from onoff_core.distributions import extract_distributions
from onoff_core.distributions.cut import cut_top_k
from onoff_core.grid import fingerprints
from onoff_core.grid.former_rows import Former, find_former
from onoff_core.grid.room import check_room, distributions_bytes
from onoff_core.grid.run_record import RunRecord
from onoff_core.grid.taking_over import keys_of
from onoff_core.progress import Log, Progress
from onoff_core.sampling import ResponseKey
from onoff_core.store import Generation, Manifest, Store
from onoff_core.store.life_signs import Signs
from onoff_core.store.parquet import RowGroups, conform
from onoff_core.store.provenance import ScoresProvenance
from onoff_core.study import Partition
from onoff_core.tables import SCHEMAS

T = TypeVar("T")


def fill_distributions(
    partition: Partition,
    store: Store,
    samples: Generation,
    generation: Generation,
    say: Log,
    log: Log | None,
    again: bool,
) -> dict[str, Any]:
    """Write the missing fragments; each is of the samples' fragment of the same number. Returns facts."""
    return _Work(partition, store, samples, generation, say, log, again).run()


def is_scored_alike(partition: Partition, manifest: Manifest) -> bool:
    """Whether today's code would give the samples of these token distributions the same fingerprint under the
    partition's settings, but for a top-k that is no smaller; then their rows are taken over.
    """
    wanted = fingerprints.distribution_settings(partition)
    there = ScoresProvenance.of(manifest).top_k
    if there != wanted["top_k"] and (there is None or wanted["top_k"] is None or there < wanted["top_k"]):
        return False  # of a whole vocabulary, whose values are rounded, it cannot be told which were the largest
    settings = {**wanted, "top_k": there}
    return manifest.fingerprint == fingerprints.distributions_fingerprint_of(settings, manifest.inputs["samples"])


class _Work:
    """One run over one generation."""

    def __init__(
        self,
        partition: Partition,
        store: Store,
        samples: Generation,
        generation: Generation,
        say: Log,
        log: Log | None,
        again: bool,
    ) -> None:
        self.partition, self.store, self.samples, self.generation = partition, store, samples, generation
        self.say, self.record = say, RunRecord(generation)
        self.former = (
            None if again else find_former(store, generation, samples, lambda m: is_scored_alike(partition, m))
        )
        self.progress = Progress("scoring", samples.manifest().num_rows, log, sign=Signs(generation))

    def run(self) -> dict[str, Any]:
        chunks = sorted(self.samples.fragment_indices())
        there = self.generation.fragment_indices()
        missing = [index for index in chunks if index not in there]
        if len(missing) < len(chunks):
            self.say(f"resuming: {len(chunks) - len(missing)} of {len(chunks)} chunks there")
        known = frozenset[ResponseKey]() if self.former is None else frozenset(self.former.fragments)
        self._check_room(missing)
        total = self.samples.manifest().num_rows
        if self.former is not None:
            self.say(
                f"token_distributions of {self.partition.key}: {total - len(known)} of {total} responses to score, "
                f"{len(known)} taken over from {self.former.generation.fingerprint}"
            )
        whole = [index for index in missing if self._unknown(index, known).num_rows == 0]
        for index in whole:
            self.generation.write_fragment(index, self._tables(index, iter(()), known))
        facts = self._score([index for index in missing if index not in whole], known)
        counts = {"rows_scored": total - len(known), "rows_taken_over": len(known)}  # responses
        return {**facts, **counts, **({} if self.former is None else {"taken_over": self.former.record})}

    def _check_room(self, missing: Collection[int]) -> None:
        store, partition = self.store, self.partition
        if store.max_bytes is None:
            return
        lengths = (self.samples.read_fragment(index, ["num_tokens"])["num_tokens"].to_pylist() for index in missing)
        vocabulary = store.require("vocabulary", (partition.model,)).manifest().num_rows
        needed = distributions_bytes(sum(map(sum, lengths)), partition.distribution.top_k, vocabulary)
        check_room(store, needed, f"token_distributions of {partition.key}")

    def _unknown(self, index: int, known: Collection[ResponseKey]) -> pa.Table:
        """The samples of a fragment that have to be scored."""
        table = self.samples.read_fragment(index)
        return table.filter(pa.array([key not in known for key in keys_of(table)], pa.bool_())) if known else table

    def _score(self, missing: Collection[int], known: Collection[ResponseKey]) -> dict[str, Any]:
        """Write these fragments. Returns facts of the engine and of the run."""
        if not missing and self.former is not None:  # no model is loaded
            how = ScoresProvenance.of(self.former.generation.manifest())
            return {"vocab_size": how.vocab_size, "device": how.device, **self._facts(None)}
        partition = self.partition
        with closing(open_scorer(partition.model, partition.model_settings, partition.base_dir)) as scorer:
            self.progress.begin_now()
            begun = ((index, self._begin(scorer, index, known)) for index in missing)
            for index, scored in _begun_ahead(begun):
                self.generation.write_fragment(index, self._tables(index, scored, known))
            return {"vocab_size": scorer.info.vocab_size, "device": scorer.info.device, **self._facts(scorer.info)}

    def _facts(self, info: ModelInfo | None) -> dict[str, Any]:
        progress, scored_at_once = self.progress, None if info is None else info.scored_at_once
        return {
            "seconds": progress.seconds,
            "tokens_per_second": progress.tokens_per_second,
            **self.record.facts(tokens=progress.tokens, scored_at_once=scored_at_once),
        }

    def _begin(self, scorer: Scorer, index: int, known: Collection[ResponseKey]) -> Iterator[pa.Table]:
        def scored(tokens: int) -> None:
            self.progress.add_tokens(tokens)
            self.progress.add()

        return extract_distributions(scorer, self._unknown(index, known), self.partition.distribution, scored)

    def _tables(self, index: int, scored: Iterator[pa.Table], known: Collection[ResponseKey]) -> Iterator[pa.Table]:
        """The tables of a fragment's responses in order, of those that are known and of those that are scored now."""
        if not known:
            yield from scored
            return
        rows = self.samples.read_fragment(index, ["problem_id", "sample_index", "num_tokens"])
        with _FormerTables(self.former, self.partition.distribution.top_k) as former:
            for key, count in zip(keys_of(rows), rows["num_tokens"].to_pylist(), strict=True):
                if key in known:
                    yield from former.of(key)
                    self.progress.add()
                    continue
                read = 0
                while read < count:
                    table = next(scored)
                    read += table.num_rows
                    yield table
            yield from scored  # there is none left; an error at the scorer's end is raised here


class _FormerTables(AbstractContextManager["_FormerTables"]):
    """The tables of former responses, as they are now; one fragment is open at a time."""

    def __init__(self, former: Former | None, top_k: int | None) -> None:
        assert former is not None, "there are known responses"
        self._former, self._top_k = former, top_k
        self._index: int | None = None
        self._groups: RowGroups | None = None
        self._open = ExitStack()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def of(self, key: ResponseKey) -> Iterator[pa.Table]:
        generation, index = self._former.generation, self._former.fragments[key]
        if index != self._index or self._groups is None:
            self._open.close()
            self._index, self._groups = index, self._open.enter_context(generation.row_groups(index))
        if key in self._groups:
            tables = self._groups.tables(key)
        else:  # of a file that was cut otherwise
            tables = iter([generation.read_rows(index, {"problem_id": key[0], "sample_index": key[1]})])
        for table in tables:
            table = conform(table, SCHEMAS["token_distributions"], generation.folder)
            yield table if self._top_k is None else cut_top_k(table, self._top_k)


def _begun_ahead(begun: Iterator[T], count: int = 2) -> Iterator[T]:
    """What there is, in order, so many begun before they are asked for: no replica waits for a fragment to end."""
    ahead: deque[T] = deque()
    for one in begun:
        ahead.append(one)
        if len(ahead) > count:
            yield ahead.popleft()
    yield from ahead
