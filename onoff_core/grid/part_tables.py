"""Make the tables of entropy and log-probability in thinking and answer apart, of partitions with `task.thinking`."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onoff_core.grid import fingerprints
from onoff_core.grid.thinking import thoughts_of
from onoff_core.statistics.thinking import Key, Thought
from onoff_core.store import Generation, Store
from onoff_core.store.parquet import conform
from onoff_core.study import Partition
from onoff_core.tables import PART_TABLES, SCHEMAS

_PARTS = ("thinking", "answer")
_COLUMNS = ("problem_id", "sample_index", "num_tokens", "forced_positions")
_SCHEMA = pa.schema([SCHEMAS["samples"].field(name) for name in _COLUMNS])


def keep_parts(
    partition: Partition, store: Store, samples: Generation, distributions: Generation, again: bool = False
) -> bool:
    """Make both tables from these distributions, unless that is done; publishes nothing. Returns whether there is
    something to publish. `again`: make them although they are there.
    """
    if partition.task.thinking is None:
        return False
    fingerprint = fingerprints.parts_fingerprint(partition, distributions.fingerprint)
    made = [store.generation(name, partition.names, fingerprint) for name in PART_TABLES]
    with store.writing(made[0]), store.writing(made[1]):
        damaged = [one for one in made if one.set_aside_damaged()]
        there = not damaged and not again and all(one.is_complete for one in made)
        if not there:
            thoughts = thoughts_of(partition, store, samples)
            rows = list(_rows(samples, distributions, thoughts or {}))
            inputs = {"samples": samples.fingerprint}
            for one, content in zip(made, (rows, _statistics(rows)), strict=True):
                one.write_fragment(0, [pa.Table.from_pylist(content, schema=SCHEMAS[one.asset])])
                one.complete(inputs, fingerprints.part_settings(partition), {}, [0])
        before = [store.current(one.asset, one.partition) for one in made]
        for one in made:
            store.make_current(one)
    return not there or any(one is None or one.fingerprint != fingerprint for one in before)


def _rows(samples: Generation, distributions: Generation, thoughts: Mapping[Key, Thought]) -> Iterator[dict[str, Any]]:
    """A row a response and part; the fragments of the two generations go together."""
    for index in sorted(samples.fragment_indices()):
        rows = conform(samples.read_fragment(index, _COLUMNS), _SCHEMA, samples.folder).to_pylist()
        table = distributions.read_fragment(index, ["entropy", "logprob"])
        values = {name: table[name].to_numpy().astype(np.float64) for name in ("entropy", "logprob")}
        begin = 0
        for row in rows:
            end = begin + row["num_tokens"]
            key = (row["problem_id"], row["sample_index"])
            forced = np.zeros(row["num_tokens"], bool)
            forced[row["forced_positions"] or []] = True
            of = {name: of_all[begin:end] for name, of_all in values.items()}
            yield from _of_response(key, thoughts[key], of, forced)
            begin = end


def _of_response(
    key: Key, thought: Thought, values: Mapping[str, NDArray[np.float64]], forced: NDArray[np.bool_]
) -> Iterator[dict[str, Any]]:
    answer = np.zeros(len(forced), bool)
    answer[thought.parts.answer.start : thought.parts.answer.stop] = True
    for part, chosen in zip(_PARTS, (~answer, answer), strict=True):
        drawn = chosen & ~forced
        yield {
            "problem_id": key[0],
            "sample_index": key[1],
            "part": part,
            "begin": int(np.flatnonzero(chosen)[0]) if chosen.any() else None,
            "num_tokens": int(chosen.sum()),
            "num_forced": int((chosen & forced).sum()),
            **{f"mean_{name}": float(of[drawn].mean()) if drawn.any() else None for name, of in values.items()},
        }


def _statistics(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a part; means over its tokens, not over responses."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["part"]].append(row)
    return [
        {
            "part": part,
            "num_responses": sum(row["num_tokens"] > 0 for row in found[part]),
            "num_tokens": sum(row["num_tokens"] for row in found[part]),
            "num_forced": sum(row["num_forced"] for row in found[part]),
            **{name: _mean(found[part], name) for name in ("mean_entropy", "mean_logprob")},
        }
        for part in _PARTS
    ]


def _mean(rows: list[dict[str, Any]], name: str) -> float | None:
    counted = [(row[name], row["num_tokens"] - row["num_forced"]) for row in rows if row[name] is not None]
    return sum(value * count for value, count in counted) / sum(count for _, count in counted) if counted else None
