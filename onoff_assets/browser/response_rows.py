"""The responses of one partition or of several as one table, with what is known of each: verdict, lengths, numbers.

The plain columns come from the samples, rewards and problems at once. The numbers over a response's tokens come from
`confidence` where that was made of these very token distributions; else they are computed from the tokens once, which
may take longer than a page waits.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from onoff_assets.browser.computing import Job, Say, job
from onoff_assets.browser.noted import NOTES, STAR
from onoff_assets.browser.queries import Column
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.searching import LONGEST_SECONDS, Found, Search, search_responses
from onoff_core.errors import MissingInputError
from onoff_core.store import Generation

MOST_ROWS = 200_000  # of all partitions together; more are left out, and it is said
# Of each response, over its tokens; null where the tokens were not scored, or there are none.
NUMBERS = ("mean_entropy", "maximum_entropy", "mean_log_prob")
CONFIDENCE = ("mean_confidence", "lowest_window_confidence")  # where `confidence` was made

COLUMNS = (
    STAR,
    Column("problem_id", "problem", "text", "sorted as the data set has them", width=6.2, in_given_order=True, need=1,
           line=1),
    Column("sample_index", "sample", "number", "which of the problem's responses", width=3.9, need=1, line=1),
    Column("of_dataset", "data set", "choice", "the data set", width=6, need=1, line=5),
    Column("of_model", "model", "choice", "the model", width=7, need=1, line=5),
    Column("question", "question", "text", "as the data set has it", width=7, need=2, line=4, grows=True),
    Column("status", "status", "choice", "what the reward rests on", words=True, width=6.4, need=1, line=1),
    Column("reward", "reward", "number", "1 is correct, 0 is wrong", width=4, need=2),
    Column("extracted_answer", "answer", "text", "as it was extracted", width=5.2, need=1, line=2),
    Column("answer", "gold", "text", "the gold answer, as the data set has it", width=5.2, need=1, line=2),
    Column("pass_rate", "pass rate", "number", "mean reward of the problem's responses", digits=2, width=5, need=1,
           line=2),
    Column("mean_confidence", "confidence", "number", "nats, mean over its tokens; larger is surer", digits=2,
           width=5.6, need=1, line=3),
    Column("mean_entropy", "entropy", "number", "nats, mean over its tokens", digits=3, width=4.9, short="entropy",
           need=1, line=3),
    Column("num_tokens", "tokens", "number", "length of the response", width=4.4, short="tokens", need=1, line=3),
    NOTES,
    Column("subject", "subject", "choice", "of the problem, where the data set says it", width=6.5),
    Column("level", "level", "choice", "of the problem, where the data set says it", width=4),
    Column("finish_reason", "ending", "choice", "why it ended: length is cut off at max_length", words=True, width=5,
           short="ending"),
    Column("maximum_entropy", "max entropy", "number", "nats, the largest of its tokens", digits=2, width=6),
    Column("mean_log_prob", "mean log-prob", "number", "nats, mean over the tokens drawn", digits=3, width=6.6),
    Column("lowest_window_confidence", "lowest window", "number", "nats, confidence of its least confident window",
           digits=2, width=6.8),
)  # fmt: skip
BY_NAME = {column.name: column for column in COLUMNS}
OF_WHOM = ("of_dataset", "of_model")  # of several partitions; shown and asked for only where they differ
_OF_PROBLEM = ("answer", "subject", "level")


@dataclass(frozen=True)
class ResponseRows:
    """The responses of `parts` one after the other; `table` has the plain columns of `COLUMNS` and `part`, the number
    of the partition."""

    parts: tuple[Responses, ...]
    table: pa.Table
    left_out: tuple[Key, ...]  # partitions that would make it too large
    missing: tuple[str, ...]  # why partitions have no responses to show

    @property
    def starts(self) -> list[int]:
        """The row at which each part begins."""
        return [0, *np.cumsum([len(part.table) for part in self.parts]).tolist()][:-1]

    @property
    def keys(self) -> list[Key]:
        """(data set, model) of each part."""
        return [(part.samples.partition[0], part.samples.partition[1]) for part in self.parts]

    def row_of(self, key: Key, problem_id: str, sample_index: int) -> int | None:
        """The number of a response's row; None where its partition was left out."""
        if key not in self.keys:
            return None
        is_it = pc.equal(self.table["part"], self.keys.index(key))
        for name, value in (("problem_id", problem_id), ("sample_index", sample_index)):
            is_it = pc.and_(is_it, pc.equal(self.table[name], value))
        rows = np.flatnonzero(is_it.to_numpy())
        return int(rows[0]) if len(rows) else None

    @property
    def identity(self) -> tuple[object, ...]:
        return tuple(_identity(part) for part in self.parts)


