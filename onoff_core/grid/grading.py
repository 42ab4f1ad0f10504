"""Grade a partition's samples, problem by problem, since equal answers of one problem share a number.

A problem may have responses in several fragments. Where a former generation graded the same responses against the same
gold answer, their verdicts are known, and the new answers alone are compared, with the gold answer and with those.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from onoff_core.grid import fingerprints
from onoff_core.grid.former_rows import Former, find_former
from onoff_core.grid.taking_over import keys_of
from onoff_core.grid.thinking import thinking_tags
from onoff_core.progress import Log, Progress
from onoff_core.rewards import Grader, GradingTask, Verdict, whole_gold
from onoff_core.sampling import ResponseKey
from onoff_core.store import Generation, Manifest, Store
from onoff_core.store.by_problem import ByProblem, Placed
from onoff_core.store.life_signs import Signs
from onoff_core.study import Partition
from onoff_core.tables import SCHEMAS

_AT_ONCE = 512  # responses, but whole problems


def fill_rewards(
    partition: Partition,
    store: Store,
    samples: Generation,
    generation: Generation,
    say: Log,
    log: Log | None,
    again: bool,
) -> dict[str, Any]:
    """Write the missing fragments; each is of the samples' fragment of the same number. Returns facts."""
    version = samples.manifest().inputs["problems"]
    gold = gold_answers(store, partition.dataset, version)
    former = None
    if not again:
        former = find_former(store, generation, samples, lambda manifest: _is_graded_alike(partition, manifest))
    known = {} if former is None else _verdicts(store, former, partition.dataset, gold)
    total = samples.manifest().num_rows
    if former is not None and known:
        say(
            f"rewards of {partition.key}: {total - len(known)} of {total} responses to grade, {len(known)} verdicts "
            f"taken over from {former.generation.fingerprint}"
        )
    progress = Progress("grading", total, log, sign=Signs(generation))
    work = _Work(samples, generation, ByProblem(samples, ["prompt", "response"], order=list(gold)))
    task, thinking = partition.task, thinking_tags(partition, samples)
    with Grader(task.format_type, reward_type=task.reward_type, thinking=thinking) as grader:
        for responses in work.batches():
            tasks = [_task(one, gold, known) for one in responses]
            work.take(responses, grader.grade(tasks, progress.add))
    taken = {} if former is None or not known else {"taken_over": {**former.record, "rows": len(known)}}
    return {"seconds": progress.seconds, "rows_graded": total - len(known), "rows_taken_over": len(known), **taken}


def gold_answers(store: Store, dataset: str, version: str) -> dict[str, str]:
    """The gold answer of each problem, in the order of the problems."""
    problems = store.generation("problems", (dataset,), version).read()
    columns = (problems[name].to_pylist() for name in ("problem_id", "answer", "solution"))
    return {problem: whole_gold(answer, solution) for problem, answer, solution in zip(*columns, strict=True)}


def _task(one: Placed, gold: Mapping[str, str], known: Mapping[ResponseKey, Verdict]) -> GradingTask:
    row = one.row
    problem_id = row["problem_id"]
    verdict = known.get((problem_id, row["sample_index"]))
    return GradingTask(row["response"], gold[problem_id], problem_id, row["prompt"], verdict)


@dataclass
class _Work:
    """What is left to grade, and verdicts whose fragment is not full yet."""

    samples: Generation
    generation: Generation
    by_problem: ByProblem
    waiting: dict[int, dict[ResponseKey, dict[str, Any]]] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)  # rows of each fragment that is missing

    def batches(self) -> Iterator[list[Placed]]:
        """The responses of problems with a missing fragment, so many whole problems at a time."""
        rows = {fragment.index: fragment.num_rows for fragment in self.samples.manifest().fragments}
        there = self.generation.fragment_indices()
        self.sizes = {index: count for index, count in rows.items() if index not in there}
        for index in [index for index, count in self.sizes.items() if not count]:
            self.generation.write_fragment(index, [SCHEMAS["rewards"].empty_table()])
        batch: list[Placed] = []
        seen: dict[int, int] = {}
        for responses in self.by_problem.problems():
            if not any(one.fragment in self.sizes for one in responses):
                continue
            batch += responses
            for one in responses:
                seen[one.fragment] = seen.get(one.fragment, 0) + 1
            if len(batch) >= _AT_ONCE or all(seen[one.fragment] == rows[one.fragment] for one in batch):
                yield batch
                batch = []
        if batch:
            yield batch

    def take(self, responses: Sequence[Placed], verdicts: Sequence[Verdict]) -> None:
        """Keep verdicts, and write the fragments that are full with them."""
        for one, verdict in zip(responses, verdicts, strict=True):
            if one.fragment in self.sizes:
                key = (one.row["problem_id"], one.row["sample_index"])
                self.waiting.setdefault(one.fragment, {})[key] = _row(key, verdict)
        for index in [index for index, rows in self.waiting.items() if len(rows) == self.sizes[index]]:
            rows = self.waiting.pop(index)
            keys = keys_of(self.samples.read_fragment(index, ["problem_id", "sample_index"]))
            table = pa.Table.from_pylist([rows[key] for key in keys], schema=SCHEMAS["rewards"])
            self.generation.write_fragment(index, [table])


def _row(key: ResponseKey, verdict: Verdict) -> dict[str, Any]:
    return {
        "problem_id": key[0],
        "sample_index": key[1],
        "extracted_answer": verdict.extracted_answer,
        "reward": verdict.reward,
        "status": verdict.status,
        "answer_class": verdict.answer_class,
        "reason": verdict.reason,
    }


def _is_graded_alike(partition: Partition, manifest: Manifest) -> bool:
    """Whether today's code and settings would give those samples this very fingerprint."""
    return manifest.fingerprint == fingerprints.rewards_fingerprint(partition, manifest.inputs["samples"])


def _verdicts(store: Store, former: Former, dataset: str, gold: Mapping[str, str]) -> dict[ResponseKey, Verdict]:
    """The former verdicts on responses whose gold answer is what it was."""
    version = former.generation.manifest().inputs["problems"]
    if not store.generation("problems", (dataset,), version).is_complete:
        return {}
    was = gold_answers(store, dataset, version)
    found: dict[ResponseKey, Verdict] = {}
    for index in sorted(set(former.fragments.values())):
        for row in former.generation.read_fragment(index).to_pylist():
            key = (row["problem_id"], row["sample_index"])
            if former.fragments.get(key) == index and was[key[0]] == gold[key[0]]:
                found[key] = Verdict(row["status"], row["extracted_answer"], row["answer_class"], row["reason"])
    return found
