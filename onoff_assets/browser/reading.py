"""Read the store for the pages, no more than each page shows.

A `Reader` looks up the current generation at every call, so a new generation is seen at once; the values that it keeps
are keyed by the generations' fingerprints and bounded by bytes. A response's text and token ids come from its row of
`samples`, its overlay from the plain columns of its row group of `token_distributions`, and the lists of alternatives
from that row group at the first click. Where they hold the whole vocabulary, each click reads one token's row group.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from onoff_assets.browser.bars import Distribution
from onoff_assets.browser.cache import BoundedCache
from onoff_assets.browser.pieces import Piece, label_of, response_pieces
from onoff_core.commands import materialize_command
from onoff_core.errors import MissingInputError, StoreError
from onoff_core.store import Generation, Manifest, Store
from onoff_core.store.provenance import ScoresProvenance
from onoff_core.tables import SCHEMAS

Value = TypeVar("Value")
Key = tuple[str, str]  # (dataset, model)

_OVERLAY = ("position", "token_id", "logprob", "rank", "entropy", "tail_mass")
_VERDICT = (
    ("extracted_answer", pa.string()),
    ("reward", pa.int8()),
    ("status", pa.string()),
    ("answer_class", pa.int32()),
)
_TEXTS = ("problem_id", "sample_index", "prompt", "prompt_token_ids", "response", "token_ids")
_CACHE = BoundedCache(512 * 1024 * 1024)


@dataclass(frozen=True)
class Vocabulary:
    """What a model's token ids stand for."""

    pieces: pa.Array  # binary
    special: pa.Array  # bool

    def __len__(self) -> int:
        return len(self.pieces)

    def bytes_of(self, token_id: int) -> bytes:
        return bytes(self.pieces[token_id].as_py()) if 0 <= token_id < len(self) else b""

    def is_special(self, token_id: int) -> bool:
        return not 0 <= token_id < len(self) or bool(self.special[token_id].as_py())

    def text_of(self, token_ids: list[int]) -> str:
        """Tokens in a row as one text, special ones by name."""
        return b"".join(self.bytes_of(i) for i in token_ids).decode(errors="replace")

    def label(self, token_id: int) -> str:
        return label_of(self.bytes_of(token_id), self.is_special(token_id), token_id)

    def pieces_of(self, token_ids: list[int]) -> list[Piece]:
        return response_pieces(
            token_ids, [self.bytes_of(i) for i in token_ids], [self.is_special(i) for i in token_ids]
        )


@dataclass(frozen=True)
class Sample:
    """One response with its problem and its verdict; a value that is not there yet is None."""

    problem_id: str
    sample_index: int
    question: str | None
    answer: str | None
    solution: str | None
    prompt: str
    prompt_token_ids: list[int]
    response: str
    token_ids: list[int]
    token_logprobs: list[float]
    finish_reason: str
    extracted_answer: str | None
    reward: int | None
    status: str | None
    answer_class: int | None  # equal answers share a number
    answer_start: int | None = None  # position of the first token after the thinking
    forced_positions: tuple[int, ...] = ()  # of tokens that were put in, not drawn


@dataclass(frozen=True)
class Overlay:
    """The numbers that colour each token; `entropy` and `rank` are None where only the samples are there."""

    logprob: list[float]
    entropy: list[float] | None
    rank: list[int] | None


class Responses:
    """All responses of a partition: a table of problem_id, sample_index, num_tokens, finish_reason, fragment, and
    reward, status, extracted_answer, answer_class (null where not graded yet).

    Of a partition that is being sampled these are the responses that are there so far; then it has no manifest.
    """

    def __init__(
        self, table: pa.Table, samples: Generation, rewards: Generation | None, manifest: Manifest | None
    ) -> None:
        self.table, self.samples, self.rewards = table, samples, rewards
        self.manifest = manifest

    @property
    def is_partial(self) -> bool:
        return self.manifest is None

    @cached_property
    def problem_ids(self) -> list[str]:
        """In the order of the data set."""
        return [str(value) for value in pc.unique(self.table["problem_id"]).to_pylist()]

    def of_problem(self, problem_id: str) -> pa.Table:
        """By sample index, whichever fragments they are in."""
        return self.table.filter(pc.equal(self.table["problem_id"], problem_id)).sort_by("sample_index")

    def fragment_of(self, problem_id: str, sample_index: int) -> int:
        rows = self.of_problem(problem_id)
        fragments = rows.filter(pc.equal(rows["sample_index"], sample_index))["fragment"]
        if not len(fragments):
            raise StoreError(f"{self.samples.folder} has no sample {sample_index} of problem {problem_id}")
        return int(fragments[0].as_py())


