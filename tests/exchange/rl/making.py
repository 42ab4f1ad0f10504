"""A study over the fake engine whose pass rates are known: eight responses to each problem, whatever it asks."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from onoff_core.grid.fingerprints import reward_settings, rewards_fingerprint
from onoff_core.grid.judging import open_store
from onoff_core.grid.materialize import finish, materialize_samples, materialize_statistics
from onoff_core.grid.run_record import RunRecord
from onoff_core.store import Generation, Store
from onoff_core.study import Partition, load_study
from onoff_core.tables import SCHEMAS
from tests.conftest import write_study

# How many of the eight responses say each answer; gold answers of the problems in turn.
GOLDS = ("1", "2", "3", "9")  # of `strong` 4, 2, 1 and 0 are right, of `weak` 1, 4, 0 and 0
STRONG = [
    r"\boxed{1}",
    r"so \boxed{1}",
    r"\boxed{1}",
    r"and so \boxed{1}",
    r"\boxed{2}",
    r"\boxed{2}",
    r"\boxed{3}",
    "no",
]
WEAK = [r"\boxed{1}", r"\boxed{2}", r"\boxed{2}", r"\boxed{2}", r"\boxed{2}", "no", "no", "never"]


def fake(responses: list[str]) -> dict[str, Any]:
    return {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": {"responses": responses}}}


def make_study(folder: Path, *, num_problems: int = 8, **sections: Any) -> None:
    """An `onoff.yaml`, and `d.jsonl` with the problems q0, q1, ..."""
    lines = [
        {"id": f"q{i}", "question": f"What is {i}, of {num_problems}?", "answer": GOLDS[i % len(GOLDS)]}
        for i in range(num_problems)
    ]
    (folder / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = {
        "datasets": {"d": {"path": "d.jsonl"}},
        "models": {"strong": fake(STRONG), "weak": fake(WEAK)},
        "sampling": {"max_length": 40, "num_samples": 8, "seed": 7},
        **sections,
    }
    write_study(folder, None, **asked)


def fill(folder: Path) -> None:
    """Sample, grade and count every partition. Answers are held against gold ones as texts, without processes."""
    study = load_study(folder / "onoff.yaml")
    store = open_store(study)
    for partition in study.partitions.values():
        made = materialize_samples(partition, store, lambda line: None)
        grade(partition, store, made.generation)
        materialize_statistics(partition, store, lambda line: None)


def grade(partition: Partition, store: Store, samples: Generation) -> None:
    """Make the rewards of these samples current."""
    problems = samples.manifest().inputs["problems"]
    found = store.generation("problems", (partition.dataset,), problems).read().to_pylist()
    gold = {row["problem_id"]: row["answer"] for row in found}
    rewards = store.generation("rewards", partition.names, rewards_fingerprint(partition, samples.fingerprint))
    record, began = RunRecord(rewards), time.monotonic()
    for index in samples.fragment_indices():
        rows = [_verdict(row, gold[row["problem_id"]]) for row in samples.read_fragment(index).to_pylist()]
        rewards.write_fragment(index, [pa.Table.from_pylist(rows, schema=SCHEMAS["rewards"])])
    facts = {"seconds": time.monotonic() - began, **record.facts()}
    finish(store, rewards, {"samples": samples.fingerprint, "problems": problems}, reward_settings(partition), facts)


def _verdict(row: dict[str, Any], gold: str) -> dict[str, Any]:
    boxed = re.search(r"boxed\{(.)\}", row["response"])
    answer = boxed[1] if boxed else None
    return {
        "problem_id": row["problem_id"],
        "sample_index": row["sample_index"],
        "extracted_answer": answer,
        "reward": int(answer == gold),
        "status": _status(row["response"], answer, gold),
        "answer_class": None if answer is None else 0 if answer == gold else int(answer),
        "reason": None,
    }


def _status(response: str, answer: str | None, gold: str) -> str:
    if response == "never":
        return "timeout"
    return "no_answer" if answer is None else "correct" if answer == gold else "wrong"
