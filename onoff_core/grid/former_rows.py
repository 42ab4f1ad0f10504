"""Rows that a former generation of an asset has for responses that are the same now.

Rewards and token distributions are made response by response. Where samples were taken over, their rows are taken over
too. That a response is the same is seen by its text and its token ids, not concluded from where it came from.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from onoff_core.errors import StoreError
from onoff_core.grid.taking_over import keys_of, others
from onoff_core.sampling import ResponseKey
from onoff_core.store import Generation, Manifest, Store
from onoff_core.store.provenance import TakenOver

_COMPARED = ("prompt", "response", "prompt_token_ids", "token_ids")


@dataclass(frozen=True)
class Former:
    """A former generation, and in which of its fragments the rows of each response are that is the same now."""

    generation: Generation
    fragments: dict[ResponseKey, int]

    @property
    def record(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {
            "generation": self.generation.fingerprint,
            "rows": len(self.fragments),
            "why": "these responses are the same",
        }


def find_former(store: Store, made: Generation, samples: Generation, fits: Callable[[Manifest], bool]) -> Former | None:
    """The other generation of this partition that has rows for most of these samples; None: none has any.

    `fits`: whether rows of the generation with this manifest would be the same now, of the same response.
    """
    was_taken, found = TakenOver.of(samples.manifest()) is not None, list[Former]()
    ours: dict[ResponseKey, bytes] | None = None
    for former, manifest in others(store, made):
        if not fits(manifest):
            continue
        its = store.generation("samples", samples.partition, manifest.inputs["samples"])
        whole = {fragment.index for fragment in manifest.fragments} - _damaged(former)
        if its.fingerprint == samples.fingerprint:
            found.append(Former(former, {key: index for index, key, _ in _responses(samples) if index in whole}))
        elif was_taken and its.is_complete:
            ours = ours or {key: digest for _, key, digest in _responses(samples)}
            same = {k: index for index, k, digest in _responses(its) if ours.get(k) == digest and index in whole}
            found.append(Former(former, same))
    best = max(found, key=lambda one: len(one.fragments), default=None)
    return best if best is not None and best.fragments else None


def _damaged(generation: Generation) -> set[int]:
    return {int(name.removesuffix(".parquet")) for name in generation.damage()}


def _responses(samples: Generation) -> Iterator[tuple[int, ResponseKey, bytes]]:
    """(fragment, response, what it says) of each response that can be read."""
    for index in sorted(samples.fragment_indices()):
        try:
            table = samples.read_fragment(index, ["problem_id", "sample_index", *_COMPARED]).combine_chunks()
        except StoreError:  # whoever reads it to make something of it says so
            continue
        for place, key in enumerate(keys_of(table)):
            yield index, key, _digest(table, place)


def _digest(table: pa.Table, place: int) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    for name in _COMPARED:
        value = table[name][place]
        content = value.values.to_numpy().tobytes() if pa.types.is_list(value.type) else value.as_py().encode()
        found.update(len(content).to_bytes(8) + content)
    return found.digest()
