"""Make the tables that hold an imported rollout's log-probabilities against ours; of other samples there are none."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from onoff_core.statistics.mismatch import Compared, partition_row, response_row
from onoff_core.store import Generation, Store
from onoff_core.store.parquet import conform
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance
from onoff_core.tables import SCHEMAS

MISMATCH = ("rollout_mismatch", "rollout_mismatch_statistics")
PAIRS = (("ours", "rollout"), ("trainer", "rollout"), ("ours", "trainer"))
_COLUMNS = ("problem_id", "sample_index", "num_tokens", "rollout_logprobs", "trainer_logprobs")


def keep_mismatch(
    store: Store, samples: Generation, distributions: Generation, say: Callable[[str], None], again: bool = False
) -> bool:
    """Compare what was imported with what was scored, unless that is done; publishes nothing. Returns whether there is
    something to publish. `again`: make it although it is there. `say` is told what came of it.
    """
    temperature = SamplesProvenance.of(samples.manifest()).logprobs_temperature
    if temperature is None:
        return False
    made = [store.generation(name, distributions.partition, distributions.fingerprint) for name in MISMATCH]
    with store.writing(made[0]), store.writing(made[1]):
        damaged = [one for one in made if one.set_aside_damaged()]
        if not damaged and not again and all(one.is_complete for one in made):
            changed = [_make_current(store, one) for one in made]
            return any(changed)
        tables = _tables(samples, distributions, temperature)
        manifest = distributions.manifest()
        for one, table in zip(made, tables, strict=True):
            one.write_fragment(0, [table])
            one.complete(manifest.inputs, manifest.settings, {}, [0])
            store.make_current(one)
    for row in tables[1].to_pylist():
        say(_sentence(row))
    return True


def _sentence(row: dict[str, Any]) -> str:
    """A pair of log-probabilities, for a run's log."""
    pair = f"{row['numerator']} against {row['denominator']}"
    if row["k3"] is None:
        return f"{pair}: not compared, {row['reason']}"
    veto = row["vetoed"][-1]
    return (
        f"{pair}: K3 {row['k3']:.2e} nats a token over {row['num_tokens']:,} tokens, effective sample size "
        f"{row['token_ess_share']:.1%}, {veto['responses']:.1%} of the responses with a ratio below "
        f"{veto['threshold']:g}"
    )


def _make_current(store: Store, generation: Generation) -> bool:
    current = store.current(generation.asset, generation.partition)
    store.make_current(generation)
    return current is None or current.fingerprint != generation.fingerprint


def _tables(samples: Generation, distributions: Generation, temperature: float) -> tuple[pa.Table, pa.Table]:
    """(a row a response and pair, a row a pair)."""
    scored_at = ScoresProvenance.of(distributions.manifest()).temperature
    responses: list[dict[str, Any]] = []
    partition: list[dict[str, Any]] = []
    for numerator, denominator in PAIRS:
        pair = {"numerator": numerator, "denominator": denominator}
        reason = None
        if numerator == "ours" and scored_at != temperature:
            reason = (
                f"their log-probabilities are at temperature {temperature:g}, ours at {scored_at:g}; set "
                f"distribution.temperature to {temperature:g}, or import again with --logprobs-temperature"
            )
        compared = [] if reason else list(_compared(samples, distributions, numerator, denominator))
        responses += [{**response_row(one), **pair} for one in compared]
        if not compared and reason is None:
            absent = [name for name in (numerator, denominator) if name != "ours"]
            reason = f"the imported file has no log-probabilities of both: {', '.join(absent)}"
        partition.append({**partition_row(compared), **pair, "logprobs_temperature": temperature, "reason": reason})
    return (
        pa.Table.from_pylist(responses, schema=SCHEMAS[MISMATCH[0]]),
        pa.Table.from_pylist(partition, schema=SCHEMAS[MISMATCH[1]]),
    )


def _compared(samples: Generation, distributions: Generation, numerator: str, denominator: str) -> Iterator[Compared]:
    """The responses that have both, fragment by fragment; the fragments of the two generations go together."""
    for index in sorted(samples.fragment_indices()):
        table = conform(samples.read_fragment(index, _COLUMNS), _schema(), samples.folder)
        ours = distributions.read_fragment(index, ["logprob"])["logprob"].to_numpy() if numerator == "ours" else None
        begin = 0
        for row in table.to_pylist():
            end = begin + row["num_tokens"]
            values = [_logprobs(row, name, ours, slice(begin, end)) for name in (numerator, denominator)]
            begin = end
            if row["num_tokens"] and values[0] is not None and values[1] is not None:
                yield Compared(row["problem_id"], row["sample_index"], values[0] - values[1])


def _logprobs(row: dict[str, Any], name: str, ours: Any, part: slice) -> Any:
    if name == "ours":
        return ours[part].astype(np.float64)
    found = row[f"{name}_logprobs"]
    return None if found is None else np.array(found, np.float64)


def _schema() -> pa.Schema:
    return pa.schema([SCHEMAS["samples"].field(name) for name in _COLUMNS])
