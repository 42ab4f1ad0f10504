"""What branches are made from: a partition's samples, rewards and distributions, checked to belong together."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.branches.positions import BranchedResponse
from onoff_core.commands import materialize_command
from onoff_core.errors import MissingInputError, ModelError
from onoff_core.grid import fingerprints
from onoff_core.grid.recorded import as_recorded
from onoff_core.rewards import whole_gold
from onoff_core.store import Generation, Store
from onoff_core.store.by_problem import ByProblem
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance
from onoff_core.study import BranchSettings, Partition, SamplingSettings, TaskSettings
from onoff_core.tables import SCHEMAS

_LEAST_KEPT = 2  # tokens of a whole-vocabulary distribution that are looked at
_COLUMNS = ["position", "logprob", "entropy", "topk_ids", "topk_logprobs"]
_STATUS = {"wrong": (0,), "correct": (1,), "any": (0, 1)}  # -> the rewards of the responses that are meant


@dataclass(frozen=True)
class BranchInputs:
    """The generations that branches are made from, and how the samples were drawn."""

    samples: Generation
    rewards: Generation
    token_distributions: Generation
    sampling: SamplingSettings
    seed: int
    temperature: float  # of the distributions

    @property
    def fingerprints(self) -> dict[str, str]:
        made_from = (self.token_distributions, self.rewards, self.samples)
        return {generation.asset: generation.fingerprint for generation in made_from}

    @staticmethod
    def of(partition: Partition, store: Store) -> "BranchInputs":
        """The partition's current ones; raises where one is not there, is of other samples, or is no model's tokens."""
        key = partition.names
        samples, rewards, scores = (store.require(name, key) for name in ("samples", "rewards", "token_distributions"))
        for made in (rewards, scores):
            if made.manifest().inputs["samples"] != samples.fingerprint:
                raise MissingInputError(
                    f"{made.asset} of {partition.key} are of earlier samples; run: "
                    f"{materialize_command([made.asset], partition.key)}"
                )
        how = SamplesProvenance.of(samples.manifest())
        _check_ids(partition, how)
        _check_model(partition, store, how)
        settings = partition.sampling if how.sampling is None else how.sampling
        seed = partition.sampling.seed if how.seed is None else how.seed
        return BranchInputs(
            samples,
            rewards,
            scores,
            settings.model_copy(update={"batch_size": partition.sampling.batch_size}),
            0 if seed is None else seed,
            ScoresProvenance.of(scores.manifest()).temperature,
        )

    def task(self, partition: Partition) -> TaskSettings:
        """The task, with the tags that a thinking budget of the samples closed by."""
        drawn = SamplesProvenance.of(self.samples.manifest())
        if drawn.thinking is None or self.sampling.thinking_budget is None:
            return partition.task
        return partition.task.model_copy(update={"thinking": drawn.thinking})

    def lengths(self) -> dict[str, list[int]]:
        """The tokens of each problem's responses."""
        found: dict[str, list[int]] = defaultdict(list)
        for table in self.samples.tables(["problem_id", "num_tokens"]):
            for problem_id, count in zip(table["problem_id"].to_pylist(), table["num_tokens"].to_pylist(), strict=True):
                found[problem_id].append(count)
        return dict(found)

    def pass_rates(self) -> dict[str, tuple[int, int]]:
        """(correct, graded) of each problem's responses."""
        found: dict[str, tuple[int, int]] = {}
        verdicts = self.rewards.read()
        for problem_id, reward in zip(verdicts["problem_id"].to_pylist(), verdicts["reward"].to_pylist(), strict=True):
            correct, graded = found.get(problem_id, (0, 0))
            found[problem_id] = (correct + (reward or 0), graded + (reward is not None))
        return found

    def gold(self, store: Store) -> dict[str, str]:
        """The gold answer of each problem, as `rewards` grades by it."""
        version = self.rewards.manifest().inputs["problems"]
        problems = store.generation("problems", (self.samples.partition[0],), version).read()
        columns = (problems[name].to_pylist() for name in ("problem_id", "answer", "solution"))
        return {problem: whole_gold(answer, solution) for problem, answer, solution in zip(*columns, strict=True)}

    def responses(self, store: Store, settings: BranchSettings) -> Iterator[BranchedResponse]:
        """The responses that are gone back into, in the order of the samples."""
        rewards = _rewards(self.rewards)
        wanted = _STATUS[settings.responses.status]
        kept = max(settings.alternatives.top_k, _LEAST_KEPT)
        for responses in ByProblem.of(store, self.samples, SCHEMAS["samples"].names).problems():
            taken = 0
            for one in responses:
                reward = rewards[one.row["problem_id"], one.row["sample_index"]]
                if reward in wanted and taken < settings.responses.per_problem:
                    taken += 1
                    yield self._response(one.fragment, {**one.row, "reward": reward}, kept)

    def _response(self, index: int, row: Mapping[str, Any], kept: int) -> BranchedResponse:
        where = {"problem_id": row["problem_id"], "sample_index": row["sample_index"]}
        table = self.token_distributions.read_rows(index, where, _COLUMNS).sort_by("position")
        if table.num_rows != len(row["token_ids"]):
            raise ModelError(
                f"problem {row['problem_id']}, sample {row['sample_index']} has {len(row['token_ids'])} token ids, but "
                f"{table.num_rows} distributions; materialize token_distributions again"
            )
        ids, logprobs = _most_probable(table, kept)
        return BranchedResponse(
            problem_id=row["problem_id"],
            sample_index=row["sample_index"],
            prompt=row["prompt"],
            prompt_ids=tuple(row["prompt_token_ids"]),
            token_ids=tuple(row["token_ids"]),
            reward=row["reward"],
            entropy=table["entropy"].to_numpy(),
            logprob=table["logprob"].to_numpy(),
            topk_ids=ids,
            topk_logprobs=logprobs,
            forced=frozenset(row.get("forced_positions") or ()),  # older samples have no such column
        )


