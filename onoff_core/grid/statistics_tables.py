"""Make the tables of the asset `statistics` of a partition, and the comparisons of its data set's models."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from onoff_core.grid import fingerprints
from onoff_core.grid.thinking import thoughts_of
from onoff_core.grid.until import sequence_of
from onoff_core.statistics import (
    comparison_table,
    problem_statistics,
    responses_by_problem,
    responses_of_table,
    summarise,
)
from onoff_core.statistics.at_k import asked_ks
from onoff_core.statistics.sequence import as_matrix
from onoff_core.statistics.thinking import thinking_budgets
from onoff_core.store import Generation, Store
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import Partition, Study
from onoff_core.tables import SCHEMAS


@dataclass(frozen=True)
class StatisticsTables:
    """The tables made from one generation of rewards."""

    by_name: dict[str, pa.Table]
    made_from: dict[str, str]


def names_of_statistics(partition: Partition) -> tuple[str, ...]:
    """The tables of the asset that the partition asks for, `statistics` last."""
    budgets = () if partition.task.thinking is None else ("thinking_budgets",)
    return ("problem_statistics", *budgets, "statistics")


def statistics_tables(partition: Partition, store: Store, rewards: Generation) -> StatisticsTables:
    """Summarise rewards, and count the responses that are missing.

    The settings of samples that were drawn here say how many responses each problem should have. Imported samples do
    not say so, so the responses that are there count as all.
    """
    key, inputs = (partition.dataset, partition.model), rewards.manifest().inputs
    generation = store.generation("samples", key, inputs["samples"])
    samples, verdicts = generation.read(), rewards.read()
    how = SamplesProvenance.of(generation.manifest())
    num_samples = how.num_samples
    if num_samples is None:
        problems = responses_by_problem(verdicts)
    else:
        asked = store.generation("problems", (partition.dataset,), inputs["problems"]).read()
        problems = responses_by_problem(verdicts, num_samples, asked["problem_id"].to_pylist())
    ks = asked_ks(partition.statistics.k, list(problems.values()))
    thoughts = thoughts_of(partition, store, generation)
    row = {**summarise(samples, verdicts, problems, ks, thoughts), **_where_it_stopped(how, verdicts)}
    by_name = {
        "statistics": pa.Table.from_pylist([row], schema=SCHEMAS["statistics"]),
        "problem_statistics": problem_statistics(problems, verdicts, samples, thoughts),
        **({} if thoughts is None else {"thinking_budgets": thinking_budgets(thoughts, verdicts)}),
    }
    return StatisticsTables(by_name, {"rewards": rewards.fingerprint, "samples": inputs["samples"]})


def _where_it_stopped(how: SamplesProvenance, rewards: pa.Table) -> dict[str, Any]:
    """Of samples that were drawn until the accuracy was known well enough: the interval by these rewards."""
    if how.sampling is None or how.sampling.until is None:
        return {}
    found: dict[str, dict[int, int | None]] = {}
    columns = (rewards[name].to_pylist() for name in ("problem_id", "sample_index", "reward"))
    for problem_id, sample, reward in zip(*columns, strict=True):
        found.setdefault(problem_id, {})[sample] = reward
    low, high = sequence_of(how.sampling.until).interval(as_matrix(found)) or (None, None)
    return {
        "until_stopped": how.stopped,
        "until_num_samples": how.num_samples,
        "until_low": low,
        "until_high": high,
    }


def keep_comparisons(partition: Partition, store: Store) -> None:
    """Compare all models that have statistics on the partition's data set, unless that is done; publishes nothing.

    Two partitions of the data set may finish at once. Each looks again after its own comparisons are current, so the
    one that comes last has seen both.
    """
    while True:
        there = _current(store, partition.dataset)
        fingerprint = _fingerprint(partition, there)
        generation = store.generation("comparisons", (partition.dataset,), fingerprint)
        with store.writing(generation):
            if generation.set_aside_damaged() or not generation.is_complete:
                models = {model: responses_of_table(made.read()) for model, made in there.items()}
                asked = asked_ks(partition.statistics.k, [one for of in models.values() for one in of.values()])
                generation.write_fragment(0, [comparison_table(models, asked)])
                facts = {"problem_statistics": {model: made.fingerprint for model, made in there.items()}}
                generation.complete({}, fingerprints.statistics_settings(partition), facts, [0])
            store.make_current(generation)
        if _fingerprint(partition, _current(store, partition.dataset)) == fingerprint:
            return


def renew_comparisons(study: Study, store: Store) -> None:
    """Compare the models of each data set of the study anew where they are not the ones that were compared, such as
    after one has got another name; publishes nothing.
    """
    for partition in {partition.dataset: partition for partition in study.partitions.values()}.values():
        if _current(store, partition.dataset) or store.current("comparisons", (partition.dataset,)) is not None:
            keep_comparisons(partition, store)


def _current(store: Store, dataset: str) -> dict[str, Generation]:
    """The current `problem_statistics` of every model of a data set."""
    keys = sorted(key for key in store.partitions("problem_statistics") if key[0] == dataset)
    found = {key[1]: store.current("problem_statistics", key) for key in keys}
    return {model: generation for model, generation in found.items() if generation is not None}


def _fingerprint(partition: Partition, there: dict[str, Generation]) -> str:
    return fingerprints.comparisons_fingerprint(partition, {model: made.fingerprint for model, made in there.items()})