class Reader:
    """A store as the pages see it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def partitions(self) -> list[Key]:
        """(dataset, model) of every partition with results, by name."""
        keys = {key for asset in ("samples", "rewards", "statistics") for key in self.store.partitions(asset)}
        return sorted((key[0], key[1]) for key in keys)

    def vocabulary(self, model: str) -> Vocabulary | None:
        generation = self.store.current("vocabulary", (model,))
        if generation is None:
            return None

        def read() -> Vocabulary:
            table = generation.read().sort_by("token_id").combine_chunks()
            return Vocabulary(table["piece"].chunk(0), table["special"].chunk(0))

        return self.kept(("vocabulary", generation.folder), read, lambda v: v.pieces.nbytes + v.special.nbytes)

    def responses(self, key: Key, partial: bool = False) -> Responses:
        """The partition's responses; raises `MissingInputError`, which says what to run, where there are none.

        `partial`: where none are complete, those of the generation that is being made, as far as it got.
        """
        begun = self.begun_samples(key) if partial and self.store.current("samples", key) is None else None
        if begun is not None:
            fragments = tuple(sorted(begun.fragment_indices()))
            return self.kept(
                ("responses", begun.folder, fragments), lambda: _responses(begun, None, None), lambda r: r.table.nbytes
            )
        samples = self.store.require("samples", key)
        rewards = self._made_from(self.store.current("rewards", key), "samples", samples)
        cache_key = ("responses", samples.folder, rewards.folder if rewards else None)
        return self.kept(cache_key, lambda: _responses(samples, rewards, samples.manifest()), lambda r: r.table.nbytes)

    def begun_samples(self, key: Key) -> Generation | None:
        """The unfinished samples of a partition, of several those with the most parts; None where there are none."""
        begun = [one for one in self.store.generations("samples", key) if one.is_begun and not one.is_complete]
        found = max(begun, key=lambda one: len(one.fragment_indices()), default=None)
        return found if found is not None and found.fragment_indices() else None

    def samples_of_problem(self, responses: Responses, problem_id: str) -> list[Sample]:
        """All samples of one problem, in order."""
        rows = responses.of_problem(problem_id)
        problem = self._problem(responses.samples, problem_id)
        texts: dict[int, dict[str, Any]] = {}
        for fragment in pc.unique(rows["fragment"]).to_pylist():
            for row in responses.samples.read_rows(fragment, {"problem_id": problem_id}).to_pylist():
                texts[row["sample_index"]] = row
        verdicts = rows.to_pylist()
        return [_sample(problem, texts[verdict["sample_index"]], verdict) for verdict in verdicts]

    def sample(self, responses: Responses, problem_id: str, sample_index: int) -> Sample:
        """One response: reads its row, and the problem's."""
        where: dict[str, str | int] = {"problem_id": problem_id, "sample_index": sample_index}
        fragment = responses.fragment_of(problem_id, sample_index)
        cache_key = ("sample", responses.samples.folder, problem_id, sample_index)
        text = self.kept(
            cache_key, lambda: responses.samples.read_rows(fragment, where).to_pylist()[0], lambda row: _size(row)
        )
        rows = responses.of_problem(problem_id)
        verdict = rows.filter(pc.equal(rows["sample_index"], sample_index)).to_pylist()[0]
        return _sample(self._problem(responses.samples, problem_id), text, verdict)

    def distributions(self, responses: Responses) -> Generation:
        """The token distributions of these very samples; else a `MissingInputError` that says what to run."""
        key = responses.samples.partition
        if not responses.samples.is_complete and self.store.is_written("samples", key):
            raise MissingInputError(
                f"token_distributions of {'|'.join(key)} can be made when all its samples are there; a run is drawing "
                "them now"
            )
        found = self.store.require("token_distributions", key)
        made = self._made_from(found, "samples", responses.samples)
        if made is None:
            raise MissingInputError(
                f"token_distributions of {'|'.join(key)} are of an older generation of samples; run: "
                + materialize_command(["token_distributions"], "|".join(key))
            )
        return made

    def confidence(self, distributions: Generation) -> Generation | None:
        """The confidences that were made of these very token distributions; None where there are none."""
        made = self.store.current("confidence", distributions.partition)
        return self._made_from(made, "token_distributions", distributions)

    def following(self, asset: str, responses: Responses) -> Generation | None:
        """The current generation of an asset that was made from these very samples; None where there is none."""
        return self._made_from(self.store.current(asset, responses.samples.partition), "samples", responses.samples)

    def overlay(self, distributions: Generation, responses: Responses, sample: Sample) -> Overlay:
        """The plain columns of the response's row group: no lists are read."""
        table = self._rows(distributions, responses, sample, _OVERLAY)
        columns = {name: table[name].to_pylist() for name in ("logprob", "entropy", "rank")}
        return Overlay(columns["logprob"], columns["entropy"], columns["rank"])

    def distribution(
        self, distributions: Generation, responses: Responses, sample: Sample, position: int
    ) -> Distribution:
        """What is stored of one token."""
        names = (*_OVERLAY, "topk_ids", "topk_logprobs")
        if ScoresProvenance.of(distributions.manifest()).top_k is None:  # all of a response's rows may be gigabytes
            rows = self._row(distributions, responses, sample, position, names)
        else:
            rows = self._rows(distributions, responses, sample, names).slice(position, 1)
        row = rows.to_pylist()[0]
        ids, logprobs = row.pop("topk_ids"), row.pop("topk_logprobs")
        if ids is None:  # the whole vocabulary in order of id
            order = sorted(range(len(logprobs)), key=lambda i: -logprobs[i])
            ids, logprobs = order, [logprobs[i] for i in order]
        return Distribution(**row, topk_ids=ids, topk_logprobs=logprobs)

    def most_probable(
        self, distributions: Generation, responses: Responses, sample: Sample, begin: int, end: int, shown: int
    ) -> list[tuple[list[int], list[float], int]]:
        """(ids, log-probabilities, the drawn token's id) of the most probable tokens at each position of a range."""
        if ScoresProvenance.of(distributions.manifest()).top_k is None:
            found = [self.distribution(distributions, responses, sample, at) for at in range(begin, end)]
            return [(list(one.topk_ids[:shown]), list(one.topk_logprobs[:shown]), one.token_id) for one in found]
        names = (*_OVERLAY, "topk_ids", "topk_logprobs")
        rows = self._rows(distributions, responses, sample, names).slice(begin, end - begin)
        ids, logprobs = (pc.list_slice(rows[name], 0, shown).to_pylist() for name in names[-2:])
        return list(zip(ids, logprobs, rows["token_id"].to_pylist(), strict=True))

    def stored_temperature(self, distributions: Generation) -> float:
        return ScoresProvenance.of(distributions.manifest()).temperature

    def _row(
        self,
        distributions: Generation,
        responses: Responses,
        sample: Sample,
        position: int,
        columns: tuple[str, ...],
    ) -> pa.Table:
        """One token's row, read alone, after the check that there are as many rows as tokens."""
        self._rows(distributions, responses, sample, _OVERLAY)
        fragment = responses.fragment_of(sample.problem_id, sample.sample_index)
        where: dict[str, str | int] = {
            "problem_id": sample.problem_id,
            "sample_index": sample.sample_index,
            "position": position,
        }
        cache_key = ("row", distributions.folder, *where.values())
        return self.kept(
            cache_key, lambda: distributions.read_rows(fragment, where, columns), lambda table: table.nbytes
        )

    def _rows(
        self, distributions: Generation, responses: Responses, sample: Sample, columns: tuple[str, ...]
    ) -> pa.Table:
        fragment = responses.fragment_of(sample.problem_id, sample.sample_index)
        where: dict[str, str | int] = {"problem_id": sample.problem_id, "sample_index": sample.sample_index}
        cache_key = ("rows", distributions.folder, sample.problem_id, sample.sample_index, columns)
        table = self.kept(
            cache_key, lambda: distributions.read_rows(fragment, where, columns), lambda table: table.nbytes
        )
        if table.num_rows != len(sample.token_ids):
            raise StoreError(
                f"{distributions.folder}, problem {sample.problem_id}, sample {sample.sample_index}: "
                f"{table.num_rows} tokens for {len(sample.token_ids)} sampled; materialize token_distributions again"
            )
        return table

    def problems(self, samples: Generation) -> pa.Table:
        """The problems that samples were drawn for; empty where the store does not have them."""
        generation = self.problems_of(samples)
        if generation is None:
            return SCHEMAS["problems"].empty_table()
        return self.kept(("problems", generation.folder), generation.read, lambda table: table.nbytes)

    def _problem(self, samples: Generation, problem_id: str) -> dict[str, Any]:
        table = self.problems(samples)
        rows: list[dict[str, Any]] = table.filter(pc.equal(table["problem_id"], problem_id)).to_pylist()
        return rows[0] if rows else {}

    def problems_of(self, samples: Generation) -> Generation | None:
        """The problems that samples were drawn for; of unfinished samples, those that are current."""
        dataset = samples.partition[:1]
        if not samples.is_complete:
            return self.store.current("problems", dataset)
        return self.store.generation("problems", dataset, samples.manifest().inputs["problems"])

    def kept(self, key: tuple[object, ...], make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """The value kept for this key, or made now; the key names a generation, so the value never goes stale."""
        return _CACHE.get((str(self.store.root), *key), make, size)

    @staticmethod
    def _made_from(generation: Generation | None, asset: str, source: Generation) -> Generation | None:
        """The generation if it was made from this very source, else None."""
        if generation is None or generation.manifest().inputs.get(asset) != source.fingerprint:
            return None
        return generation


def _responses(samples: Generation, rewards: Generation | None, manifest: Manifest | None) -> Responses:
    tables = []
    for fragment in sorted(samples.fragment_indices()):
        table = samples.read_fragment(fragment, ["problem_id", "sample_index", "num_tokens", "finish_reason"])
        tables.append(table.append_column("fragment", pa.array([fragment] * table.num_rows, pa.int32())))
    table = pa.concat_tables(tables)
    if rewards is None:
        for name, kind in _VERDICT:
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
        return Responses(table, samples, None, manifest)
    keys, names = ["problem_id", "sample_index"], [name for name, _ in _VERDICT]
    verdicts = pa.concat_tables([_verdicts(rewards.read_fragment(i)) for i in sorted(rewards.fragment_indices())])
    if table.select(keys).combine_chunks() == verdicts.select(keys).combine_chunks():  # in the same order: no join
        for name in names:
            table = table.append_column(name, verdicts[name])
    else:
        table = table.append_column("_order", pa.array(range(table.num_rows)))
        table = table.join(verdicts, keys, join_type="left outer").sort_by("_order").drop_columns("_order")
    return Responses(table.combine_chunks(), samples, rewards, manifest)


def _verdicts(table: pa.Table) -> pa.Table:
    """The columns shown; null where an older onoff did not write one."""
    for name, kind in _VERDICT:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    return table.select(["problem_id", "sample_index", *(name for name, _ in _VERDICT)])


def _sample(problem: dict[str, Any], text: dict[str, Any], verdict: dict[str, Any]) -> Sample:
    return Sample(
        question=problem.get("question"),
        answer=problem.get("answer"),
        solution=problem.get("solution"),
        **{name: text[name] for name in _TEXTS},
        token_logprobs=text["token_logprobs"],
        finish_reason=text["finish_reason"],
        extracted_answer=verdict["extracted_answer"],
        reward=verdict["reward"],
        status=verdict["status"],
        answer_class=verdict["answer_class"],
        answer_start=text.get("answer_start"),  # the files of an older onoff do not have the column
        forced_positions=tuple(text.get("forced_positions") or ()),
    )


def _size(row: dict[str, Any]) -> int:
    """Roughly what a row of Python values takes: 36 bytes a number in a list."""
    return 36 * (len(row["token_ids"]) + len(row["token_logprobs"]) + len(row["prompt_token_ids"])) + 4 * len(
        row["response"]
    )
