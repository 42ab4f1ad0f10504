"""Read `distributions.json` and its NPZ: `onoff export` wrote them, or the research scripts did.

The JSON is read and checked whole; an array is read from the NPZ when it is touched, one at a time, and is not kept.
Nothing is ever unpickled. No store and no model is needed.
"""

import logging
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onoff_core.errors import ExchangeError
from onoff_core.exchange.json_files import read_json

JSON_NAME, NPZ_NAME = "distributions.json", "distributions.npz"
_REFERENCE = re.compile(r"(?P<file>[^:]+\.npz):(?P<key>.+)")
_OLD_KEY = re.compile(r"dist_\d+")
_OLD_ARRAY = re.compile(r"(dist_\d+)(_indices)?")

_LARGEST_VOCABULARY = 1 << 24  # sixty times that of any model there is

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TopK:
    """The most probable tokens of every position, in the place of a `(num_tokens, vocab_size)` array.

    `t[position]` is that position's dense row and `np.asarray(t)` (or `t.dense()`) the dense array, with `outside` for
    every token that was not kept.
    """

    indices: NDArray[np.integer[Any]]  # (num_tokens, k) token ids, the most probable first
    values: NDArray[np.floating[Any]]  # (num_tokens, k)
    vocab_size: int | None  # None where a file does not say
    outside: float  # 0 for probabilities, -inf for logits

    @property
    def shape(self) -> tuple[int, int]:
        """Of the dense array."""
        if self.vocab_size is None:
            raise ExchangeError("the file does not say how large the vocabulary is; use dense(vocab_size)")
        return len(self.indices), self.vocab_size

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[NDArray[np.floating[Any]]]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> NDArray[np.floating[Any]]:
        row = np.full(self.shape[1], self.outside, dtype=self.values.dtype)
        row[self.indices[position]] = self.values[position]
        return row

    def dense(self, vocab_size: int | None = None) -> NDArray[np.floating[Any]]:
        """`(num_tokens, vocab_size)`."""
        width = self.shape[1] if vocab_size is None else vocab_size
        array = np.full((len(self), width), self.outside, dtype=self.values.dtype)
        np.put_along_axis(array, self.indices.astype(np.int64), self.values, axis=1)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.dense() if dtype is None else self.dense().astype(dtype)


class _Archive:
    """An NPZ of which members are read one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise ExchangeError(f"{path}: no such file; the arrays of {JSON_NAME} belong there") from error
        except Exception as error:  # zip, zlib and numpy have many ways to say that bytes are missing or wrong
            raise ExchangeError(f"{path}: not a whole NPZ file ({error}); copy or export it again") from error
        self.keys = {name.removesuffix(".npy") for name in self.zip.namelist()}

    def read(self, key: str) -> NDArray[Any]:
        try:
            _check_size(self.zip, f"{key}.npy")
            with self.zip.open(f"{key}.npy") as member:
                array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        except Exception as error:  # as above; a damaged shape may ask for more memory than there is
            raise ExchangeError(f"{self.path}: {key} is damaged ({error}); copy or export the file again") from error
        if array.dtype.kind not in "fiu":
            raise ExchangeError(f"{self.path}: {key} holds no numbers, but {array.dtype}")
        return array


def _check_size(archive: zipfile.ZipFile, name: str) -> None:
    """Raise `ValueError` for an array that says to be larger than what is there, or wider than any vocabulary."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(member)
    if math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
        raise ValueError(f"its shape {shape} is larger than what is there")
    if len(shape) > 1 and shape[1] > _LARGEST_VOCABULARY:
        raise ValueError(f"its shape {shape} is wider than any vocabulary")


@dataclass(frozen=True)
class _Arrays:
    """Where the arrays are, and what the metadata says of them."""

    archive: _Archive
    vocab_size: int | None
    exact: bool  # the size is the arrays' own; the metadata's may be a tokenizer's, which often has fewer tokens
    outside: float


