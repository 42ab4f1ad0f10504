"""Read `distributions.json` and its NPZ: `onoff export` wrote them, or the research scripts did.

The JSON is read and checked whole; an array is read from the NPZ when it is touched, one at a time, and is not kept.
Nothing is ever unpickled. numpy is all this needs.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onoff_core.errors import ExchangeError

JSON_NAME, NPZ_NAME = "distributions.json", "distributions.npz"
_REFERENCE = re.compile(r"(?P<file>[^:]+\.npz):(?P<key>.+)")
_OLD_KEY = re.compile(r"dist_\d+")


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
            with self.zip.open(f"{key}.npy") as member:
                array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        except Exception as error:  # as above; a damaged shape may ask for more memory than there is
            raise ExchangeError(f"{self.path}: {key} is damaged ({error}); copy or export the file again") from error
        if array.dtype.kind not in "fiu":
            raise ExchangeError(f"{self.path}: {key} holds no numbers, but {array.dtype}")
        return array


@dataclass(frozen=True)
class _Arrays:
    """Where the arrays are, and what the metadata says of them."""

    archive: _Archive
    vocab_size: int | None
    exact: bool  # the size is the arrays' own; the metadata's may be a tokenizer's, which often has fewer tokens
    outside: float


class Sample(Mapping[str, Any]):
    """One response: `text`, `token_strings`, `entropies` as the JSON has them; `distributions` is read when touched."""

    def __init__(self, fields: Mapping[str, Any], place: str, arrays: _Arrays, key: str) -> None:
        self._fields = dict(fields)
        self._place, self._arrays, self._archive, self._key = place, arrays, arrays.archive, key
        if "entropies" not in self._fields and "per_token_entropy" in self._fields:
            self._fields["entropies"] = self._fields["per_token_entropy"]
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
    `(num_tokens, vocab_size)`, or a `TopK` that stands for one where only the most probable tokens were kept.
    """
    file = Path(path) / JSON_NAME if Path(path).is_dir() else Path(path)
    raw = _read_json(file)
    metadata = _mapping(raw.get("metadata", {}), file, "metadata")
    archive = _Archive(file.parent / Path(str(metadata.get("distributions_file") or NPZ_NAME)).name)
    logits = metadata.get("distribution_type") == "logits" or metadata.get("use_logits") is True
    exact = "vocab_size" in archive.keys
    arrays = _Arrays(archive, _vocab_size(metadata, archive), exact, -np.inf if logits else 0.0)
    results, number = [], 0
    for i, result in enumerate(_list(raw, "results", file, "")):
        place = f"results[{i}]"
        samples = []
        for j, fields in enumerate(_list(_mapping(result, file, place), "samples", file, place)):
            where = f"{place}.samples[{j}]"
            _check_lengths(_mapping(fields, file, where), file, where)
            key = _key_of(fields, number, archive, f"{file}: {where}")
            samples.append(Sample(fields, where, arrays, key))
            number += 1
        results.append({**result, "samples": samples})
    prompts = raw.get("prompts", [])
    if "prompts" in raw and (not isinstance(prompts, list) or len(prompts) != len(results)):
        raise ExchangeError(f"{file}: prompts must be a list as long as results, which has {len(results)} entries")
    return {**raw, "metadata": metadata, "prompts": prompts, "results": results}


def _vocab_size(metadata: Mapping[str, Any], archive: _Archive) -> int | None:
    """As one of the files says; None where neither does."""
    size = archive.read("vocab_size").tolist() if "vocab_size" in archive.keys else metadata.get("vocab_size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 < size < 2**31):
        raise ExchangeError(f"{archive.path}: vocab_size should be the number of tokens, not {size!r}")
    return size


def _read_json(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExchangeError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"{file}: not valid JSON, or cut off: {error}") from error
    return _mapping(raw, file, "the file")


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


def _key_of(fields: Mapping[str, Any], number: int, archive: _Archive, place: str) -> str:
    """The NPZ's key of a response: as its entry says, else by counting, as the research scripts did."""
    reference = fields.get("distributions")
    found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    old = _OLD_KEY.search(reference) if isinstance(reference, str) else None
    for key in (found["key"] if found else None, old.group() if old else None, f"dist_{number}"):
        if key is not None and (
            key in archive.keys
            or {f"{key}.indices", f"{key}.values"} <= archive.keys
            or {f"{key}_indices", f"{key}_values"} <= archive.keys
        ):
            return key
    raise ExchangeError(
        f"{place}: its arrays are not in {archive.path} (looked for {found['key'] if found else f'dist_{number}'}); "
        "the two files do not belong together"
    )
