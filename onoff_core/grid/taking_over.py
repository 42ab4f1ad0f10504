"""Which former generation of a partition's samples has responses that the settings as they are now would draw again.

A response depends on the model, the prompt, the seed, the problem's id and the sample's index, and on how tokens are
drawn. How many others there are decides nothing, `max_length` only where it ends, and `thinking_budget` only what comes
after so many tokens of thinking. So a generation that was made under settings that differ in nothing but these holds
the very rows, or how they begin. Its settings are those in its manifest; that they and today's code made it is seen by
its fingerprint, which they give again.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import pyarrow as pa

from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import StoreError
from onoff_core.grid import fingerprints
from onoff_core.grid.recorded import as_recorded
from onoff_core.problems import Problem
from onoff_core.sampling import Begun, ResponseKey, ThinkingPlan
from onoff_core.store import Generation, Manifest, Store
from onoff_core.store.parquet import conform
from onoff_core.store.provenance import SamplesProvenance, hashed_settings, is_imported
from onoff_core.study import Partition, SamplingSettings
from onoff_core.tables import SCHEMAS, TRUNCATED

logger = logging.getLogger(__name__)

# Settings of `sampling` that decide which responses there are and where they end, and nothing else of them.
HOW_MANY = ("num_samples", "until", "max_length", "thinking_budget")
# Promises of a server without which a response may depend on more than its seed.
_NEEDED_PROMISES = frozenset({"seeds_repeat", "seeds_differ"})
_KEY = ["problem_id", "sample_index"]
_OF_TOKENS = ["prompt", "num_tokens", "finish_reason"]
_OF_TOKENS += ["prompt_token_ids", "token_ids", "token_logprobs", "forced_positions"]
_SCHEMA = SCHEMAS["samples"]


@dataclass(frozen=True)
class Source:
    """A former generation, which may have been removed meanwhile, and which of its responses are meant."""

    generation: Generation
    seed: int  # that was used, even where the settings have none
    num_samples: int  # of each problem
    max_length: int
    problem_ids: frozenset[str]  # of problems that are asked now with the same question
    why: str  # what is otherwise now, in words
    closing: Mapping[str, Any] | None = None  # how it closed thinking, as `closing_of` has it

    @cached_property
    def fragments(self) -> dict[ResponseKey, int]:
        """Where each response is. A damaged fragment has none."""
        found: dict[ResponseKey, int] = {}
        for index in sorted(self.generation.fragment_indices()):
            keys = keys_of(self._read(index, _KEY))
            found |= dict.fromkeys((key for key in keys if key[0] in self.problem_ids), index)
        return found

    def rows(self, keys: Sequence[ResponseKey]) -> pa.Table:
        """The rows of these responses, in this order, as far as they are there."""
        indices = sorted({self.fragments[key] for key in keys if key in self.fragments})
        parts = [conform(self._read(index, None), _SCHEMA, self.generation.folder) for index in indices]
        table = pa.concat_tables(parts or [_SCHEMA.empty_table()])
        places = {key: place for place, key in enumerate(keys_of(table))}
        return table.take(pa.array([places[key] for key in keys if key in places], pa.int64()))

    def _read(self, index: int, columns: list[str] | None) -> pa.Table:
        """A fragment; an empty one where it is damaged, or was removed meanwhile: those responses are drawn again."""
        try:
            return self.generation.read_fragment(index, columns)
        except StoreError:
            return _SCHEMA.empty_table() if columns is None else _SCHEMA.empty_table().select(columns)

    def as_record(self, problems: Sequence[Problem]) -> dict[str, Any]:
        """What a generation that is begun keeps of it; the problems as ranges of their places."""
        places = [place for place, one in enumerate(problems) if one.problem_id in self.problem_ids]
        ranges: list[list[int]] = []
        for place in places:
            if ranges and ranges[-1][1] == place:
                ranges[-1][1] += 1
            else:
                ranges.append([place, place + 1])
        return {
            "generation": self.generation.fingerprint,
            "seed": self.seed,
            "num_samples": self.num_samples,
            "max_length": self.max_length,
            "problems": ranges,
            "why": self.why,
            "closing": self.closing,
        }

    @staticmethod
    def of_record(store: Store, made: Generation, record: Mapping[str, Any], problems: Sequence[Problem]) -> "Source":
        known = (problems[place].problem_id for begin, end in record["problems"] for place in range(begin, end))
        return Source(
            store.generation(made.asset, made.partition, record["generation"]),
            record["seed"],
            record["num_samples"],
            record["max_length"],
            frozenset(known),
            record["why"],
            record.get("closing"),  # a generation that was begun by an earlier release has none
        )


def keys_of(table: pa.Table) -> list[ResponseKey]:
    return list(zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True))


@dataclass(frozen=True)
class Parts:
    """The responses of a source by what is done with them."""

    whole: pa.Table  # they have ended; those longer than max_length is now are still to be cut
    begun: Mapping[ResponseKey, Begun]  # they ended at a smaller max_length, and would go on


Row = Mapping[str, Any]  # of `samples`


def closing_of(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """What decides where thinking is closed that the model does not close itself; None: nothing closes it."""
    budget = settings["sampling"].get("thinking_budget")
    return None if budget is None else {"thinking_budget": budget, "thinking": settings["task"].get("thinking")}


def cut_of(row: Row, plan: ThinkingPlan, vocabulary: Vocabulary) -> int | None:
    """How many of a row's first tokens are drawn by this plan too, where it is drawn under another budget than the row
    was; None: all of them.
    """
    forced = row["forced_positions"] or ()
    drawn = row["token_ids"][: forced[0]] if forced else row["token_ids"]
    cut = plan.cut_at(vocabulary, row["prompt"], drawn)
    return len(drawn) if cut is None and forced else cut


def parts_of(
    source: Source,
    keys: Sequence[ResponseKey],
    max_length: int,
    max_positions: int | None,
    cut: Callable[[Row], int | None] | None = None,
) -> Parts:
    """Which of the source's responses have ended. `max_positions`: what the model takes; a response that it has no room
    for has ended. `cut`: how many tokens of a row stay as they are (None: all); without it, all of every row.
    """
    rows = source.rows(keys)
    if source.max_length >= max_length and cut is None:
        return Parts(rows, {})
    begun: dict[ResponseKey, Begun] = {}
    whole: list[bool] = []
    for row in rows.select([*_KEY, *_OF_TOKENS]).to_pylist():
        count = _goes_on_after(row, source, max_length, max_positions, None if cut is None else cut(row))
        whole.append(count is None)
        if count is not None:
            begun[row["problem_id"], row["sample_index"]] = Begun(
                tuple(row["prompt_token_ids"]),
                tuple(row["token_ids"][:count]),
                tuple(row["token_logprobs"][:count]),
                tuple(position for position in row["forced_positions"] or () if position < count),
            )
    return Parts(rows.filter(pa.array(whole, pa.bool_())), begun)


def _goes_on_after(row: Row, source: Source, max_length: int, max_positions: int | None, cut: int | None) -> int | None:
    """The number of a row's tokens after which it goes on; None: it has ended."""
    count: int = row["num_tokens"]
    if cut is not None and cut < count:
        return cut if cut < max_length else None
    truncated = row["finish_reason"] in TRUNCATED and count == source.max_length < max_length
    has_room = max_positions is None or len(row["prompt_token_ids"]) + count < max_positions
    return count if truncated and has_room else None


