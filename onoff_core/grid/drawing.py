"""Draw the samples of one generation, fragment by fragment: what a former generation has is taken over, a response that
ended there at a smaller `max_length` goes on where the engine can, and the rest is drawn.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any

import pyarrow as pa

from onoff_core.backends import open_sampler, open_tokenizer
from onoff_core.backends.contract import Sampler, Tokenizer
from onoff_core.backends.identity import model_source
from onoff_core.grid.room import check_room, samples_bytes
from onoff_core.grid.run_record import RUN, RunRecord
from onoff_core.grid.taking_over import Parts, Source, closing_of, cut_of, find_source, keys_of, parts_of
from onoff_core.problems import Problem
from onoff_core.progress import Log, Progress
from onoff_core.sampling import (
    Begun,
    Chunk,
    Piece,
    Pieces,
    ResponseKey,
    ThinkingPlan,
    rewritten,
    sample_chunks,
    thinking_plan,
)
from onoff_core.store import Generation, Store
from onoff_core.store.life_signs import Signs
from onoff_core.store.provenance import SamplesProvenance, engine_facts
from onoff_core.study import Partition

_RECORD = "taken_over"  # in begun.json: the source, or null
RESPONSES = "responses"  # in begun.json: how many there will be; null: the verdicts decide it
# Facts that are not of the engine, and so of one generation alone.
_OF_A_RUN = {"seed", "seconds", "tokens_per_second", "generation_defaults", "until", "num_samples", _RECORD, RUN}
_OF_A_RUN |= {"rows_drawn", "rows_taken_over", "rows_continued"}
_OF_A_RUN |= {"thinking", "thinking_closing_ids", "examples_without_thinking"}


class Drawing(AbstractContextManager["Drawing"]):
    """One run over one generation. The sampler is opened when it is first needed, and closed at the end."""

    def __init__(
        self,
        partition: Partition,
        store: Store,
        generation: Generation,
        problems: Sequence[Problem],
        on_open: Callable[[Sampler], None],
        say: Log,
        log: Log | None,
    ) -> None:
        self.partition, self.store, self.generation, self.problems = partition, store, generation, problems
        self.say, self.log, self._on_open = say, log, on_open
        self.source: Source | None = None
        self.seed = 0
        self._closing: dict[str, Any] | None = None  # how thinking is closed now
        self.counts: Counter[str] = Counter()  # rows drawn, taken over and continued, of the generation's fragments
        self.indices: list[int] = []  # of its fragments
        self.tokens = 0  # that this run drew
        self.seconds = 0.0
        self._open = ExitStack()
        self.opened = False  # whether a model was loaded

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @cached_property
    def sampler(self) -> Sampler:
        partition = self.partition
        sampler = open_sampler(partition.model, partition.model_settings, partition.base_dir)
        self._open.enter_context(closing(sampler))
        self.opened = True
        self._on_open(sampler)
        return sampler

    @cached_property
    def _plan(self) -> ThinkingPlan:
        """How responses are looked at, and cut, for their thinking."""
        plan = thinking_plan(self._tokenizer, self.partition.task, self.partition.sampling)
        for warning in plan.warnings:
            self.say(f"{self.partition.key}: {warning}")
        return plan

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """Without the weights, where nothing is to be drawn."""
        partition = self.partition
        if self.opened:
            return self.sampler.tokenizer
        return open_tokenizer(partition.model, partition.model_settings, partition.base_dir)

    def begin(self, settings: Mapping[str, Any], version: str, again: bool) -> Pieces:
        """Begin the generation, or go on with it as it was begun, with its seed and its source. `again`: all of it is
        drawn. `settings`: as its manifest will have them; `version`: of its problems.
        """
        generation, sampling = self.generation, self.partition.sampling
        self._closing = closing_of(settings)
        seed = secrets.randbits(62) if sampling.seed is None else sampling.seed
        asked = {RESPONSES: None if sampling.until is not None else len(self.problems) * sampling.num_samples}
        if again:
            begun = generation.begin_anew({"seed": generation.begin({"seed": seed})["seed"], **asked, _RECORD: None})
        elif generation.is_begun and generation.fragment_indices():
            begun = generation.begin({})
        else:
            source = self._same_revision(
                find_source(self.store, generation, settings, self.problems, version, sampling)
            )
            if source is None:
                begun = generation.begin({"seed": seed, **asked, _RECORD: None})
            else:
                record = source.as_record(self.problems)
                begun = generation.begin_anew({"seed": source.seed, **asked, _RECORD: record})
        self.seed = begun["seed"]
        if begun.get(_RECORD) is None:
            return Pieces(self.problems)
        self.source = Source.of_record(self.store, generation, begun[_RECORD], self.problems)
        return Pieces(self.problems, self.source.problem_ids, self.source.num_samples)

    def _same_revision(self, source: Source | None) -> Source | None:
        """The source, unless what the hub has under the model's name is another commit by now."""
        drawn = None if source is None else SamplesProvenance.of(source.generation.manifest()).model_revision
        if source is None or drawn is None or drawn == (now := self.sampler.info.revision):
            return source
        self.say(f"nothing is taken over from {source.generation.fingerprint}: it is of the commit {drawn}, now {now}")
        return None

    def fill(self, pieces: Sequence[Piece]) -> None:
        """Write the fragments of these pieces that are missing."""
        there, missing = self.generation.fragment_indices(), list[Chunk]()
        for piece in pieces:
            if not self._is_whole(piece, there):
                parts = self._parts(piece)
                self._take(piece, parts, there)
                missing += self._missing(piece, {} if parts is None else parts.begun)
        begun = sum(bool(there.intersection(piece.indices)) for piece in pieces)
        if begun and missing:
            self.say(f"resuming: {begun} of {len(pieces)} chunks there")
        self._say_cost(pieces, missing)
        self._draw(missing)
        self._count(pieces)

    def _keys(self, index: int | None, there: set[int]) -> list[ResponseKey]:
        """The responses in a fragment that may be there."""
        if index is None or index not in there:
            return []
        return keys_of(self.generation.read_fragment(index, ["problem_id", "sample_index"]))

    def _is_whole(self, piece: Piece, there: set[int]) -> bool:
        if piece.taken is None:
            return piece.chunk.index in there
        return sum(len(self._keys(index, there)) for index in piece.indices) == len(piece.chunk.keys)

    def _parts(self, piece: Piece) -> Parts | None:
        """What the source has of a piece."""
        if piece.taken is None or self.source is None:
            return None
        longer = self.partition.sampling.max_length > self.source.max_length
        positions = self.sampler.info.max_positions if longer else None
        cut = self._cut if self._is_closed_otherwise and not self._ids_are_of_text else None
        return parts_of(self.source, piece.chunk.keys, self.partition.sampling.max_length, positions, cut)

    def _cut(self, row: Mapping[str, Any]) -> int | None:
        return cut_of(row, self._plan, self._tokenizer.vocabulary)

    @cached_property
    def _is_closed_otherwise(self) -> bool:
        """Whether the source's thinking was closed at another budget, or by other tags, than it is now."""
        return self.source is not None and self.source.closing != self._closing

    def _take(self, piece: Piece, parts: Parts | None, there: set[int]) -> None:
        """Write what has ended, unless it is there."""
        if piece.taken is None or parts is None or piece.taken in there:
            return
        most, table = self.partition.sampling.max_length, parts.whole
        if not table.num_rows:
            return
        elsewhere = {key for index in piece.indices for key in self._keys(index, there)}
        too_long = [count > most for count in table["num_tokens"].to_pylist()]
        if self._ids_are_of_text:
            elsewhere |= {key for key, long in zip(keys_of(table), too_long, strict=True) if long}
        elif any(too_long) or self._are_looked_at_otherwise or self._is_closed_otherwise:
            table = rewritten(self._tokenizer, self._plan, table, most)
        table = table.filter(pa.array([key not in elsewhere for key in keys_of(table)], pa.bool_()))
        if table.num_rows:
            self.generation.write_fragment(piece.taken, [table])

    @cached_property
    def _are_looked_at_otherwise(self) -> bool:
        """Whether the source's columns on thinking are of other tags, or of none, than the task names now."""
        source, thinking = self.source, self.partition.task.thinking
        if source is None or not source.generation.is_complete:
            return False
        drawn = SamplesProvenance.of(source.generation.manifest()).thinking
        return drawn != (None if thinking is None else self._plan.tags)

    @property
    def _ids_are_of_text(self) -> bool:
        """Whether the source's ids are its text tokenized, so that a part of them is no part of the text."""
        source = self.source
        return source is not None and SamplesProvenance.of(source.generation.manifest()).ids_from_text

    def _missing(self, piece: Piece, goes_on: Mapping[ResponseKey, Begun]) -> list[Chunk]:
        """What of a piece is to be gone on with, and what to be drawn. `goes_on`: what the source has begun."""
        there, chunk = self.generation.fragment_indices(), piece.chunk
        if piece.taken is None or piece.resumed is None:
            return [chunk]
        taken, resumed = set(self._keys(piece.taken, there)), set(self._keys(piece.resumed, there))
        left = {key for key in chunk.keys if key not in taken and key not in resumed}
        found = []
        if goes_on and not resumed and self.sampler.info.resumes:
            begun = {key: one for key, one in goes_on.items() if key in left}
            left -= begun.keys()
            found.append(_only(chunk, set(begun), index=piece.resumed, begun=begun))
        if left and left != set(self._keys(chunk.index, there)):
            if chunk.index in there:  # it has less than is needed now that what was taken over is damaged
                self.generation.set_aside(chunk.index)
            found.append(_only(chunk, left))
        return found

    def _say_cost(self, pieces: Sequence[Piece], missing: Sequence[Chunk]) -> None:
        sampling = self.partition.sampling
        responses = sum(len(chunk.keys) for chunk in missing)
        check_room(self.store, samples_bytes(responses, sampling), f"samples of {self.partition.key}")
        if self.source is None or all(piece.taken is None for piece in pieces):
            return
        there = self.generation.fragment_indices()
        taken = sum(len(self._keys(piece.taken, there)) for piece in pieces)
        resumed = sum(len(chunk.begun) for chunk in missing)
        self.say(
            f"samples of {self.partition.key}: {responses - resumed} of {sum(len(p.chunk.keys) for p in pieces)} "
            f"responses to draw, {resumed} to go on with, {taken} taken over from {self.source.generation.fingerprint} "
            f"({self.source.why})"
        )

    def _draw(self, missing: Sequence[Chunk]) -> None:
        if not missing:
            return
        partition, _ = self.partition, self._plan  # it says what it has to before anything is drawn
        total = sum(len(chunk.keys) for chunk in missing)
        most = total * partition.sampling.max_length
        progress = Progress("sampling", total, self.log, most_tokens=most, sign=Signs(self.generation))
        sampler = self.sampler  # loaded before the clock starts
        progress.begin_now()
        drawing = sample_chunks(sampler, missing, partition.task, partition.sampling, self.seed, progress.add_tokens)
        for chunk, table in drawing:
            self.generation.write_fragment(chunk.index, [table])
            progress.add(table.num_rows)
        self.tokens += progress.tokens
        self.seconds += progress.seconds

    def _count(self, pieces: Sequence[Piece]) -> None:
        """Count the rows of the pieces, which are whole now."""
        there = self.generation.fragment_indices()
        for piece in pieces:
            self.indices += [index for index in piece.indices if index in there]
            total, taken = len(piece.chunk.keys), len(self._keys(piece.taken, there))
            resumed = len(self._keys(piece.resumed, there))
            self.counts.update(rows_drawn=total - taken - resumed, rows_taken_over=taken, rows_continued=resumed)

    def facts(self, record: RunRecord, num_samples: int) -> dict[str, Any]:
        """Of the run, and where the rows came from."""
        partition, source = self.partition, self.source
        taken = self.counts["rows_taken_over"] + self.counts["rows_continued"]
        from_there = (
            {}
            if source is None or not taken
            else {_RECORD: {"generation": source.generation.fingerprint, "rows": taken, "why": source.why}}
        )
        most_rows = None
        if self.opened or source is None or not source.generation.is_complete or self.counts["rows_drawn"]:
            info = self.sampler.info
            most_rows = info.most_rows
            engine = {
                "model_revision": info.revision,
                "device": info.device,
                "torch_dtype": info.dtype,
                **info.facts,
            }
        else:  # no model was loaded: what is there is all the source's
            engine = engine_facts(source.generation.manifest(), {*_OF_A_RUN, *self.store.facts})
        size = partition.sampling.batch_size
        return {
            "seed": self.seed,
            "model_source": model_source(partition.model_settings, partition.base_dir),
            "seconds": self.seconds,
            "tokens_per_second": self.tokens / self.seconds if self.tokens and self.seconds else None,
            **engine,
            **self._plan.facts,
            "num_samples": num_samples,
            **{name: self.counts[name] for name in ("rows_drawn", "rows_taken_over", "rows_continued")},
            **from_there,
            **record.facts(tokens=self.tokens, batch_size=size if most_rows is None else min(size, most_rows)),
        }


def _only(chunk: Chunk, keys: set[ResponseKey], **changes: Any) -> Chunk:
    """The chunk with these of its responses alone."""
    return replace(chunk, elsewhere=frozenset(chunk.keys) - keys, **changes)
