"""`distributions.json` and `distributions.npz`: what the model could have said at every token.

Both are written side by side in one pass, some rows at a time, so memory holds neither a partition nor a response's
arrays, however long they are.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onoff_core.errors import StoreError
from onoff_core.exchange.files import NpzWriter, replacing
from onoff_core.exchange.load import JSON_NAME, NPZ_NAME
from onoff_core.exchange.token_strings import legacy_token_strings, token_strings
from onoff_core.store import Generation, Store

_COLUMNS = ["problem_id", "sample_index", "entropy", "logsumexp", "topk_ids", "topk_logprobs"]
_NUMBERS_AT_ONCE = 1_000_000  # of a block of rows; a handful of such blocks are alive at once
_SPOOL_BYTES = 8_000_000

Row = dict[str, Any]


@dataclass(frozen=True)
class ExportOptions:
    """How distributions are written."""

    use_logits: bool = False  # logits (divided by the temperature) instead of probabilities
    dense: bool = False  # (num_tokens, vocab_size) arrays of top-k distributions too, 0 (or -inf) outside
    legacy_token_strings: bool = False  # each token decoded alone and stripped


@dataclass(frozen=True)
class _Shape:
    """What a generation's arrays look like."""

    vocab_size: int
    top_k: int | None  # None: the whole vocabulary was kept
    dense: bool  # whether one dense array a response is written

    @property
    def rows_at_once(self) -> int:
        return max(1, _NUMBERS_AT_ONCE // (self.vocab_size if self.dense else self.top_k or self.vocab_size))


def export_distributions(
    store: Store, key: tuple[str, str], folder: Path, options: ExportOptions | None = None
) -> list[Path]:
    """Write both files of a partition's current token distributions into a folder; the files written."""
    options = options or ExportOptions()
    distributions = store.require("token_distributions", key)
    samples = store.generation("samples", key, distributions.manifest().inputs["samples"])
    if not samples.is_complete:
        raise StoreError(
            f"{samples.files.location(samples.folder)}: the token distributions were made of it, but it is not there "
            "(any more); materialize samples,token_distributions again"
        )
    pieces = store.require("vocabulary", key[1:]).read()["piece"].to_pylist()
    manifest = distributions.manifest()
    top_k = manifest.settings["top_k"]
    shape = _Shape(manifest.facts["vocab_size"], top_k, options.dense or top_k is None)
    prompts = _prompts(samples)
    metadata = _metadata(samples, distributions, options, shape, len(prompts))
    with (
        replacing(folder / JSON_NAME) as json_scratch,
        replacing(folder / NPZ_NAME) as npz_scratch,
        NpzWriter(npz_scratch) as npz,
        json_scratch.open("w", encoding="utf-8") as file,
    ):
        file.write(f'{{"metadata": {_dump(metadata, 1)},\n"prompts": {_dump(prompts, 1)},\n"results": [')
        npz.add("vocab_size", np.array(shape.vocab_size))
        _write_results(file, npz, _responses(samples, distributions, shape), pieces, options, shape)
        file.write("\n]}\n")
    return [folder / JSON_NAME, folder / NPZ_NAME]


def _metadata(
    samples: Generation, distributions: Generation, options: ExportOptions, shape: _Shape, num_prompts: int
) -> Row:
    """The research scripts' five, then ours."""
    model = samples.manifest().settings["model"]
    return {
        "backend": model["backend_type"],
        "distribution_type": "logits" if options.use_logits else "probabilities",
        "temperature": distributions.manifest().settings["temperature"],
        "num_prompts": num_prompts,
        "distributions_file": NPZ_NAME,
        "model_name": model["model_name"],
        "vocab_size": shape.vocab_size,
        "top_k": shape.top_k,
        "arrays": "dense" if shape.dense else "indices and values",
        "token_strings": "stripped" if options.legacy_token_strings else "concatenate to the text",
        "generation": distributions.fingerprint,
    }


def _prompts(samples: Generation) -> list[str]:
    """The text the model was given, once a problem."""
    rows = (row for table in samples.tables(["problem_id", "prompt"]) for row in table.to_pylist())
    return [next(group)["prompt"] for _, group in groupby(rows, key=lambda row: row["problem_id"])]


def _responses(
    samples: Generation, distributions: Generation, shape: _Shape
) -> Iterator[tuple[Row, Iterator[pa.RecordBatch]]]:
    """Each response with the blocks of its tokens' rows, which must be used up before the next one is asked for."""
    for index in sorted(samples.fragment_indices()):
        columns = ["problem_id", "sample_index", "response", "token_ids", "finish_reason"]
        rows = _Rows(distributions, index, shape.rows_at_once)
        for response in samples.read_fragment(index, columns).to_pylist():
            yield response, rows.of(response)
        rows.end()


class _Rows:
    """The rows of a fragment of token distributions, handed out response by response."""

    def __init__(self, generation: Generation, index: int, num_rows: int) -> None:
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


def _write_results(
    file: TextIO,
    npz: NpzWriter,
    responses: Iterator[tuple[Row, Iterator[pa.RecordBatch]]],
    pieces: list[bytes],
    options: ExportOptions,
    shape: _Shape,
) -> None:
    by_problem = groupby(responses, key=lambda pair: pair[0]["problem_id"])
    for i, (_, group) in enumerate(by_problem):
        file.write(("," if i else "") + '\n{"samples": [')
        for j, (response, blocks) in enumerate(group):
            key = f"results[{i}].samples[{j}].distributions"
            entropies = _write_arrays(npz, key, len(response["token_ids"]), blocks, options, shape)
            own = [pieces[token_id] for token_id in response["token_ids"]]
            strings = (
                legacy_token_strings(own)
                if options.legacy_token_strings
                else token_strings(own, response["response"], response["finish_reason"] == "stop")
            )
            entry = {
                "text": response["response"],
                "token_strings": strings,
                "distributions": f"{NPZ_NAME}:{key}",
                "entropies": entropies,
            }
            file.write((",\n" if j else "\n") + _dump(entry))
        file.write("\n]}")


def _write_arrays(
    npz: NpzWriter,
    key: str,
    num_tokens: int,
    blocks: Iterator[pa.RecordBatch],
    options: ExportOptions,
    shape: _Shape,
) -> list[float]:
    """Write one response's arrays; its entropies, in nats."""
    entropies: list[float] = []
    if shape.dense:
        with npz.member(key, (num_tokens, shape.vocab_size), np.float32) as write:
            for block in blocks:
                entropies += _entropies(block)
                write(_dense(block, options, shape.vocab_size))
        return entropies
    width = min(shape.top_k or shape.vocab_size, shape.vocab_size)
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as later:  # a zip takes one member at a time
        with npz.member(f"{key}.indices", (num_tokens, width), np.int32) as write:
            for block in blocks:
                entropies += _entropies(block)
                write(_flat(block, "topk_ids").reshape(block.num_rows, width))
                later.write(_values(block, options).tobytes())
        later.seek(0)
        with npz.member(f"{key}.values", (num_tokens, width), np.float32) as write:
            while part := later.read(_SPOOL_BYTES):
                write(np.frombuffer(part, np.float32))
    return entropies


def _flat(block: pa.RecordBatch, column: str) -> NDArray[Any]:
    values: NDArray[Any] = block[column].flatten().to_numpy(zero_copy_only=False)
    return values


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
