"""Make the tables of the asset `branches` of a partition: go on from other tokens of its responses, and grade.

Like `materialize`: what an interrupted run left is gone on from, and what an earlier generation drew from the same
samples is taken over, so more continuations are added to those that there are.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from onoff_core.backends import open_sampler
from onoff_core.backends.contract import Sampler
from onoff_core.branches.agreement import problem_rows
from onoff_core.branches.drawing import Continuation, ContinuationKey, branches_of, draw_chunks, keys_of_branch
from onoff_core.branches.planning import (
    BranchChunk,
    BranchedPosition,
    BranchKey,
    Lengths,
    Model,
    Planner,
    chunks_of_positions,
)
from onoff_core.branches.values import Outcome, ValuedPosition, position_rows
from onoff_core.errors import ModelError, SettingsError, StoreError
from onoff_core.grid import fingerprints
from onoff_core.grid.branch_inputs import BranchInputs
from onoff_core.grid.known_continuations import KnownContinuations
from onoff_core.grid.materialize import Log, Made, already, is_whole
from onoff_core.grid.room import branches_bytes, check_room
from onoff_core.grid.run_record import RunRecord
from onoff_core.grid.thinking import thinking_tags
from onoff_core.progress import Progress
from onoff_core.rewards import Grader, GradingTask
from onoff_core.sampling import thinking_plan
from onoff_core.store import Generation, Store, publish_catalog
from onoff_core.store.life_signs import Signs
from onoff_core.study import BranchSettings, Partition
from onoff_core.tables import BRANCH_TABLES, SCHEMAS

_MOST_IDS = 20_000_000  # token ids in the requests of chunks that are drawn side by side: some 200 MB
_info: Log = logging.getLogger("onoff").info


def materialize_branches(partition: Partition, store: Store, log: Log | None = None, *, again: bool = False) -> Made:
    """Branch the partition's current samples. Raises `SettingsError` where the settings do not ask for it."""
    settings = partition.branches
    if partition.model_settings.backend_type == "switch":
        raise ModelError(
            f"the responses of {partition.key} are written by two models in turns, and which of them would write where "
            "a branch begins is not known; there are no branches of them"
        )
    if settings is None:
        raise SettingsError(
            f"the settings do not ask for branches of {partition.key}: write `branches: {{}}` into onoff.yaml for the "
            "usual ones (docs/settings.md says what may stand there)"
        )
    say, inputs = log or _info, BranchInputs.of(partition, store)
    made_from = inputs.fingerprints
    fingerprint = fingerprints.branches_fingerprint(
        partition, made_from["samples"], made_from["rewards"], made_from["token_distributions"]
    )
    made = {name: store.generation(name, partition.names, fingerprint) for name in BRANCH_TABLES}
    with ExitStack() as held:
        for generation in made.values():
            held.enter_context(store.writing(generation))
        missing = [name for name, generation in made.items() if not is_whole(generation, say, again)]
        if missing:
            _Run(partition, settings, store, inputs, made, say, log, again).run()
        for name in BRANCH_TABLES[1:]:
            store.make_current(made[name])
        if not missing:
            return already(store, made["branches"], say)
        store.make_current(made["branches"])
        publish_catalog(store)
        return Made(made["branches"], made["branches"].manifest(), computed=True)