def made_of(rows: ResponseRows, wanted: Sequence[int] | NDArray[np.int64]) -> pa.Table:
    """Of these rows, the fingerprints of the samples and of the rewards that they are; null where not graded."""
    part = rows.table["part"].take(pa.array(wanted)).combine_chunks()
    made = {
        "samples": [one.samples.fingerprint for one in rows.parts],
        "rewards": [one.rewards.fingerprint if one.rewards else None for one in rows.parts],
    }
    return pa.table({name: pa.array(of, pa.string()).take(part) for name, of in made.items()})


def response_rows(reader: Reader, keys: Sequence[Key], first: Key | None = None) -> ResponseRows:
    """The responses of these partitions in their order; raises `MissingInputError` where the only one has none.

    `first`: the partition that is not left out where they are too many.
    """
    parts: list[Responses] = []
    left_out: list[Key] = []
    missing: list[str] = []
    total = 0
    for key in sorted(keys, key=lambda other: other != first):
        try:
            responses = reader.responses(key, partial=True)
        except MissingInputError as error:
            if len(keys) == 1:
                raise
            missing.append(str(error))
            continue
        if parts and total + responses.table.num_rows > MOST_ROWS:
            left_out.append(key)
            continue
        parts.append(responses)
        total += responses.table.num_rows
    places = {key: place for place, key in enumerate(keys)}
    parts.sort(key=lambda part: places[part.samples.partition[0], part.samples.partition[1]])
    identity = tuple(_identity(part) for part in parts)
    table = reader.kept(("response-rows", *identity), lambda: _table(reader, parts), lambda made: made.nbytes)
    return ResponseRows(tuple(parts), table, tuple(left_out), tuple(missing))


def _identity(responses: Responses) -> tuple[str, str | None, int]:
    graded = responses.rewards.folder if responses.rewards else None
    return responses.samples.folder, graded, responses.table.num_rows  # the number: it may be being made


def _table(reader: Reader, parts: Sequence[Responses]) -> pa.Table:
    tables = []
    for number, responses in enumerate(parts):
        table, size = responses.table.drop_columns(["fragment", "answer_class"]), responses.table.num_rows
        dataset, model = responses.samples.partition[:2]
        for name, value in (("of_dataset", dataset), ("of_model", model)):
            table = table.append_column(name, pa.repeat(pa.scalar(value), size))
        problems = reader.problems(responses.samples)
        place = pc.index_in(table["problem_id"], problems["problem_id"].combine_chunks())
        for name in _OF_PROBLEM:
            table = table.append_column(name, problems[name].take(place))
        questions = pa.DictionaryArray.from_arrays(place.combine_chunks(), problems["question"].combine_chunks())
        table = table.append_column("question", questions)  # each once, not once a response
        table = table.append_column("pass_rate", _pass_rates(responses.table))
        tables.append(table.append_column("part", pa.repeat(pa.scalar(number, pa.int32()), size)))
    return pa.concat_tables(tables).combine_chunks() if tables else _EMPTY


