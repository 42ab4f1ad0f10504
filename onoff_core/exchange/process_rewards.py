"""`process_rewards.jsonl`: responses as steps, each with the value of having got so far. What process reward models are
trained on (Math-Shepherd, arXiv:2312.08935, has such values from continuations too).

A line a response: its prompt, the texts of its steps, which concatenate to the response, and of each step the value
after it with its 95 % interval and how many continuations that rests on. The last step's value is the response's own
reward where the response ends with it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from onoff_core.errors import ExchangeError
from onoff_core.exchange.files import WRITTEN_BY, Say, info, replacing
from onoff_core.store import Store
from onoff_core.store.provenance import BranchesProvenance

PROCESS_REWARDS_NAME = "process_rewards.jsonl"

_POSITION = ("problem_id", "sample_index", "position")


def export_process_rewards(store: Store, key: tuple[str, str], folder: Path, say: Say = info) -> list[Path]:
    """Write the file of a partition (dataset, model) into a folder; the files written. `say` is told of what was
    renamed because another program had written it. Raises `ExchangeError` where the branches are not those of steps.
    """
    branches = store.require("branches", key)
    how = BranchesProvenance.of(branches.manifest()).how
    if how != "steps":
        raise ExchangeError(
            f"the branches of {'|'.join(key)} are at positions of `how: {how}`; process rewards are made of those at "
            "the ends of steps: write `branches: {positions: {how: steps}}` into onoff.yaml and materialize branches"
        )
    target = folder / PROCESS_REWARDS_NAME
    with replacing(target, say) as scratch, scratch.open("w", encoding="utf-8") as file:
        for line in _lines(store, key):
            file.write(json.dumps({"written_by": WRITTEN_BY, **line}, ensure_ascii=False) + "\n")
    return [target]


def _lines(store: Store, key: tuple[str, str]) -> Iterator[dict[str, Any]]:
    branches = store.require("branches", key)
    counts = {tuple(row[name] for name in _POSITION): row for row in branches.read().to_pylist()}
    positions = store.generation("branch_positions", key, branches.fingerprint).read().to_pylist()
    by_response = {
        response: list(rows)
        for response, rows in groupby(positions, key=lambda r: (r["problem_id"], r["sample_index"]))
    }
    inputs = branches.manifest().inputs
    rewards = {
        (row["problem_id"], row["sample_index"]): row["reward"]
        for row in store.generation("rewards", key, inputs["rewards"]).read().to_pylist()
    }
    vocabulary = store.require("vocabulary", key[1:]).read()
    pieces, special = vocabulary["piece"].to_pylist(), vocabulary["special"].to_pylist()
    columns = ["problem_id", "sample_index", "prompt", "token_ids"]
    for table in store.generation("samples", key, inputs["samples"]).tables(columns):
        for row in table.to_pylist():
            rows = by_response.get((row["problem_id"], row["sample_index"]))
            if rows is not None:
                steps = _steps(row["token_ids"], [one["position"] for one in rows], pieces, special)
                reward = rewards[row["problem_id"], row["sample_index"]]
                yield _line(row, rows, steps, counts, reward)


def _line(
    sample: Mapping[str, Any],
    positions: Sequence[Mapping[str, Any]],
    steps: Sequence[str],
    counts: Mapping[tuple[Any, ...], Mapping[str, Any]],
    reward: int | None,
) -> dict[str, Any]:
    of = [counts[tuple(row[name] for name in _POSITION)] for row in positions]
    return {
        "problem_id": sample["problem_id"],
        "sample_index": sample["sample_index"],
        "prompt": sample["prompt"],
        "steps": steps,
        "values": [row["value_after"] for row in positions],
        "values_low": [row["value_after_low"] for row in positions],
        "values_high": [row["value_after_high"] for row in positions],
        "n": [row["num_continuations"] for row in of],
        "reward": reward,
    }


def _steps(
    token_ids: Sequence[int], ends: Sequence[int], pieces: Sequence[bytes], special: Sequence[bool]
) -> list[str]:
    """The texts of the steps that end at these positions; without a stop token at the end of the response."""
    last = len(token_ids) - 1
    shown = [b"" if at == last and special[token] else pieces[token] for at, token in enumerate(token_ids)]
    begins = [0, *(end + 1 for end in ends)]
    return [
        b"".join(shown[begin : end + 1]).decode("utf-8", errors="replace")
        for begin, end in zip(begins, ends, strict=False)
    ]