class Sample(Mapping[str, Any]):
    """One response: `text`, `token_strings`, `entropies` as the JSON has them; `distributions` is read when touched.

    What the scripts call `response` and `per_token_entropy` is there under both names.
    """

    def __init__(self, fields: Mapping[str, Any], place: str, arrays: _Arrays, key: str) -> None:
        self._fields = dict(fields)
        self._place, self._arrays, self._archive, self._key = place, arrays, arrays.archive, key
        for ours, theirs in (("text", "response"), ("entropies", "per_token_entropy")):
            if ours not in self._fields and theirs in self._fields:
                self._fields[ours] = self._fields[theirs]
        self._fields.setdefault("distributions", key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, name: str) -> Any:
        return self._distributions() if name == "distributions" else self._fields[name]

    def __repr__(self) -> str:
        return f"Sample({self._place}: {', '.join(self._fields)})"

    def _distributions(self) -> NDArray[Any] | TopK:
        if self._key in self._archive.keys:
            array = self._archive.read(self._key)
            self._check(array, self._key)
            if self._arrays.exact and array.shape[1] != self._arrays.vocab_size:
                raise ExchangeError(
                    f"{self._archive.path}: {self._key} has shape {array.shape}, but the vocabulary has "
                    f"{self._arrays.vocab_size} tokens; the two files do not belong together"
                )
            return array
        mark = "_" if _OLD_KEY.fullmatch(self._key) else "."
        indices, values = (self._archive.read(f"{self._key}{mark}{part}") for part in ("indices", "values"))
        if indices.shape != values.shape:
            raise ExchangeError(
                f"{self._archive.path}: {self._key} has indices of shape {indices.shape}, but values of {values.shape}"
            )
        self._check(indices, f"{self._key}{mark}indices")
        vocab_size = self._arrays.vocab_size
        beyond = indices.size > 0 and vocab_size is not None and indices.max() >= vocab_size
        if indices.dtype.kind == "f" or (indices.size and indices.min() < 0) or (beyond and self._arrays.exact):
            raise ExchangeError(f"{self._archive.path}: {self._key}{mark}indices holds numbers that are no token ids")
        return TopK(indices, values, None if beyond else vocab_size, self._arrays.outside)

    def _check(self, array: NDArray[Any], key: str) -> None:
        expected = len(self._fields["entropies"])
        if array.ndim != 2 or len(array) != expected:
            raise ExchangeError(
                f"{self._archive.path}: {key} has shape {array.shape}, but {self._place} of {JSON_NAME} has "
                f"{expected} tokens; the two files do not belong together"
            )


def load_distributions(path: str | Path) -> dict[str, Any]:
    """`{"metadata", "prompts", "results": [{"samples": [Sample, ...]}, ...]}` of a `distributions.json`, or of the
    folder that holds one. Raises `ExchangeError`.

    `data["results"][i]["samples"][j]` has `text`, `token_strings`, `entropies` and `distributions`: an array
    `(num_tokens, vocab_size)`, or a `TopK` that stands for one where only the most probable tokens were kept. Samples
    with an `error` have neither and are left out; `data["failed"]` names each with its place in the file, and so does
    a warning.
    """
    file = Path(path) / JSON_NAME if Path(path).is_dir() else Path(path)
    raw = _read_json(file)
    said = "metadata" if "metadata" in raw else "statistics"  # the scripts' name for the same
    metadata = _mapping(raw.get(said, {}), file, said)
    archive = _Archive(_npz_of(file, raw, metadata))
    logits = metadata.get("distribution_type") == "logits" or metadata.get("use_logits") is True
    exact = "vocab_size" in archive.keys
    arrays = _Arrays(archive, _vocab_size(metadata, archive), exact, -np.inf if logits else 0.0)
    results, failed = _results(raw, file, arrays)
    for place, error in failed:
        logger.warning("%s: %s failed where it was made and is left out: %s", file, place, error)
    return {
        **raw,
        "metadata": metadata,
        "prompts": _prompts(raw, results, file),
        "results": results,
        "failed": [{"place": place, "error": error} for place, error in failed],
    }


def _npz_of(file: Path, raw: Mapping[str, Any], metadata: Mapping[str, Any]) -> Path:
    """The NPZ beside a JSON: the one of its own name where it was renamed, else the one it names."""
    own = file.with_suffix(".npz")
    if file.name != JSON_NAME and own.is_file():
        return own
    named = metadata.get("distributions_file") or raw.get("distributions_file") or NPZ_NAME
    return file.parent / Path(str(named)).name


def _results(raw: Mapping[str, Any], file: Path, arrays: _Arrays) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """(results with their samples, where samples failed and why)."""
    entries, failed = [], []
    for i, result in enumerate(_list(raw, "results", file, "")):
        place, samples = f"results[{i}]", []
        for j, fields in enumerate(_list(_mapping(result, file, place), "samples", file, place)):
            where = f"{place}.samples[{j}]"
            if _mapping(fields, file, where).get("error") is not None:
                failed.append((where, str(fields["error"])))
                continue
            _check_lengths(fields, file, where)
            samples.append((where, fields))
        entries.append((result, samples))
    keys = iter(_keys([pair for _, samples in entries for pair in samples], arrays.archive, file))
    results = []
    for result, samples in entries:
        whole = [
            Sample(fields, where, _own(arrays, fields, key := next(keys), file, where), key)
            for where, fields in samples
        ]
        results.append({**result, "samples": whole})
    return results, failed


def _prompts(raw: Mapping[str, Any], results: list[dict[str, Any]], file: Path) -> list[Any]:
    """One a result: as a list of its own, or in each result, as the scripts have them."""
    prompts = raw.get("prompts")
    if prompts is None:
        return [result["prompt"] for result in results] if all("prompt" in result for result in results) else []
    if not isinstance(prompts, list) or len(prompts) != len(results):
        raise ExchangeError(f"{file}: prompts must be a list as long as results, which has {len(results)} entries")
    return prompts