def _rewards(generation: Generation) -> dict[tuple[str, int], int | None]:
    verdicts = generation.read()
    columns = (verdicts[name].to_pylist() for name in ("problem_id", "sample_index", "reward"))
    return {(problem_id, sample): reward for problem_id, sample, reward in zip(*columns, strict=True)}


def _most_probable(table: pa.Table, kept: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ids and log-probabilities by falling probability, (num_tokens, k) each. Of whole-vocabulary rows, which are in
    the order of ids, the `kept` most probable.
    """
    logprobs = np.stack(table["topk_logprobs"].to_numpy())
    if table["topk_ids"].null_count == 0:
        return np.stack(table["topk_ids"].to_numpy()), logprobs
    ids = np.argsort(-logprobs, axis=1, kind="stable")[:, :kept]
    return ids, np.take_along_axis(logprobs, ids, 1)


def _check_ids(partition: Partition, how: SamplesProvenance) -> None:
    come_from = how.token_ids_from or ""  # may name two places, the text one of them
    if how.ids_from_text or "tokenizing the text" in come_from:
        some = "" if how.ids_from_text or come_from == "tokenizing the text" else "some of "
        raise ModelError(
            f"{some}the samples of {partition.key} came as text, and their token ids are that text tokenized, not "
            "what a model drew; there are no branches of them. Sample here, or through a server that returns token ids"
        )


def _check_model(partition: Partition, store: Store, how: SamplesProvenance) -> None:
    """Continuations of another model would be no continuations of these responses."""
    if how.imported:
        return
    if how.model != fingerprints.sampling_settings(as_recorded(partition, store))["model"]:
        raise MissingInputError(
            f"the samples of {partition.key} are of another model than the settings name now; run: "
            f"{materialize_command(['samples', 'rewards', 'token_distributions'], partition.key)}"
        )