def find_source(
    store: Store,
    generation: Generation,
    settings: Mapping[str, Any],
    problems: Sequence[Problem],
    version: str,
    sampling: SamplingSettings,
) -> Source | None:
    """The other generation of this partition that has most of what `generation` needs; None: none has anything.

    `settings`: what the generation is made under, as its manifest will have them; `version`: of its problems.
    """
    base, found = _base(settings), list[Source]()
    for former, manifest in others(store, generation):
        if not _is_drawn_alike(manifest, base):
            continue
        how, known = SamplesProvenance.of(manifest), _same_problems(store, manifest, problems)
        if known and how.num_samples is not None and how.sampling is not None and how.seed is not None:
            why = _why(manifest, settings, version, len(known))
            closing = closing_of(hashed_settings(manifest))
            found.append(Source(former, how.seed, how.num_samples, how.sampling.max_length, known, why, closing))

    def gives(source: Source) -> tuple[float, ...]:
        responses = len(source.problem_ids) * min(source.num_samples, sampling.most_samples)
        budget = math.inf if source.closing is None else source.closing["thinking_budget"]
        return responses, min(source.max_length, sampling.max_length), source.closing == closing_of(settings), budget

    return max(found, key=gives, default=None)


def others(store: Store, generation: Generation) -> Iterator[tuple[Generation, Manifest]]:
    """The partition's other generations that are complete, the newest first. One whose manifest cannot be read is left
    out: it is no input, and nothing is lost but what it could have saved.
    """
    there = {one.fingerprint: one for one in store.generations(generation.asset, generation.partition)}
    order = [name for name in store.order(generation.asset, generation.partition) if name in there]
    for name in [*order, *(name for name in there if name not in order)]:
        if name != generation.fingerprint and there[name].is_complete:
            try:
                yield there[name], there[name].manifest()
            except StoreError as error:
                logger.warning("nothing is taken over: %s", error)


