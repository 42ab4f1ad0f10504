"""What is left to make of a partition: which assets, of how many responses, of how many tokens where that is known."""

from collections.abc import Iterable

from onoff_core.errors import DatasetError, OnoffError
from onoff_core.grid.plan_estimate import PartitionEstimate, Work, estimate
from onoff_core.grid.plan_measured import Measurements
from onoff_core.grid.plan_text import log_line
from onoff_core.grid.problem_versions import kept_problems_version
from onoff_core.grid.scoring import is_scored_alike
from onoff_core.grid.status import CurrentGenerations, partition_status, wanted_cross, wanted_now
from onoff_core.grid.taking_over import Source, expected
from onoff_core.problems import load_problems, problems_version
from onoff_core.store import Generation, Store, current_generations
from onoff_core.study import Partition

_TAKEN_OVER = ("rewards", "token_distributions")  # response by response, with the samples
_DONE = ("complete", "imported", "dropped")


def estimates(partitions: Iterable[Partition], store: Store, measured: Measurements) -> list[PartitionEstimate]:
    """What is missing or stale of each partition would take; those that are complete are left out."""
    known = current_generations(store)
    return [found for one in partitions if (found := _estimates(one, store, known, measured)) is not None]


def estimate_line(partitions: Iterable[Partition], store: Store) -> str:
    """What these would take, in one line for a log; where nothing can be said, why. Raises nothing that a user can
    mend: a night goes on without it.
    """
    try:
        return log_line(estimates(partitions, store, Measurements(store)))
    except OnoffError as error:
        return f"not estimated: {error}"


def _estimates(
    partition: Partition, store: Store, known: CurrentGenerations, measured: Measurements
) -> PartitionEstimate | None:
    try:
        version, num_problems = _problems_now(partition, store)
    except DatasetError as error:
        return PartitionEstimate(partition, (), f"the data set cannot be read: {error}")
    try:
        works = works_of(partition, store, known, version, num_problems)
    except OnoffError as error:  # such as a model's folder that is not there
        return PartitionEstimate(partition, (), str(error))
    return estimate(partition, works, measured) if works else None


def _problems_now(partition: Partition, store: Store) -> tuple[str, int]:
    """(version, number) of the problems that the settings name now. The data set is read only where the store does not
    know them.
    """
    name, settings, base_dir = partition.dataset, partition.dataset_settings, partition.base_dir
    kept = kept_problems_version(name, settings, base_dir, store)
    if kept is not None:
        generation = store.generation("problems", (name,), kept)
        if generation.is_complete:
            return kept, generation.manifest().num_rows
    problems = load_problems(name, settings, base_dir)
    return problems_version(problems), len(problems)


def works_of(
    partition: Partition, store: Store, known: CurrentGenerations, version: str, num_problems: int
) -> list[Work]:
    """The assets that are neither complete nor left alone on purpose, in the order in which they are made."""
    states = partition_status(partition, version, store, known)
    wanted = wanted_now(partition, version, store, known.get(("samples", partition.names)))
    there = store.current("samples", partition.names) if states["samples"] in ("complete", "imported") else None
    asked = num_problems * partition.sampling.most_samples
    until = partition.sampling.until
    least = asked if until is None else num_problems * until.least
    taken_over = None
    if states["samples"] in ("stale", "missing"):
        taken_over = expected(partition, store, version)
    works = []
    for asset, state in states.items():
        if state in _DONE:
            continue
        if asset == "cross_scores":
            works.append(_cross_work(partition, store, state, there, asked, wanted["samples"]))
            continue
        made = store.generation(asset, partition.names, wanted[asset])
        taken = taken_over.taken if taken_over is not None and _has_rows(store, asset, taken_over.source) else 0
        if there is not None and asset != "samples":
            works.append(_work_on(partition, store, asset, state, made, there))
        else:
            done = _num_rows(made) if asset == "samples" else 0
            left = max(0, asked - taken - done)
            at_least = max(0, left - asked + least) if least < asked else None
            works.append(Work(asset, state, left, at_least=at_least, taken_over=taken))
    return works


def _has_rows(store: Store, asset: str, source: Source) -> bool:
    """Whether what would be taken over of the samples has rows of this asset, too."""
    if asset == "samples":
        return True
    current = store.current(asset, source.generation.partition) if asset in _TAKEN_OVER else None
    return current is not None and current.manifest().inputs["samples"] == source.generation.fingerprint


def _work_on(partition: Partition, store: Store, asset: str, state: str, made: Generation, samples: Generation) -> Work:
    """Of samples that are there. `made`: the generation that is wanted, of which a part may be there."""
    left = sorted(samples.fragment_indices() - made.fragment_indices())
    tables = [samples.read_fragment(index, ["num_tokens"]) for index in left]
    tokens = sum(sum(table["num_tokens"].to_pylist()) for table in tables)
    responses = sum(table.num_rows for table in tables)
    if asset == "token_distributions" and _is_scored(partition, store, made, samples):
        return Work(asset, state, 0, 0, taken_over=responses, tokens_taken_over=tokens)
    return Work(asset, state, responses, tokens)


def _is_scored(partition: Partition, store: Store, made: Generation, samples: Generation) -> bool:
    """Whether these samples were scored before under settings that differ in nothing but a larger top-k."""
    formers = (one for one in store.generations(made.asset, made.partition) if one.is_complete)
    return any(
        manifest.inputs["samples"] == samples.fingerprint and is_scored_alike(partition, manifest)
        for manifest in (one.manifest() for one in formers)
        if manifest.fingerprint != made.fingerprint
    )


def _num_rows(made: Generation) -> int:
    return sum(made.read_fragment(index, ["problem_id"]).num_rows for index in made.fragment_indices())


def _cross_work(
    partition: Partition, store: Store, state: str, samples: Generation | None, asked: int, fingerprint: str
) -> Work:
    """Every text once for each reference that is not done."""
    wanted = wanted_cross(partition, fingerprint)
    currents = {name: store.current("cross_scores", (*partition.names, name)) for name in wanted}
    left = sum(one is None or one.fingerprint != wanted[name] for name, one in currents.items())
    if samples is None:
        return Work("cross_scores", state, asked * left)
    tokens = sum(sum(table["num_tokens"].to_pylist()) for table in samples.tables(["num_tokens"]))
    return Work("cross_scores", state, samples.manifest().num_rows * left, tokens * left)