def _pass_rates(responses: pa.Table) -> pa.ChunkedArray:
    """Of each response's problem; null where none of its responses has a reward."""
    means = responses.group_by("problem_id", use_threads=False).aggregate([("reward", "mean")])
    return means["reward_mean"].take(pc.index_in(responses["problem_id"], means["problem_id"].combine_chunks()))


_EMPTY = pa.schema(
    [
        *((name, pa.string()) for name in ("problem_id", "status", "finish_reason", "extracted_answer")),
        *((name, pa.int32()) for name in ("sample_index", "reward", "num_tokens", "part")),
        *((name, pa.string()) for name in ("of_dataset", "of_model", *_OF_PROBLEM, "question")),
        ("pass_rate", pa.float64()),
    ]
).empty_table()


def numbers_job(reader: Reader, rows: ResponseRows) -> Job[pa.Table]:
    """The numbers over tokens of every row, under way or ready: a table of `NUMBERS` and, where some partition has it,
    of `CONFIDENCE`."""
    sources = [_sources(reader, part) for part in rows.parts]
    key = (str(reader.store.root), "numbers", *rows.identity, *(tuple(_folder(one) for one in of) for of in sources))

    def make(say: Say) -> pa.Table:
        total, before, tables = rows.table.num_rows, 0, []
        for part, (scored, confidence) in zip(rows.parts, sources, strict=True):
            tables.append(_kept_numbers(reader, part, scored, confidence, partial(_further, say, before, total)))
            before += part.table.num_rows
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})

    return job(key, make)


def _further(say: Say, before: int, total: int, done: int, _: int) -> None:
    """Progress of one part as that of all."""
    say(before + done, total)


def _kept_numbers(
    reader: Reader, part: Responses, scored: Generation | None, confidence: Generation | None, say: Say
) -> pa.Table:
    key = ("numbers", *_identity(part), _folder(scored), _folder(confidence))
    return reader.kept(key, lambda: _numbers(part, scored, confidence, say), lambda table: table.nbytes)


def _folder(generation: Generation | None) -> str | None:
    return None if generation is None else generation.folder


def _sources(reader: Reader, responses: Responses) -> tuple[Generation | None, Generation | None]:
    """Token distributions of these samples, and the confidences that were made of those."""
    try:
        scored = reader.distributions(responses)
    except MissingInputError:
        return None, None
    return scored, reader.confidence(scored)


def _numbers(responses: Responses, scored: Generation | None, confidence: Generation | None, say: Say) -> pa.Table:
    if confidence is not None:
        return _from_confidence(responses, confidence)
    size = responses.table.num_rows
    lengths = responses.table["num_tokens"].to_numpy().astype(np.int64)
    if scored is None:
        return pa.table(
            {
                "mean_entropy": pa.nulls(size, pa.float64()),
                "maximum_entropy": pa.nulls(size, pa.float64()),
                "mean_log_prob": _sampled_log_probs(responses, size, say),
            }
        )
    total, largest, log_prob = np.zeros(size), np.full(size, -np.inf), np.zeros(size)
    fragment_of = responses.table["fragment"].to_numpy()
    seen = 0
    for index in sorted(scored.fragment_indices()):
        table = scored.read_fragment(index, ["entropy", "logprob"])
        rows = np.flatnonzero(fragment_of == index)
        row = np.repeat(rows, lengths[rows])[: table.num_rows]
        entropy = table["entropy"].to_numpy().astype(np.float64)[: len(row)]
        total += np.bincount(row, weights=entropy, minlength=size)
        log_prob += np.bincount(row, weights=table["logprob"].to_numpy()[: len(row)], minlength=size)
        if len(row):
            starts = np.flatnonzero(np.diff(row, prepend=-1))  # a response's tokens follow one another
            largest[row[starts]] = np.maximum.reduceat(entropy, starts)
        seen += len(rows)
        say(seen, size)
    known = lengths > 0
    means = [np.divide(values, lengths, out=np.full(size, np.nan), where=known) for values in (total, log_prob)]
    columns = (means[0], np.where(known, largest, np.nan), means[1])
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in zip(NUMBERS, columns, strict=True)})


