"""Make one asset of one partition: the whole of what an asset body does.

Each function goes on from what an earlier, interrupted run left, does nothing where the result is complete, and
publishes the catalog at the end. `log` takes the lines a person should see. `again`: make it although it is there.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import pyarrow as pa

from onoff_core.backends import generation_defaults, open_tokenizer
from onoff_core.backends.contract import Sampler
from onoff_core.backends.vocabulary import Vocabulary
from onoff_core.errors import ModelError, SettingsError, StoreError
from onoff_core.grid import fingerprints
from onoff_core.grid.grading import fill_rewards
from onoff_core.grid.mismatch_tables import keep_mismatch
from onoff_core.grid.part_tables import keep_parts
from onoff_core.grid.problem_versions import keep_problems_version
from onoff_core.grid.recorded import as_recorded
from onoff_core.grid.run_record import RunRecord
from onoff_core.grid.statistics_tables import keep_comparisons, names_of_statistics, statistics_tables
from onoff_core.problems import Problem, load_problems, problems_version
from onoff_core.store import Generation, Manifest, Store, publish_catalog
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import Partition, SamplingSettings
from onoff_core.study.checking import validate
from onoff_core.tables import SCHEMAS, TABLES

Log = Callable[[str], None]
T = TypeVar("T")

info: Log = logging.getLogger("onoff").info


@dataclass(frozen=True)
class Made:
    """A complete generation, and whether this call computed anything of it."""

    generation: Generation
    manifest: Manifest
    computed: bool


def materialize_samples(
    partition: Partition, store: Store, log: Log | None = None, *, again: bool = False, ad_hoc: bool = False
) -> Made:
    """Draw the partition's responses. `ad_hoc`: of a partition that is not quite what the settings say; other models'
    results are still read with the data set's problems as they were.
    """
    say, partition = log or info, as_recorded(partition, store)
    problems = load_problems(partition.dataset, partition.dataset_settings, partition.base_dir)
    version = problems_version(problems)
    if not ad_hoc:
        keep_problems_version(partition.dataset, partition.dataset_settings, partition.base_dir, store, version)
    fingerprint = fingerprints.samples_fingerprint(partition, version)
    generation = store.generation("samples", (partition.dataset, partition.model), fingerprint)
    with store.writing(generation):
        keep_problems(store, partition.dataset, problems, version, replace_current=not ad_hoc)
        if is_whole(generation, say, again):
            _mend_vocabulary(partition, store)
            return already(store, generation, say)
        settings = fingerprints.sampling_settings(partition)
        taken = _model_defaults(partition)
        partition = replace(partition, sampling=partition.sampling.model_copy(update=taken))
        _check_until(partition)
        facts: dict[str, Any] = {}
        if partition.sampling.generation_defaults is not None:
            settings = {**settings, "sampling": {**settings["sampling"], **taken}}
            facts = {"generation_defaults": taken}
        indices, of_run = _sample(partition, store, generation, problems, settings, version, again, say, log)
        return finish(store, generation, {"problems": version}, settings, {**of_run, **facts}, indices)


def _model_defaults(partition: Partition) -> dict[str, Any]:
    """The values of the sampling settings that are left to the model, as far as its generation_config.json has them."""
    left = partition.sampling.left_to_model
    if not left:
        return {}
    found = generation_defaults(partition.model, partition.model_settings, partition.base_dir)
    taken = {name: found[name] for name in left if name in found}
    checked = validate(
        SamplingSettings, taken, partition.base_dir, f"generation_config.json of models.{partition.model}"
    )
    return {name: getattr(checked, name) for name in taken}


def _check_until(partition: Partition) -> None:
    """Raise a `SettingsError` where the model's own settings make `sampling.until` meaningless."""
    if partition.sampling.until is not None and partition.sampling.greedy:
        raise SettingsError(
            f"sampling.until of {partition.key} needs responses that differ, and the model's generation_config.json, "
            "which sampling.generation_defaults asks for, makes them greedy; set sampling.temperature, or num_samples"
        )