@dataclass
class _Run:
    """One run over the partition."""

    partition: Partition
    settings: BranchSettings
    store: Store
    inputs: BranchInputs
    made: Mapping[str, Generation]
    say: Log
    log: Log | None
    again: bool
    spent: dict[int, int] = field(default_factory=dict)  # tokens of each chunk that is there
    drawn: int = 0  # continuations that this run drew
    progress: Progress = field(init=False)

    def run(self) -> None:
        record = RunRecord(self.made["branches"])
        self._begin()
        with closing(
            open_sampler(self.partition.model, self.partition.model_settings, self.partition.base_dir)
        ) as sampler:
            model = Model.of(sampler.info, sampler.tokenizer.vocabulary)
            thinking = thinking_plan(sampler.tokenizer, self.inputs.task(self.partition), self.inputs.sampling)
            planner = Planner(self.settings, self.inputs.sampling, self.inputs.temperature, model, thinking)
            responses = self.inputs.responses(self.store, self.settings)
            positions = [at for one in responses for at in planner.positions(one)]
            chunks = chunks_of_positions(positions, planner.continuations)
            cost = self._say_cost(planner, chunks)
            there = self._draw(sampler, planner, chunks, cost)
        facts = {**cost, **self._left_out(chunks, there), "tokens": sum(self.spent.values()), "seed": self.inputs.seed}
        facts |= {"drawn_now": self.drawn, **self._speed(), **record.facts(tokens=self.progress.tokens)}
        self._complete(planner, [chunk for chunk in chunks if chunk.index in there], facts)

    def _begin(self) -> None:
        """Begin, or go on from what was drawn with the same seed. With `sampling.seed: null` samples that were made
        again have the same fingerprint and another seed.
        """
        kept = self.made["continuations"]
        begun = kept.begin({"samples": self.inputs.samples.fingerprint, "seed": self.inputs.seed})
        if begun["seed"] != self.inputs.seed and kept.fragment_indices():
            raise StoreError(
                f"branches of {self.partition.key} were begun from samples that were drawn with another seed "
                f"({begun['seed']}, now {self.inputs.seed}); materialize them with `force: true` in the run's config"
            )

    @cached_property
    def known(self) -> KnownContinuations:
        """What earlier generations drew from the same samples; nothing where all is to be made again."""
        if self.again:
            return KnownContinuations.none()
        return KnownContinuations.of(self.store, self.made["continuations"], self.inputs)

    def _say_cost(self, planner: Planner, chunks: Sequence[BranchChunk]) -> dict[str, Any]:
        """What the run will cost, said before it starts; the facts of it."""
        positions = [position for chunk in chunks for position in chunk.positions]
        lengths = Lengths(self.inputs.lengths())
        expected = round(sum(lengths.expected(planner, position) for position in positions))
        most, limit = sum(map(planner.most_tokens, positions)), self.settings.max_tokens
        keys = [
            key
            for chunk in chunks
            for _, one in branches_of(chunk)
            for key in keys_of_branch(one, planner.continuations)
        ]
        there = sum(key in self.known for key in keys)
        branches = sum(len(position.branches) for position in positions)
        self.say(
            f"branches of {self.partition.key}: {branches} tokens at {len(positions)} positions of "
            f"{len({position.response.name for position in positions})} responses, {len(keys)} continuations ({there} "
            f"are there already): about {expected:,} tokens, going by lengths so far, and at most {most:,}"
            + ("" if limit is None else f"; branches.max_tokens allows {limit:,}")
        )
        check_room(
            self.store,
            branches_bytes(len(keys), most, self.inputs.sampling.max_length),
            f"branches of {self.partition.key}",
        )
        return {"expected_tokens": expected, "most_tokens": most, "planned_branches": branches}

    def _draw(
        self, sampler: Sampler, planner: Planner, chunks: Sequence[BranchChunk], cost: Mapping[str, Any]
    ) -> set[int]:
        """Draw what is missing, as far as max_tokens allows; the indices of all chunks that are there then.

        A chunk is begun only if the most tokens it may come to are left after what the chunks before it came to. So the
        limit holds, and which chunks there are does not depend on what was there before. As many as fit whatever
        happens are drawn side by side.
        """
        task, total = self.partition.task, sum(self._size(planner, chunk) for chunk in chunks)
        most, sign = cost["most_tokens"], Signs(self.made["branches"])
        self.progress = Progress("branching", total, self.log, unit="continuations", most_tokens=most, sign=sign)
        done = 0
        thinking = thinking_tags(self.partition, self.inputs.samples)
        with Grader(task.format_type, reward_type=task.reward_type, thinking=thinking) as grader:
            while wave := self._fitting(planner, chunks[done:]):
                self._draw_wave(sampler, planner, wave, _Grading(grader, self.inputs.gold(self.store)))
                done += len(wave)
        if chunks and not done:
            raise SettingsError(
                f"branches.max_tokens: {self.settings.max_tokens:,} is less than the first "
                f"{self._size(planner, chunks[0])} continuations may come to "
                f"({sum(map(planner.most_tokens, chunks[0].positions)):,} tokens); raise it"
            )
        return {chunk.index for chunk in chunks[:done]}

    def _fitting(self, planner: Planner, chunks: Sequence[BranchChunk]) -> list[BranchChunk]:
        """The next chunks that fit into what is left of max_tokens, whatever their lengths will be; no more than memory
        should hold requests for.
        """
        limit = self.settings.max_tokens
        wave: list[BranchChunk] = []
        left = None if limit is None else limit - sum(self.spent.values())
        ids = 0
        for chunk in chunks:
            ids += sum(position.num_ids for position in chunk.positions)
            if left is not None:
                left -= sum(map(planner.most_tokens, chunk.positions))
            if (left is not None and left < 0) or (wave and ids > _MOST_IDS):
                break
            wave.append(chunk)
        return wave

    def _draw_wave(self, sampler: Sampler, planner: Planner, wave: Sequence[BranchChunk], grading: "_Grading") -> None:
        kept = self.made["continuations"]
        there = kept.fragment_indices()
        missing = [chunk for chunk in wave if chunk.index not in there]
        if len(missing) < len(wave):
            self.say(f"resuming: {len(wave) - len(missing)} of {len(wave)} chunks there")
        for chunk in wave:
            if chunk.index in there:
                self.progress.add(self._size(planner, chunk))
                self._finish_chunk(planner, chunk)
        wanted = [
            key
            for chunk in missing
            for _, one in branches_of(chunk)
            if one.end is None
            for key in keys_of_branch(one, planner.continuations)
        ]
        self.drawn += sum(key not in self.known for key in wanted)
        drawing = draw_chunks(
            sampler,
            missing,
            self.inputs.sampling,
            self.inputs.seed,
            planner.continuations,
            self.known,
            self.progress.add_tokens,
            planner.thinking,
        )
        for chunk, found in drawing:
            kept.write_fragment(chunk.index, [grading.table(chunk, found, planner.continuations)])
            self.progress.add(self._size(planner, chunk))
            self._finish_chunk(planner, chunk)

    def _size(self, planner: Planner, chunk: BranchChunk) -> int:
        return sum(len(keys_of_branch(branch, planner.continuations)) for _, branch in branches_of(chunk))

    def _finish_chunk(self, planner: Planner, chunk: BranchChunk) -> None:
        """Count the tokens of a chunk that is drawn, and write its branches where they are not there."""
        rows = self._outcome_rows(chunk)
        self.spent[chunk.index] = sum(row["num_tokens"] for row in rows)
        if chunk.index not in self.made["branches"].fragment_indices():
            outcomes = _outcomes(chunk, rows, greedy=self.inputs.sampling.greedy)
            table = [row for at in chunk.positions for row in ValuedPosition(at, outcomes).branch_rows()]
            self.made["branches"].write_fragment(chunk.index, [pa.Table.from_pylist(table, schema=SCHEMAS["branches"])])

    def _outcome_rows(self, chunk: BranchChunk) -> list[dict[str, Any]]:
        columns = ["problem_id", "sample_index", "position", "token_id", "num_tokens", "reward"]
        rows: list[dict[str, Any]] = self.made["continuations"].read_fragment(chunk.index, columns).to_pylist()
        return rows

    def _left_out(self, chunks: Sequence[BranchChunk], there: set[int]) -> dict[str, Any]:
        """What max_tokens left out, in the log and as facts."""
        left = [position for chunk in chunks if chunk.index not in there for position in chunk.positions]
        facts = {
            "left_out_branches": sum(len(position.branches) for position in left),
            "left_out_positions": len(left),
            "left_out_from": None if not left else f"{left[0].response.name}, position {left[0].place.position}",
        }
        if left:
            self.say(
                f"branches.max_tokens left out {facts['left_out_branches']} branches at {len(left)} positions, all "
                f"from {facts['left_out_from']} on, in the order of the samples"
            )
        return facts

    def _speed(self) -> dict[str, Any]:
        return {"seconds": self.progress.seconds, "tokens_per_second": self.progress.tokens_per_second}

    def _complete(self, planner: Planner, chunks: Sequence[BranchChunk], facts: Mapping[str, Any]) -> None:
        """Write the tables of positions and problems, and the manifests; that of `branches` comes last."""
        greedy = self.inputs.sampling.greedy
        valued: list[ValuedPosition] = []
        for chunk in chunks:
            outcomes = _outcomes(chunk, self._outcome_rows(chunk), greedy=greedy)
            valued += [ValuedPosition(position, outcomes) for position in chunk.positions]
        rows = position_rows(valued, self.inputs.pass_rates())
        tables = {"branch_positions": rows, "branch_problems": problem_rows(rows, self.settings.drop)}
        for name, content in tables.items():
            if 0 not in self.made[name].fragment_indices():
                self.made[name].write_fragment(0, [pa.Table.from_pylist(content, schema=SCHEMAS[name])])
        settings = fingerprints.branch_settings(self.partition)
        for name in (*BRANCH_TABLES[1:], BRANCH_TABLES[0]):
            indices = [0] if name in tables else [chunk.index for chunk in chunks]
            self.made[name].complete(self.inputs.fingerprints, settings, facts, indices)


