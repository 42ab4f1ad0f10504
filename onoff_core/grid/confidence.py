"""Make the asset `confidence` of a partition: the table of its responses, and what comes of choosing by it."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from onoff_core.commands import materialize_command
from onoff_core.confidence import Verdicts, Windows, confidence_tables, response_rows
from onoff_core.confidence.responses import COLUMNS, Key
from onoff_core.errors import MissingInputError
from onoff_core.grid import fingerprints
from onoff_core.grid.materialize import Log, Made, already, is_whole
from onoff_core.grid.run_record import RunRecord
from onoff_core.progress import Progress
from onoff_core.statistics import responses_by_problem
from onoff_core.statistics.at_k import asked_ks
from onoff_core.store import Generation, Store, publish_catalog
from onoff_core.store.life_signs import Signs
from onoff_core.store.parquet import conform
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance
from onoff_core.study import ConfidenceSettings, Partition
from onoff_core.tables import CONFIDENCE_TABLES, SCHEMAS

_FEWEST, _MOST, _PER_LENGTH = 16, 2048, 16  # of a window that the settings leave open: a sixteenth of the length
_TOKENS_AT_ONCE = 4096  # rows of token distributions in memory
_WHOLE_AT_ONCE = 256  # the same where each is a whole vocabulary
_OF_SAMPLES = ("problem_id", "sample_index", "forced_positions")

_info: Log = logging.getLogger("onoff").info


def none_asked_for(partition: Partition) -> str:
    """What to say where the settings ask for no confidence."""
    return (
        f"no confidence of {partition.key} is asked for; to get it, write `confidence: {{}}` into onoff.yaml "
        "(docs/confidence.md says what may stand there)"
    )


def materialize_confidence(partition: Partition, store: Store, log: Log | None = None, *, again: bool = False) -> Made:
    """Measure how sure the model was of the partition's current responses. No model is loaded."""
    settings = partition.confidence
    if settings is None:
        raise MissingInputError(none_asked_for(partition))
    say, inputs = log or _info, _inputs(partition, store)
    made_from = {name: generation.fingerprint for name, generation in inputs.items()}
    fingerprint = fingerprints.confidence_fingerprint(partition, **made_from)
    made = {name: store.generation(name, partition.names, fingerprint) for name in CONFIDENCE_TABLES}
    with ExitStack() as held:
        for generation in made.values():
            held.enter_context(store.writing(generation))
        missing = [name for name, generation in made.items() if not is_whole(generation, say, again)]
        if missing:
            _make(partition, settings, inputs, made, missing, say, log)
        for name in CONFIDENCE_TABLES[1:]:
            store.make_current(made[name])
        responses = made["confidence"]
        if not missing:
            return already(store, responses, say)
        store.make_current(responses)
        publish_catalog(store)
        return Made(responses, responses.manifest(), computed=True)


def _inputs(partition: Partition, store: Store) -> dict[str, Generation]:
    """The partition's current ones; raises where one is not there, or is of other samples."""
    key = partition.names
    if store.current("token_distributions", key) is None and store.dropped("token_distributions", key) is not None:
        raise MissingInputError(
            f"the token distributions of {partition.key} were removed to save room, and confidence is made from them; "
            f"to have them again, run: {materialize_command(['token_distributions'], partition.key)}"
        )
    found = {name: store.require(name, key) for name in ("samples", "rewards", "token_distributions")}
    for name in ("rewards", "token_distributions"):
        if found[name].manifest().inputs["samples"] != found["samples"].fingerprint:
            raise MissingInputError(
                f"{name} of {partition.key} are of earlier samples; run: {materialize_command([name], partition.key)}"
            )
    return found


