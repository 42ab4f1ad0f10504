"""A made-up store with what a reader's jobs need: branches, cross-scores, two models that part, a run in between."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.synthetic import SAMPLES_FACTS, SAMPLES_SETTINGS, STOP, MadeUp, MadeUpProblem, encode, write_partition
from benchmarks.synthetic import _sample_row as sample_row
from onoff_core.store import Store, publish_catalog
from onoff_core.tables import SCHEMAS
from tests.store.making import filled

RIGHT, WRONG = " so the answer is 2.\n\n then x = 2, so the answer is 2", " so the answer is 2.\n\n let x = 3, so 3"
P0 = {"dataset": "d", "model": "m", "problem": "p0", "sample": 0}  # a response, as an address names it
PARTING = 7  # the first token at which the two differ
BRANCHED = 7  # with alternatives that were tried
RUN = "6eb66dca-0000-4000-8000-1234567890ab"
TRIED, GOOD, BAD = 32, 14, 3  # continuations of each of two tokens; right ones of the alternative, of the sampled one
PARTS, DONE = 4, 2  # problems of the partition that is being sampled; those that are done
PAGES = ("", "response", "problem", "side_by_side", "compare", "tokens", "opinions", "rollouts", "notes")


def problems(flipped: bool) -> list[MadeUpProblem]:
    right, wrong = MadeUp([*encode(RIGHT), STOP], 1, "2"), MadeUp([*encode(WRONG), STOP], 0, "3")
    mostly = [wrong, wrong, wrong, right] if not flipped else [right, right, right, wrong]
    return [
        MadeUpProblem("p0", mostly, question="What is $\\frac{2}{1}$?", solution="It is $2$."),
        MadeUpProblem("p1", [right] * 4),
        MadeUpProblem("p2", [wrong] * 4),
        MadeUpProblem("p3", [right, wrong] * 2),
    ]


def make(folder: Path) -> Store:
    """d|m and d|other, which part on p0; d|m has branches of p0's first response and is scored by other; d|going is
    being sampled."""
    store = Store(str(folder / "store"))
    write_partition(Store(str(store.root), {"dagster_run_id": RUN}), "d", "m", problems(False))
    write_partition(store, "d", "other", problems(True), seed=1, fingerprint="b" * 16)
    write_branches(store, PARTING)
    write_cross_scores(store)
    write_unfinished(store)
    publish_catalog(store)
    return store


def write_branches(store: Store, position: int) -> None:
    samples = store.require("samples", ("d", "m"))
    row = samples.read().to_pylist()[0]
    sampled, tried = row["token_ids"][position], encode(" then")[0]
    place = {"problem_id": "p0", "sample_index": 0, "position": position}
    counted = {"num_continuations": TRIED, "is_exact": False, "mean_num_tokens": 20.0}
    branches = [
        {**place, **counted, "token_id": sampled, "probability": 0.7, "is_sampled": True, "num_correct": BAD,
         "value": BAD / TRIED, "value_low": 0.02, "value_high": 0.25, "effect": None},
        {**place, **counted, "token_id": tried, "probability": 0.2, "is_sampled": False, "num_correct": GOOD,
         "value": GOOD / TRIED, "value_low": 0.264, "value_high": 0.623, "effect": "gained"},
    ]  # fmt: skip
    ends = [[*encode(f" x = {n}, so the answer is {n}"), STOP] for n in (3, 2)]
    continuations = [
        {**place, "token_id": token, "continuation_index": i, "token_ids": ends[int(i < right)],
         "response": "", "finish_reason": "stop", "num_tokens": 5, "reward": int(i < right),
         "extracted_answer": "2" if i < right else "3", "status": "correct" if i < right else "wrong"}
        for token, right in ((sampled, BAD), (tried, GOOD))
        for i in range(TRIED)
    ]  # fmt: skip
    positions = [
        {**place, "position": at, "entropy": 1.0, "num_branches": 2, "coverage": 0.9, "value": before,
         "value_low": max(0.0, before - 0.15), "value_high": min(1.0, before + 0.15), "value_after": after,
         "value_after_low": 0.0, "value_after_high": 0.25, "drop": before - after, "is_lost_here": at == position}
        for at, before, after in ((2, 0.5, 0.45), (position, 0.45, BAD / TRIED), (position + 4, 0.1, 0.0))
    ]  # fmt: skip
    tables = {"continuations": continuations, "branch_positions": positions, "branches": branches}
    inputs = {
        name: store.require(name, ("d", "m")).fingerprint for name in ("samples", "rewards", "token_distributions")
    }
    for name, rows in tables.items():
        write(store, name, ("d", "m"), "e" * 16, [filled(name, rows)], inputs, {"positions": {"how": "entropy"}})


def write_cross_scores(store: Store) -> None:
    """Of every response of d|m by other: they agree but at one token."""
    samples = store.require("samples", ("d", "m"))
    rows = [
        {"problem_id": row["problem_id"], "sample_index": row["sample_index"], "text": "response", "position": at,
         "token_id": token, "logprob": -0.2, "entropy": 0.3, "reference_logprob": -0.2 - 2 * (at == PARTING),
         "reference_rank": 1 + (at == PARTING), "reference_entropy": 0.3 + (at == PARTING),
         "log_ratio": -2.0 * (at == PARTING), "divergence": "exact", "kl": 0.01 + 1.6 * (at == PARTING)}
        for row in samples.read().to_pylist()
        for at, token in enumerate(row["token_ids"])
    ]  # fmt: skip
    inputs = {"samples": samples.fingerprint}
    write(store, "cross_scores", ("d", "m", "other"), "f" * 16, [filled("cross_scores", rows)], inputs, {})


def write_unfinished(store: Store, done: int = DONE, model: str = "going") -> None:
    """Of d and the model, samples of which `done` problems of PARTS are there."""
    keep_vocabulary(store)
    generation = store.generation("samples", ("d", model), "9" * 16)
    generation.begin({"seed": 0})
    for index, problem in enumerate(problems(False)[:done]):
        rows = [sample_row(problem, i, made) for i, made in enumerate(problem.responses)]
        generation.write_fragment(index, [pa.Table.from_pylist(rows, schema=SCHEMAS["samples"])])


def keep_vocabulary(store: Store) -> None:
    generation = store.generation("vocabulary", ("going",), "v" * 16)
    if not generation.is_complete:
        generation.write_fragment(0, [store.require("vocabulary", ("m",)).read()])
        generation.complete({}, {}, {})
        store.make_current(generation)


def finish(store: Store) -> None:
    """Let what is being sampled be complete."""
    write_unfinished(store, PARTS)
    generation = store.generation("samples", ("d", "going"), "9" * 16)
    problems_version = store.require("problems", ("d",)).fingerprint
    generation.complete({"problems": problems_version}, SAMPLES_SETTINGS, SAMPLES_FACTS)
    store.make_current(generation)


def write(
    store: Store, asset: str, key: tuple[str, ...], fingerprint: str, tables: list[pa.Table], inputs: Any, settings: Any
) -> None:
    generation = store.generation(asset, key, fingerprint)
    generation.write_fragment(0, tables)
    generation.complete(inputs, settings, {})
    store.make_current(generation)
