"""`distributions.json` and `distributions.npz`: what the model could have said at every token.

Both are written side by side in one pass, some rows at a time, so memory holds neither a partition nor a response's
arrays, however long they are.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onoff_core.errors import ExchangeError, StoreError
from onoff_core.exchange.files import WRITTEN_BY, NpzWriter, Say, info, mark_of_now, replacing
from onoff_core.exchange.load import JSON_NAME, NPZ_NAME
from onoff_core.exchange.options import ExportOptions
from onoff_core.exchange.results import STATISTICS_NAME
from onoff_core.exchange.scripts_shape import DistributionStatistics, distribution_entry
from onoff_core.exchange.token_strings import legacy_token_strings, token_strings
from onoff_core.store import Generation, Store
from onoff_core.store.by_problem import ByProblem, Placed
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance

_COLUMNS = ["problem_id", "sample_index", "entropy", "logsumexp", "topk_ids", "topk_logprobs"]
_NUMBERS_AT_ONCE = 1_000_000  # of a block of rows; a handful of such blocks are alive at once
_SPOOL_BYTES = 8_000_000

Row = dict[str, Any]
Blocks = Iterator[pa.RecordBatch]
Responses = Iterator[tuple[Row, Blocks]]


@dataclass(frozen=True)
class _Shape:
    """What a generation's arrays look like."""

    vocab_size: int
    top_k: int | None  # None: the whole vocabulary was kept
    dense: bool  # whether one dense array a response is written

    @property
    def width(self) -> int:
        """How many tokens of each position are kept."""
        return min(self.top_k or self.vocab_size, self.vocab_size)

    @property
    def rows_at_once(self) -> int:
        return max(1, _NUMBERS_AT_ONCE // (self.vocab_size if self.dense else self.width))


def export_distributions(
    store: Store,
    key: tuple[str, str],
    folder: Path,
    options: ExportOptions | None = None,
    say: Say = info,
    *,
    statistics: bool = False,
) -> list[Path]:
    """Write both files of a partition's current token distributions into a folder; the files written.

    `statistics` (shape `scripts` only) writes the file's statistics into a `statistics.json` too. `say` is told of
    what was renamed because another program had written it.
    """
    options = options or ExportOptions()
    if options.dense and options.shape == "scripts":
        raise ExchangeError("dense arrays are of the shape 'described'; the shape 'scripts' has indices and values")
    distributions = store.require("token_distributions", key)
    samples = store.generation("samples", key, distributions.manifest().inputs["samples"])
    if not samples.is_complete:
        raise StoreError(
            f"{samples.files.location(samples.folder)}: the token distributions were made of it, but it is not there "
            "(any more); materialize samples,token_distributions again"
        )
    pieces = store.require("vocabulary", key[1:]).read()["piece"].to_pylist()
    scores = ScoresProvenance.of(distributions.manifest())
    dense = options.shape == "described" and (options.dense or scores.top_k is None)
    shape = _Shape(scores.vocab_size, scores.top_k, dense)
    names = [JSON_NAME, NPZ_NAME, *([STATISTICS_NAME] if statistics and options.shape == "scripts" else [])]
    mark = mark_of_now(folder, names)
    with ExitStack() as stack:
        scratches = [stack.enter_context(replacing(folder / name, say, mark)) for name in names]
        npz = stack.enter_context(NpzWriter(scratches[1]))
        file = stack.enter_context(scratches[0].open("w", encoding="utf-8"))
        file.write(f'{{"written_by": "{WRITTEN_BY}",\n')
        writer = _Writer(file, npz, pieces, options, shape)
        columns = ["prompt", "response", "token_ids", "finish_reason"]
        by_problem = ByProblem.of(store, samples, columns)
        responses = _responses(by_problem, distributions, shape)
        if options.shape == "scripts":
            problems = store.generation("problems", key[:1], samples.manifest().inputs["problems"]).read().to_pylist()
            totals = _write_scripts(writer, responses, problems, samples, distributions)
            for scratch in scratches[2:]:
                scratch.write_text(_dump({"written_by": WRITTEN_BY, **totals}, 1) + "\n", encoding="utf-8")
        else:
            prompts = _prompts(by_problem)
            metadata = _metadata(samples, distributions, options, shape, len(prompts))
            file.write(f'"metadata": {_dump(metadata, 1)},\n"prompts": {_dump(prompts, 1)},\n"results": [')
            _write_described(writer, responses)
            file.write("\n]}\n")
    return [folder / name for name in names]


def _metadata(
    samples: Generation, distributions: Generation, options: ExportOptions, shape: _Shape, num_prompts: int
) -> Row:
    """The research scripts' five, then ours."""
    how = SamplesProvenance.of(samples.manifest())
    return {
        "backend": how.backend_type,
        "distribution_type": "logits" if options.use_logits else "probabilities",
        "temperature": ScoresProvenance.of(distributions.manifest()).temperature,
        "num_prompts": num_prompts,
        "distributions_file": NPZ_NAME,
        "model_name": how.model_name,
        "vocab_size": shape.vocab_size,
        "top_k": shape.top_k,
        "arrays": "dense" if shape.dense else "indices and values",
        "token_strings": "stripped" if options.legacy_token_strings else "concatenate to the text",
        "generation": distributions.fingerprint,
    }


def _prompts(by_problem: ByProblem) -> list[str]:
    """The text the model was given, once a problem."""
    return [responses[0].row["prompt"] for responses in by_problem.problems()]


def _responses(by_problem: ByProblem, distributions: Generation, shape: _Shape) -> Responses:
    """Each response with the blocks of its tokens' rows, which must be used up before the next one is asked for."""
    if by_problem.is_cut:
        for responses in by_problem.problems():
            for one in responses:
                yield one.row, _blocks(distributions, one, shape.rows_at_once)
        return
    rows: _Rows | None = None
    for responses in by_problem.problems():
        for one in responses:
            if rows is None or rows.index != one.fragment:
                if rows is not None:
                    rows.end()
                rows = _Rows(distributions, one.fragment, shape.rows_at_once)
            yield one.row, rows.of(one.row)
    if rows is not None:
        rows.end()


def _blocks(distributions: Generation, one: Placed, rows_at_once: int) -> Blocks:
    """Of a response that is read by itself, since those beside it in its fragment are not written beside it."""
    where = {name: one.row[name] for name in ("problem_id", "sample_index")}
    table = distributions.read_rows(one.fragment, where, _COLUMNS)
    if table.num_rows != len(one.row["token_ids"]):
        raise StoreError(
            f"{distributions.files.location(distributions.folder)}, fragment {one.fragment}: holds {table.num_rows} "
            f"tokens of problem {where['problem_id']}, sample {where['sample_index']}, which has "
            f"{len(one.row['token_ids'])}; run: onoff verify"
        )
    yield from table.to_batches(max_chunksize=rows_at_once)


class _Rows:
    """The rows of a fragment of token distributions, handed out response by response."""

    def __init__(self, generation: Generation, index: int, num_rows: int) -> None:
        self.index = index
        self.where = f"{generation.files.location(generation.folder)}, fragment {index}"
        self.batches = generation.batches(index, _COLUMNS, num_rows)
        self.rest: pa.RecordBatch | None = None

    def of(self, response: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        wanted = len(response["token_ids"])
        while wanted:
            block = self._next()
            if block is None:
                raise StoreError(f"{self.where}: ends before the samples do; run: onoff verify")
            taken, self.rest = block.slice(0, wanted), block.slice(wanted)
            for place in (0, taken.num_rows - 1):
                row = taken["problem_id"][place].as_py(), taken["sample_index"][place].as_py()
                if row != (response["problem_id"], response["sample_index"]):
                    raise StoreError(
                        f"{self.where}: holds tokens of problem {row[0]}, sample {row[1]} where those of problem "
                        f"{response['problem_id']}, sample {response['sample_index']} belong; run: onoff verify"
                    )
            wanted -= taken.num_rows
            yield taken

    def end(self) -> None:
        if self._next() is not None:
            raise StoreError(f"{self.where}: goes on after the samples have ended; run: onoff verify")

    def _next(self) -> pa.RecordBatch | None:
        while self.rest is None or not self.rest.num_rows:
            self.rest = next(self.batches, None)
            if self.rest is None:
                return None
        return self.rest


@dataclass(frozen=True)
class _Writer:
    """The two files that are written, and how."""

    file: TextIO
    npz: NpzWriter
    pieces: list[bytes]
    options: ExportOptions
    shape: _Shape

    def token_strings(self, response: Row) -> list[str]:
        own = [self.pieces[token_id] for token_id in response["token_ids"]]
        if self.options.legacy_token_strings or self.options.shape == "scripts":
            return legacy_token_strings(own)
        return token_strings(own, response["response"], response["finish_reason"] == "stop")

    def dense(self, key: str, num_tokens: int, blocks: Blocks) -> list[float]:
        """Write one array of a response, `(num_tokens, vocab_size)`; its entropies, in nats."""
        entropies: list[float] = []
        with self.npz.member(key, (num_tokens, self.shape.vocab_size), np.float32) as write:
            for block in blocks:
                entropies += _entropies(block)
                write(_dense(block, self.options, self.shape.vocab_size))
        return entropies

    def indexed(self, key: str, mark: str, num_tokens: int, blocks: Blocks) -> list[float]:
        """Write a response's token ids and their values, `(num_tokens, k)`, the most probable first; its entropies."""
        entropies: list[float] = []
        size = num_tokens, self.shape.width
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as later:  # a zip takes one member at a time
            with self.npz.member(f"{key}{mark}indices", size, np.int32) as write:
                for block in blocks:
                    entropies += _entropies(block)
                    indices, values = _most_probable_first(block, self.options)
                    write(indices)
                    later.write(values.tobytes())
            later.seek(0)
            with self.npz.member(f"{key}{mark}values", size, np.float32) as write:
                while part := later.read(_SPOOL_BYTES):
                    write(np.frombuffer(part, np.float32))
        return entropies


def _write_described(writer: _Writer, responses: Responses) -> None:
    writer.npz.add("vocab_size", np.array(writer.shape.vocab_size))
    for i, (_, group) in enumerate(groupby(responses, key=lambda pair: pair[0]["problem_id"])):
        writer.file.write(("," if i else "") + '\n{"samples": [')
        for j, (response, blocks) in enumerate(group):
            key, num_tokens = f"results[{i}].samples[{j}].distributions", len(response["token_ids"])
            entropies = (
                writer.dense(key, num_tokens, blocks)
                if writer.shape.dense
                else writer.indexed(key, ".", num_tokens, blocks)
            )
            entry = {
                "text": response["response"],
                "token_strings": writer.token_strings(response),
                "distributions": f"{NPZ_NAME}:{key}",
                "entropies": entropies,
            }
            writer.file.write((",\n" if j else "\n") + _dump(entry))
        writer.file.write("\n]}")


def _write_scripts(
    writer: _Writer, responses: Responses, problems: list[Row], samples: Generation, distributions: Generation
) -> Row:
    """The rest of a JSON in the scripts' shape, and its arrays; the statistics written."""
    questions = {row["problem_id"]: row["question"] for row in problems}
    statistics, shape, options = DistributionStatistics(), writer.shape, writer.options
    writer.file.write('"results": [')
    for i, (problem_id, group) in enumerate(groupby(responses, key=lambda pair: pair[0]["problem_id"])):
        for j, (response, blocks) in enumerate(group):
            if j == 0:
                head = {"example_id": i, "question": questions[problem_id], "prompt": response["prompt"]}
                writer.file.write(("," if i else "") + f'\n{_dump(head)[:-1]}, "samples": [')
            index = statistics.num_samples
            entropies = writer.indexed(f"dist_{index}", "_", len(response["token_ids"]), blocks)
            writer.npz.add(f"dist_{index}_vocab_size", np.array([shape.vocab_size], np.int32))
            writer.npz.add(f"dist_{index}_top_k", np.array([shape.width], np.int32))
            strings = writer.token_strings(response)
            entry = distribution_entry(response, strings, entropies, index, shape.vocab_size, shape.width)
            writer.file.write((",\n" if j else "\n") + _dump(entry))
            statistics.add(len(response["token_ids"]))
        statistics.num_examples = i + 1
        writer.file.write("\n]}")
    how, scores = SamplesProvenance.of(samples.manifest()), ScoresProvenance.of(distributions.manifest())
    totals = statistics.totals(how, scores, options.use_logits, options.input_file)
    rest = {"statistics": totals, "distributions_file": NPZ_NAME, "num_distributions": statistics.num_samples}
    writer.file.write(f"\n],\n{_dump(rest, 1)[1:]}\n")
    return totals


def _flat(block: pa.RecordBatch, column: str) -> NDArray[Any]:
    values: NDArray[Any] = block[column].flatten().to_numpy(zero_copy_only=False)
    return values


def _most_probable_first(
    block: pa.RecordBatch, options: ExportOptions
) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
    """`(rows, k)` token ids and their values."""
    values = _values(block, options)
    if not block["topk_ids"].null_count:
        return _flat(block, "topk_ids").reshape(values.shape), values
    order = np.argsort(-values, axis=1, kind="stable")  # the whole vocabulary, kept in the order of ids
    return order, np.take_along_axis(values, order, axis=1)


def _values(block: pa.RecordBatch, options: ExportOptions) -> NDArray[np.float32]:
    """`(rows, k)` probabilities, or logits: log-probability plus the row's logsumexp."""
    logprobs = _flat(block, "topk_logprobs").reshape(block.num_rows, -1)
    if not options.use_logits:
        return np.exp(logprobs)
    logits: NDArray[np.float32] = logprobs + block["logsumexp"].to_numpy()[:, None]
    return logits


def _dense(block: pa.RecordBatch, options: ExportOptions, vocab_size: int) -> NDArray[np.float32]:
    """`(rows, vocab_size)`."""
    values = _values(block, options)
    if block["topk_ids"].null_count:  # the whole vocabulary, in the order of ids
        return values
    dense = np.full((block.num_rows, vocab_size), -np.inf if options.use_logits else 0, dtype=np.float32)
    np.put_along_axis(dense, _flat(block, "topk_ids").reshape(block.num_rows, -1).astype(np.int64), values, axis=1)
    return dense


def _entropies(block: pa.RecordBatch) -> list[float]:
    """float32 in its shortest decimal form."""
    return [float(str(value)) for value in block["entropy"].to_numpy()]


def _dump(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