def _own(arrays: _Arrays, fields: Mapping[str, Any], key: str, file: Path, place: str) -> _Arrays:
    """The arrays with the vocabulary's size that a response says itself, in the NPZ or by its shape."""
    if arrays.exact:
        return arrays
    if f"{key}_vocab_size" in arrays.archive.keys:
        found = arrays.archive.read(f"{key}_vocab_size")
        size: Any = found.ravel()[0].item() if found.size == 1 else found.tolist()
        return replace(arrays, vocab_size=_checked_size(size, f"{arrays.archive.path}: {key}_vocab_size"), exact=True)
    shape = fields.get("distribution_shape")
    if shape is None:
        return arrays
    if not isinstance(shape, list) or len(shape) != 2:
        raise ExchangeError(f"{file}: {place} has a distribution_shape that is not [tokens, vocabulary]: {shape!r}")
    return replace(arrays, vocab_size=_checked_size(shape[1], f"{file}: {place}: the vocabulary's size"), exact=True)


def _vocab_size(metadata: Mapping[str, Any], archive: _Archive) -> int | None:
    """As one of the files says for all its arrays; None where neither does."""
    size = archive.read("vocab_size").tolist() if "vocab_size" in archive.keys else metadata.get("vocab_size")
    return None if size is None else _checked_size(size, f"{archive.path}: vocab_size")


def _checked_size(size: Any, what: str) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size < 2**31:
        raise ExchangeError(f"{what} should be the number of tokens, not {size!r}")
    return size


def _read_json(file: Path) -> dict[str, Any]:
    return _mapping(read_json(file), file, "the file")


def _mapping(value: Any, file: Path, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ExchangeError(f"{file}: {place} must hold values by name, not a {type(value).__name__}")
    return value


def _list(holder: Mapping[str, Any], name: str, file: Path, place: str) -> list[Any]:
    value = holder.get(name)
    if not isinstance(value, list):
        raise ExchangeError(f"{file}: {place or 'the file'} has no list {name!r}; is it a {JSON_NAME}?")
    return value


def _check_lengths(fields: Mapping[str, Any], file: Path, place: str) -> None:
    entropies = fields.get("entropies", fields.get("per_token_entropy"))
    if not isinstance(entropies, list):
        raise ExchangeError(f"{file}: {place} has no list 'entropies' (or 'per_token_entropy', as the scripts had it)")
    if any(isinstance(entropy, bool) or not isinstance(entropy, (int, float)) for entropy in entropies):
        raise ExchangeError(f"{file}: {place} has entropies that are no numbers")
    strings = fields.get("token_strings")
    if strings is not None and (not isinstance(strings, list) or len(strings) != len(entropies)):
        count = len(strings) if isinstance(strings, list) else "no list of"
        raise ExchangeError(f"{file}: {place} has {len(entropies)} entropies, but {count} token_strings")


def _keys(samples: list[tuple[str, Mapping[str, Any]]], archive: _Archive, file: Path) -> list[str]:
    """The NPZ's key of each response: by its `distribution_index`, or as its entry refers to it. Where no entry of the
    file says anything, by counting, as the scripts numbered them; a response that was removed since would shift all
    that follow it, so there have to be as many responses as arrays.
    """
    said = [_said_key(fields, f"{file}: {place}", archive) for place, fields in samples]
    if not any(said):
        there = {found[1] for key in archive.keys if (found := _OLD_ARRAY.fullmatch(key))}
        if there and len(there) != len(samples):
            raise ExchangeError(
                f"{file}: has {len(samples)} responses and {archive.path} has arrays of {len(there)}, and no "
                "distribution_index says which belong together; take the two files as they were written"
            )
        said = [f"dist_{number}" for number in range(len(samples))]
    for (place, _), key in zip(samples, said, strict=True):
        if key is None:
            raise ExchangeError(f"{file}: {place} does not say which arrays are its own, as other responses there do")
        if not _holds(archive, key):
            raise ExchangeError(
                f"{file}: {place}: its arrays are not in {archive.path} (looked for {key}); the two files do not "
                "belong together"
            )
    twice = [key for key, count in Counter(said).items() if count > 1]
    if twice:
        raise ExchangeError(f"{file}: two responses have the arrays {twice[0]}; take the file as it was written")
    return [key for key in said if key is not None]


def _said_key(fields: Mapping[str, Any], place: str, archive: _Archive) -> str | None:
    """The key that an entry names; None where it names none, or one of the other form of names than the NPZ has."""
    index = fields.get("distribution_index")
    if index is not None:
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise ExchangeError(f"{place}: distribution_index should be a number 0, 1, ..., not {index!r}")
        return f"dist_{index}"
    reference = fields.get("distributions")
    if not isinstance(reference, str):
        return None
    found, old = _REFERENCE.fullmatch(reference), _OLD_KEY.search(reference)
    named = [match for match in (found["key"] if found else None, old.group() if old else None) if match]
    held = [key for key in named if _holds(archive, key)]
    counted = any(_OLD_ARRAY.fullmatch(key) for key in archive.keys)
    return next(iter(held or (named if old or not counted else [])), None)


def _holds(archive: _Archive, key: str) -> bool:
    return key in archive.keys or any(
        {f"{key}{mark}indices", f"{key}{mark}values"} <= archive.keys for mark in ("_", ".")
    )