@dataclass(frozen=True)
class _Grading:
    """Grades continuations as `rewards` grades responses."""

    grader: Grader
    gold: Mapping[str, str]

    def table(self, chunk: BranchChunk, found: Mapping[ContinuationKey, Continuation], continuations: int) -> pa.Table:
        """The table `continuations` of a chunk, in the order of its positions, branches and indices."""
        keyed = [
            (position, key, found[key])
            for position, branch in branches_of(chunk)
            for key in keys_of_branch(branch, continuations)
        ]
        tasks = [self._task(position, one) for position, _, one in keyed]
        rows = [
            {
                **dict(zip(("problem_id", "sample_index", "position", "token_id"), key[0], strict=True)),
                "continuation_index": key[1],
                "token_ids": one.token_ids,
                "token_logprobs": one.logprobs,
                "response": one.response,
                "finish_reason": one.finish_reason,
                "num_tokens": len(one.token_ids),
                "extracted_answer": verdict.extracted_answer,
                "reward": verdict.reward,
                "status": verdict.status,
                "forced_positions": one.forced,
            }
            for (_, key, one), verdict in zip(keyed, self.grader.grade(tasks), strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=SCHEMAS["continuations"])

    def _task(self, position: BranchedPosition, one: Continuation) -> GradingTask:
        problem_id = position.response.problem_id
        return GradingTask(one.response, self.gold[problem_id], problem_id, position.response.prompt)


def _outcomes(chunk: BranchChunk, rows: Sequence[Mapping[str, Any]], *, greedy: bool) -> dict[BranchKey, Outcome]:
    """What the continuations of each of a chunk's branches came to."""
    by_branch: dict[BranchKey, list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["problem_id"], row["sample_index"], row["position"], row["token_id"])
        by_branch.setdefault(key, []).append(row)
    found = {}
    for _, branch in branches_of(chunk):
        of = by_branch[branch.key]
        rewards = [row["reward"] for row in of if row["reward"] is not None]
        begun = branch.key[2] + 1
        mean = begun + sum(row["num_tokens"] for row in of) / len(of)
        found[branch.key] = Outcome(len(rewards), sum(rewards), mean, branch.end is not None or greedy)
    return found