def _base(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that decide how many responses there are, and how long they and their thoughts are."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    plain["sampling"] = {name: value for name, value in plain["sampling"].items() if name not in HOW_MANY}
    plain["task"].pop("thinking", None)  # there with a budget alone, which closes by it
    return {name: value for name, value in plain.items() if name != fingerprints.STOPPED_BY}


def _is_drawn_alike(manifest: Manifest, base: Mapping[str, Any]) -> bool:
    """Whether it was drawn by today's code under settings with this base, by an engine that keeps its word."""
    if is_imported(manifest) or _base(manifest.settings) != base:
        return False
    if _NEEDED_PROMISES.intersection(SamplesProvenance.of(manifest).not_promised):
        return False
    return fingerprints.recorded_samples_fingerprint(manifest) == manifest.fingerprint


def _same_problems(store: Store, manifest: Manifest, problems: Sequence[Problem]) -> frozenset[str]:
    """The ids of the problems that had the same question then; their answers may have been others."""
    former = store.generation("problems", manifest.partition[:1], manifest.inputs["problems"])
    if not former.is_complete:
        return frozenset()
    table = former.read()
    questions = dict(zip(table["problem_id"].to_pylist(), table["question"].to_pylist(), strict=True))
    return frozenset(one.problem_id for one in problems if questions.get(one.problem_id) == one.question)


def _why(manifest: Manifest, settings: Mapping[str, Any], version: str, known: int) -> str:
    former: Mapping[str, Any] = hashed_settings(manifest)["sampling"]
    present: Mapping[str, Any] = settings["sampling"]
    changed = [
        f"sampling.{name} is {_said(present.get(name))}, was {_said(former.get(name))}"
        for name in HOW_MANY
        if present.get(name) != former.get(name)
    ]
    if manifest.inputs["problems"] != version:
        changed.append(f"{known} of the questions are as they were")
    return "; ".join(changed) or "the answers are graded otherwise, which decides when sampling.until stops"


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    return ", ".join(f"{name} {of}" for name, of in value.items()) if isinstance(value, dict) else str(value)


@dataclass(frozen=True)
class Expected:
    """What a run would take over, before it is made."""

    source: Source
    taken: int  # responses that are there, those that go on included
    asked: int  # of `sampling.until` the most there may be

    @property
    def sentence(self) -> str:
        return (
            f"{self.asked - self.taken} of {self.asked} responses to draw, {self.taken} taken over from "
            f"{self.source.generation.fingerprint} ({self.source.why})"
        )


def expected(partition: Partition, store: Store, version: str) -> Expected | None:
    """None: nothing would be taken over, or the problems of this version are not in the store yet."""
    kept = store.generation("problems", (partition.dataset,), version)
    if not kept.is_complete:
        return None
    names = [one.name for one in fields(Problem)]
    problems = [Problem(**{name: row[name] for name in names}) for row in kept.read().to_pylist()]
    partition = as_recorded(partition, store)
    made = store.generation("samples", partition.names, fingerprints.samples_fingerprint(partition, version))
    settings = fingerprints.sampling_settings(partition)
    source = find_source(store, made, settings, problems, version, partition.sampling)
    if source is None:
        return None
    most = partition.sampling.most_samples
    return Expected(source, len(source.problem_ids) * min(most, source.num_samples), len(problems) * most)