def _from_confidence(responses: Responses, confidence: Generation) -> pa.Table:
    """The columns that it has, in the order of the responses."""
    table = confidence.read()
    wanted = [name for name in (*NUMBERS, *CONFIDENCE) if name in table.column_names]
    keys = ["problem_id", "sample_index"]
    left = responses.table.select(keys).append_column("_order", pa.array(range(responses.table.num_rows)))
    joined = left.join(table.select([*keys, *wanted]), keys, join_type="left outer").sort_by("_order")
    return joined.select(wanted).cast(pa.schema([(name, pa.float64()) for name in wanted]))


def _sampled_log_probs(responses: Responses, size: int, say: Say) -> pa.Array:
    """The means of what sampling recorded; null where it recorded nothing, as of imported responses."""
    means: list[NDArray[np.float64]] = [np.zeros(0)]
    done = 0
    for batch in _batches(responses, "token_logprobs"):
        lists = batch.column("token_logprobs")
        parents = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
        values = pc.list_flatten(lists).to_numpy(zero_copy_only=False).astype(np.float64)
        counts = np.bincount(parents, minlength=len(lists))
        sums = np.bincount(parents, weights=values, minlength=len(lists))
        means.append(np.divide(sums, counts, out=np.full(len(lists), np.nan), where=counts > 0))
        done += len(lists)
        say(done, size)
    return pa.array(np.concatenate(means), from_pandas=True)


def _batches(responses: Responses, column: str) -> Iterator[pa.RecordBatch]:
    for index in _fragments(responses):
        yield from responses.samples.batches(index, [column], 500)


def _fragments(responses: Responses) -> list[int]:
    """Those that the responses came from, in order: while samples are being made there may be more by now."""
    return [int(index) for index in pc.unique(responses.table["fragment"]).to_pylist()]


@dataclass(frozen=True)
class FoundRows:
    """Which rows hold a text, and how many of them were looked at."""

    mask: NDArray[np.bool_]
    num_searched: int


def search_job(reader: Reader, rows: ResponseRows, search: Search) -> Job[FoundRows]:
    """The search for a text in every row's response, under way or ready; it ends after `LONGEST_SECONDS`."""
    key = (str(reader.store.root), "search", *rows.identity, search)

    def make(say: Say) -> FoundRows:
        until, before, total = time.monotonic() + LONGEST_SECONDS, 0, rows.table.num_rows
        found: list[Found] = []
        for part in rows.parts:
            so_far = partial(_further, say, before, total)
            found.append(search_responses(_batches(part, "response"), search, part.table.num_rows, so_far, until))
            before += part.table.num_rows
        masks = [one.mask for one in found] or [np.zeros(0, dtype=bool)]
        return FoundRows(np.concatenate(masks), sum(one.num_searched for one in found))

    return job(key, make)


def texts_of(rows: ResponseRows, wanted: NDArray[np.int64]) -> list[str]:
    """The responses' texts of these rows; reads only the fragments that hold them."""
    found: dict[int, str] = {}
    for start, part in zip(rows.starts, rows.parts, strict=True):
        own = wanted[(wanted >= start) & (wanted < start + part.table.num_rows)] - start
        fragments = part.table["fragment"].to_numpy()
        for fragment in np.unique(fragments[own]):
            inside = own[fragments[own] == fragment]
            first = int(np.flatnonzero(fragments == fragment)[0])  # a fragment's responses follow one another
            texts = part.samples.read_fragment(int(fragment), ["response"])["response"].take(pa.array(inside - first))
            found |= dict(zip((inside + start).tolist(), texts.to_pylist(), strict=True))
    return [found[row] for row in wanted.tolist()]