def _sample(
    partition: Partition,
    store: Store,
    generation: Generation,
    problems: tuple[Problem, ...],
    settings: Mapping[str, Any],
    version: str,
    again: bool,
    say: Log,
    log: Log | None,
) -> tuple[list[int], dict[str, Any]]:
    """Draw the missing fragments of a generation. Returns the indices of all its fragments, and the run's facts."""
    from onoff_core.grid.drawing import Drawing
    from onoff_core.grid.until import Until

    def keep(sampler: Sampler) -> None:
        keep_vocabulary(store, partition.model, sampler.tokenizer.vocabulary)

    with Drawing(partition, store, generation, problems, keep, say, log) as drawing:
        pieces = drawing.begin(settings, version, again)
        record = RunRecord(generation)
        num_samples, of_rounds = partition.sampling.num_samples, dict[str, Any]()
        if partition.sampling.until is None:
            drawing.fill(pieces.up_to(num_samples))
        else:
            rounds = Until(drawing, problems, partition.sampling.until)
            num_samples = rounds.draw(pieces)
            of_rounds = rounds.facts
        if not drawing.opened:
            _mend_vocabulary(partition, store)
        return drawing.indices, {
            **drawing.facts(record, num_samples),
            **series_facts(partition),
            **of_rounds,
        }


def series_facts(partition: Partition) -> dict[str, Any]:
    """Which step of which training run the model is: for the time when the study has it no longer."""
    model = partition.model_settings
    return {} if model.series is None else {"series": model.series, "step": model.step}


def materialize_rewards(partition: Partition, store: Store, log: Log | None = None, *, again: bool = False) -> Made:
    """Grade the partition's current samples."""
    say, key = log or info, (partition.dataset, partition.model)
    samples = store.require("samples", key)
    generation = store.generation("rewards", key, fingerprints.rewards_fingerprint(partition, samples.fingerprint))
    with store.writing(generation):
        if is_whole(generation, say, again):
            return already(store, generation, say)
        record = RunRecord(generation)
        facts = fill_rewards(partition, store, samples, generation, say, log, again)
        inputs = {"samples": samples.fingerprint, "problems": samples.manifest().inputs["problems"]}
        settings = fingerprints.reward_settings(partition)
        return finish(store, generation, inputs, settings, {**facts, **record.facts()}, samples.fragment_indices())


def materialize_statistics(partition: Partition, store: Store, log: Log | None = None, *, again: bool = False) -> Made:
    """Summarise the partition's current rewards, each problem's too, and compare the data set's models anew."""
    say, key = log or info, (partition.dataset, partition.model)
    rewards = store.require("rewards", key)
    fingerprint = fingerprints.statistics_fingerprint(partition, rewards.fingerprint)
    made_together = [store.generation(name, key, fingerprint) for name in names_of_statistics(partition)]
    generation = made_together[-1]
    with ExitStack() as held:
        for made in made_together:
            held.enter_context(store.writing(made))
        missing = [made for made in made_together if not is_whole(made, say, again)]
        if missing:
            records = {made.asset: RunRecord(made) for made in missing}
            tables = statistics_tables(partition, store, rewards)
            settings = fingerprints.statistics_settings(partition)
            for made in missing:
                made.write_fragment(0, [tables.by_name[made.asset]])
                made.complete(tables.made_from, settings, records[made.asset].facts(), [0])
        for made in made_together[:-1]:
            store.make_current(made)
    keep_comparisons(partition, store)
    if not missing:
        return already(store, generation, say)
    store.make_current(generation)
    publish_catalog(store)
    return Made(generation, generation.manifest(), computed=True)


def materialize_token_distributions(
    partition: Partition, store: Store, log: Log | None = None, *, again: bool = False
) -> Made:
    """Score every token of the partition's current samples."""
    say, key = log or info, (partition.dataset, partition.model)
    samples = store.require("samples", key)
    if SamplesProvenance.of(samples.manifest()).ids_from_text:
        raise ModelError(
            f"the samples of {'|'.join(key)} come from an API that returns no token ids (ids: from text); what stands "
            "in their place was tokenized from the text, so there are no token distributions of it. Sample through a "
            "server that returns token ids, such as vLLM"
        )
    fingerprint = fingerprints.token_distributions_fingerprint(partition, samples.fingerprint)
    generation = store.generation("token_distributions", key, fingerprint)
    with store.writing(generation):
        if is_whole(generation, say, again):
            made = already(store, generation, say)
        else:
            facts = _extract(partition, store, samples, generation, again, say, log)
            settings = fingerprints.distribution_settings(partition)
            inputs = {"samples": samples.fingerprint}
            made = finish(store, generation, inputs, settings, facts, samples.fragment_indices())
        told = [
            keep_mismatch(store, samples, generation, say, again),
            keep_parts(partition, store, samples, generation, again),
        ]
        if any(told):
            publish_catalog(store)
        return made


