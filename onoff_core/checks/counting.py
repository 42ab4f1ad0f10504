"""Count in token distributions, in one reading, what the checks judge. Tables in, `DistributionCounts` out.

They are read in batches, because a fragment may be larger than memory.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from onoff_core.checks.counts import DistributionCounts
from onoff_core.checks.evidence import Key, keys_of
from onoff_core.store import Generation
from onoff_core.store.parquet import conform
from onoff_core.store.provenance import SamplesProvenance, ScoresProvenance
from onoff_core.tables import SCHEMAS

ENTROPY_SLACK = 1e-3  # nats; float32 sums over a whole vocabulary
LOGPROB_SLACK = 1e-3  # nats, above 0
SAMPLE_COLUMNS = ("problem_id", "sample_index", "token_ids", "token_logprobs", "drawn_by")
_SAMPLE_SCHEMA = pa.schema([SCHEMAS["samples"].field(name) for name in SAMPLE_COLUMNS])
DISTRIBUTION_COLUMNS = (
    "problem_id", "sample_index", "position", "token_id", "logprob", "entropy", "tail_mass", "topk_logprobs",
)  # fmt: skip
_ROWS_AT_ONCE = 256  # tokens; some 100 MB where the whole vocabulary is kept


def count_distributions(scored: Generation, generation: Generation) -> DistributionCounts:
    """Read token distributions and the samples they were made from; memory holds one batch of distributions."""
    scores = ScoresProvenance.of(generation.manifest())
    counts = DistributionCounts(
        vocab_size=scores.vocab_size,
        comparable=scores.temperature == 1,
        full_precision=SamplesProvenance.of(scored.manifest()).torch_dtype == "float32",
    )
    sampled, distributed = scored.fragment_indices(), generation.fragment_indices()
    for index in sorted(sampled | distributed):  # a fragment that is missing counts as one without rows
        samples = scored.read_fragment(index, SAMPLE_COLUMNS) if index in sampled else SCHEMAS["samples"].empty_table()
        batches = generation.batches(index, DISTRIBUTION_COLUMNS, _ROWS_AT_ONCE) if index in distributed else ()
        add_fragment(counts, samples, batches)
    return counts


def add_fragment(counts: DistributionCounts, samples: pa.Table, distributions: Iterable[pa.RecordBatch]) -> None:
    """Count one fragment of samples, and the distributions that were made from it.

    A response may be split between batches: then the number of its tokens that were read is remembered.
    """
    rows = conform(samples, _SAMPLE_SCHEMA, "samples").to_pylist()
    drawn = {(row["problem_id"], row["sample_index"]): row for row in rows}
    read, wrong = dict.fromkeys(drawn, 0), dict[Key, None]()
    for batch in distributions:
        for key, part in _by_response(batch):
            _add_bounds(counts, key, part)
            begin = read.get(key, 0)
            end = read[key] = begin + part.num_rows
            if key not in drawn or not _follows(part, drawn[key]["token_ids"][begin:end], begin):
                wrong[key] = None
            elif key not in wrong and drawn[key]["token_logprobs"]:  # imported samples have none
                own = drawn[key]["drawn_by"]
                _add_differences(
                    counts, part, drawn[key]["token_logprobs"][begin:end], None if own is None else own[begin:end]
                )
    counts.tokens += sum(len(row["token_ids"]) for row in rows)
    short = (key for key, row in drawn.items() if read[key] != len(row["token_ids"]))
    counts.uncovered += dict.fromkeys([*short, *wrong])


def _add_differences(
    counts: DistributionCounts, part: pa.RecordBatch, sampled: Sequence[float], drawn_by: Sequence[int] | None
) -> None:
    """`drawn_by`: of two models in turns, where the first scores, only what it drew itself can be compared."""
    found = np.abs(part["logprob"].to_numpy() - np.array(sampled))
    if drawn_by is not None:
        found = found[np.array(drawn_by) == 1]
        if not len(found):
            return
    counts.compared += len(found)
    counts.largest_difference = float(np.maximum(counts.largest_difference, found.max()))  # NaN if one is
    counts.sum_of_differences += float(found.sum())


def _add_bounds(counts: DistributionCounts, key: Key, part: pa.RecordBatch) -> None:
    entropy, logprob = part["entropy"].to_numpy(), part["logprob"].to_numpy()
    kept = part["topk_logprobs"].flatten().to_numpy(zero_copy_only=False)
    tail = part["tail_mass"].to_numpy()
    logprobs = np.concatenate([logprob, kept])
    possible = (
        np.isfinite(entropy).all()
        and (entropy >= -ENTROPY_SLACK).all()
        and (entropy <= math.log(counts.vocab_size) + ENTROPY_SLACK).all()
        and not np.isnan(logprobs).any()
        and (logprobs <= LOGPROB_SLACK).all()
        and ((tail >= -LOGPROB_SLACK) & (tail <= 1 + LOGPROB_SLACK)).all()
    )
    if not possible:
        counts.impossible[key] = None
    counts.highest_entropy = float(np.fmax.reduce(entropy, initial=counts.highest_entropy))  # NaNs are passed over
    counts.lowest_entropy = float(np.fmin.reduce(entropy, initial=counts.lowest_entropy))
    counts.highest_logprob = float(np.fmax.reduce(logprobs, initial=counts.highest_logprob))


def _follows(part: pa.RecordBatch, token_ids: Sequence[int], begin: int) -> bool:
    """Whether the rows are those of these tokens, the first at position `begin`."""
    positions = list(range(begin, begin + part.num_rows))
    return part["token_id"].to_pylist() == list(token_ids) and part["position"].to_pylist() == positions


def _by_response(batch: pa.RecordBatch) -> Iterator[tuple[Key, pa.RecordBatch]]:
    """The batch cut into runs of consecutive rows of one response."""
    keys, begin = keys_of(batch), 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end] != keys[begin]:
            yield keys[begin], batch.slice(begin, end - begin)
            begin = end