def _make(
    partition: Partition,
    settings: ConfidenceSettings,
    inputs: Mapping[str, Generation],
    made: Mapping[str, Generation],
    missing: list[str],
    say: Log,
    log: Log | None,
) -> None:
    """Write what is missing: fragments of the responses first, then the tables that are made of all of them."""
    responses = made["confidence"]
    record = RunRecord(responses) if "confidence" in missing else None
    windows = _windows(settings, inputs, say, partition)
    progress = Progress("confidence", inputs["samples"].manifest().num_rows, log, sign=Signs(responses))
    indices, there = sorted(inputs["token_distributions"].fragment_indices()), responses.fragment_indices()
    if there:
        say(f"resuming: {len(there & set(indices))} of {len(indices)} chunks there")
    for index in indices:
        if index not in there:
            rows = list(response_rows(_batches(inputs, index, windows), windows, _forced(inputs["samples"], index)))
            responses.write_fragment(index, [pa.Table.from_pylist(rows, schema=SCHEMAS["confidence"])])
            progress.add(len(rows))
    decided = fingerprints.confidence_settings(partition)
    made_from = {name: generation.fingerprint for name, generation in inputs.items()}
    facts: dict[str, Any] = {"window": windows.window, "tail": windows.tail, "top_k": windows.top_k}
    beside = [name for name in missing if name != "confidence"]
    tables = _tables(partition, settings, windows, responses, inputs["rewards"]) if beside else {}
    for name in beside:
        made[name].write_fragment(0, [tables[name]])
        made[name].complete(made_from, decided, facts, [0])
    if record is not None:
        facts |= {"seconds": progress.seconds, **record.facts()}
        responses.complete(made_from, decided, facts, indices)


def _windows(settings: ConfidenceSettings, inputs: Mapping[str, Generation], say: Log, partition: Partition) -> Windows:
    """The sizes that the settings say, or leave to the length of the responses."""
    drawn = SamplesProvenance.of(inputs["samples"].manifest()).sampling
    longest = _longest(inputs["samples"]) if drawn is None else drawn.max_length
    window = settings.window or min(_MOST, max(_FEWEST, longest // _PER_LENGTH))
    scores = ScoresProvenance.of(inputs["token_distributions"].manifest())
    kept = min(scores.vocab_size, scores.top_k or scores.vocab_size)
    if kept < settings.top_k:
        say(f"confidence of {partition.key}: of the {kept} most probable tokens, since distributions keep no more")
    return Windows(
        window=window,
        tail=settings.tail or window,
        top_k=min(kept, settings.top_k),
        vocab_size=scores.vocab_size,
        ordered=scores.top_k is not None,
    )


def _longest(samples: Generation) -> int:
    return max((max(table["num_tokens"].to_pylist(), default=0) for table in samples.tables(["num_tokens"])), default=0)


def _batches(inputs: Mapping[str, Generation], index: int, windows: Windows) -> Iterator[pa.RecordBatch]:
    distributions = inputs["token_distributions"]
    there = set(distributions.column_names(index))
    columns = [name for name in COLUMNS if name in there]
    return distributions.batches(index, columns, _TOKENS_AT_ONCE if windows.ordered else _WHOLE_AT_ONCE)


def _forced(samples: Generation, index: int) -> dict[Key, list[int]]:
    """The positions of tokens that were put in, of each response that has some."""
    wanted = pa.schema([SCHEMAS["samples"].field(name) for name in _OF_SAMPLES])
    table = conform(samples.read_fragment(index, wanted.names), wanted, samples.folder)
    problems, indices, forced = (table[name].to_pylist() for name in _OF_SAMPLES)
    found = zip(problems, indices, forced, strict=True)
    return {(problem, index): positions for problem, index, positions in found if positions}


def _tables(
    partition: Partition, settings: ConfidenceSettings, windows: Windows, responses: Generation, rewards: Generation
) -> dict[str, pa.Table]:
    verdicts = rewards.read()
    ks = asked_ks(partition.statistics.k, list(responses_by_problem(verdicts).values()))
    rows = responses.read().to_pylist()
    return confidence_tables(rows, Verdicts.of(verdicts), windows, ks, settings.warm_up, settings.subsets)