def _extract(
    partition: Partition,
    store: Store,
    samples: Generation,
    generation: Generation,
    again: bool,
    say: Log,
    log: Log | None,
) -> dict[str, Any]:
    from onoff_core.grid.scoring import fill_distributions

    return fill_distributions(partition, store, samples, generation, say, log, again)


def is_whole(generation: Generation, say: Log = info, again: bool = False) -> bool:
    """Whether the generation is complete and undamaged. What is damaged is set aside, and so is made again, alone; all
    of it where it is to be made again.
    """
    if again:
        generation.set_aside_all()
        return False
    damaged = generation.set_aside_damaged()
    for name, wrong in damaged.items():
        say(f"{generation.folder}/{name} is damaged and is made again: {wrong}")
    return generation.is_complete and not damaged


def keep_problems(
    store: Store, dataset: str, problems: tuple[Problem, ...], version: str, replace_current: bool = True
) -> None:
    """Keep the problems beside the results, since readers need questions and gold answers and never load a data set."""
    generation = store.generation("problems", (dataset,), version)
    with store.writing(generation):
        if not is_whole(generation):
            table = pa.Table.from_pylist([asdict(problem) for problem in problems], schema=SCHEMAS["problems"])
            generation.write_fragment(0, [table])
            generation.complete({}, {}, {}, [0])
        if replace_current or store.current("problems", (dataset,)) is None:
            store.make_current(generation)


def keep_vocabulary(store: Store, model: str, vocabulary: Vocabulary) -> None:
    """Keep what token ids stand for, so that readers need no tokenizer."""
    pieces, special = vocabulary.pieces, vocabulary.special
    table = pa.table(
        {"token_id": list(range(len(pieces))), "piece": list(pieces), "special": list(special)},
        schema=SCHEMAS["vocabulary"],
    )
    content = [[piece.hex(), flag] for piece, flag in zip(pieces, special, strict=True)]
    generation = store.generation("vocabulary", (model,), fingerprints.fingerprint_of(content))
    with store.writing(generation):
        if not is_whole(generation):
            generation.write_fragment(0, [table])
            generation.complete({}, {}, {}, [0])
        store.make_current(generation)


def _mend_vocabulary(partition: Partition, store: Store) -> None:
    """Make a damaged or missing vocabulary again. It needs the tokenizer, which complete samples do not load."""
    vocabulary = store.current("vocabulary", (partition.model,))
    if vocabulary is None or vocabulary.damage():
        tokenizer = open_tokenizer(partition.model, partition.model_settings, partition.base_dir)
        keep_vocabulary(store, partition.model, tokenizer.vocabulary)


def _say_resuming(say: Log, chunks: Any, missing: Any) -> None:
    if len(missing) < len(chunks):
        say(f"resuming: {len(chunks) - len(missing)} of {len(chunks)} chunks there")


def already(store: Store, generation: Generation, say: Log) -> Made:
    """Make a generation that is complete already the current one."""
    say(f"{generation.asset} of {'|'.join(generation.partition)} is complete under these settings; nothing to do")
    current = store.current(generation.asset, generation.partition)
    if current is None or current.fingerprint != generation.fingerprint:
        store.make_current(generation)
        publish_catalog(store)
    return Made(generation, generation.manifest(), computed=False)


def finish(
    store: Store,
    generation: Generation,
    inputs: Mapping[str, str],
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    indices: Collection[int] | None = None,
) -> Made:
    """Complete a generation of these fragments (None: of all), make it current and publish the catalog."""
    for asset, fingerprint in inputs.items():
        names = generation.partition[: len(TABLES[asset].partitioned_by)]
        if not store.generation(asset, names, fingerprint).is_complete:
            raise StoreError(
                f"{generation.asset} of {'|'.join(generation.partition)}: the {asset} that it was made from is gone "
                f"from {store.root}; was the store removed or replaced during the run? Run the same again"
            )
    manifest = generation.complete(inputs, settings, facts, indices)
    store.make_current(generation)
    publish_catalog(store)
    return Made(generation, manifest, computed=True)
