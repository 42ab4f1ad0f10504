"""The invariants of a partition's cross-scores, by every reference that has some."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onoff_core.checks.evidence import Check, Evidence, Found, Key, examples
from onoff_core.cross.texts import own_logprobs

if TYPE_CHECKING:
    from onoff_core.store import Generation, Store

_WHOLE_TEXTS = 1 << 20  # rows of a batch, which ends with its text in any case
SLACK = 1e-4  # nats; float32 sums over a whole vocabulary
_RESPONSES = ("problem_id", "sample_index", "text", "level", "num_tokens")
_SCORES = (
    "problem_id", "sample_index", "text", "position", "logprob", "entropy", "reference_logprob", "reference_entropy",
    "kl", "reverse_kl", "js", "kl_lower", "kl_upper", "reverse_kl_lower", "js_lower", "js_upper",
)  # fmt: skip


@dataclass
class CrossCounts:
    """What is counted by all references together, by which the invariants are judged."""

    references: list[str] = field(default_factory=list)
    tokens: int = 0
    texts: int = 0
    uncovered: dict[Key, None] = field(default_factory=dict)
    impossible: dict[Key, None] = field(default_factory=dict)
    highest_kl: float = 0.0
    compared: int = 0  # tokens whose log-probability the sampler kept, as the next
    largest_difference: float = 0.0
    sum_of_differences: float = 0.0
    full_precision: bool = True


def cross_scores_cover_every_token(counts: CrossCounts) -> Evidence:
    """By every reference each response has one row, and each of its tokens one, in order; models with other tokenizers
    have rows of responses alone.
    """
    facts = {
        "references": ", ".join(counts.references),
        "texts": counts.texts,
        "tokens": counts.tokens,
        "not covered": len(counts.uncovered),
        **examples(counts.uncovered),
    }
    says = f"{counts.tokens} tokens of {counts.texts} texts, {len(counts.uncovered)} texts not covered"
    return Evidence(not counts.uncovered, says, facts)


def divergences_are_possible(counts: CrossCounts) -> Evidence:
    """Log-probabilities are at most 0; no divergence is negative, none of Jensen-Shannon above ln 2; bounds are in
    order.
    """
    facts: dict[str, Any] = {"texts with an impossible value": len(counts.impossible)}
    facts |= {"highest KL (nats)": round(min(counts.highest_kl, 1e30), 6), **examples(counts.impossible)}
    return Evidence(not counts.impossible, f"{len(counts.impossible)} texts hold an impossible value", facts)


def model_agrees_with_its_sampling(counts: CrossCounts) -> Evidence:
    """The log-probability that the model gives a token of its own text is the one it was sampled with.

    To within 0.01 nats everywhere in full precision, to within 0.05 nats on average in half precision.
    """
    if not counts.compared:
        return Evidence(True, "not compared: the samples have no log-probabilities", {"tokens compared": 0})
    mean = counts.sum_of_differences / counts.compared
    holds = counts.largest_difference <= 0.01 if counts.full_precision else mean <= 0.05  # false for NaN too
    facts = {
        "tokens compared": counts.compared,
        "largest difference (nats)": float(f"{counts.largest_difference:.6g}"),
        "mean difference (nats)": float(f"{mean:.6g}"),
    }
    says = f"differences of {mean:.2g} nats on average, {counts.largest_difference:.2g} at most"
    return Evidence(holds, says, facts)


CROSS_SCORES_CHECKS = (
    Check(cross_scores_cover_every_token, "error"),
    Check(divergences_are_possible, "error"),
    Check(model_agrees_with_its_sampling, "error"),
)


def check_cross_scores(store: "Store", key: tuple[str, str]) -> Found:
    """The evidence on a partition's current cross-scores, by check; memory holds one fragment."""
    from onoff_core.store.provenance import SamplesProvenance

    counts = CrossCounts()
    for reference in store.files.folders("/".join(("cross_scores", *key))):
        names = (*key, reference)
        scores, responses = store.current("cross_scores", names), store.current("cross_responses", names)
        if scores is None or responses is None:
            continue
        scored = store.generation("samples", key, scores.manifest().inputs["samples"])
        counts.references.append(reference)
        counts.full_precision &= SamplesProvenance.of(scored.manifest()).torch_dtype == "float32"
        for index in sorted(scored.fragment_indices()):
            _count(counts, index, scored, scores, responses)
    return {check.name: check.find(counts) for check in CROSS_SCORES_CHECKS}


def _count(
    counts: CrossCounts, index: int, scored: "Generation", scores: "Generation", responses: "Generation"
) -> None:
    columns = ("problem_id", "sample_index", "num_tokens", "token_logprobs", "response", "drawn_by")
    drawn = {(row["problem_id"], row["sample_index"]): row for row in scored.read_fragment(index, columns).to_pylist()}
    rows = responses.read_fragment(index, _RESPONSES).to_pylist() if index in responses.fragment_indices() else []
    by_text = level_of(rows)
    there = Counter((row["problem_id"], row["sample_index"]) for row in rows)
    expected = {key for key, row in drawn.items() if not by_text or row["response"]}
    wrong = [key for key in expected if there[key] != 1]
    wrong += [key for key in there if key[1] is not None and key not in expected]
    lengths = {(row["problem_id"], row["sample_index"]): row["num_tokens"] for row in rows}
    read = dict.fromkeys(lengths, 0)
    batches = scores.batches(index, _SCORES, _WHOLE_TEXTS) if index in scores.fragment_indices() else ()
    for batch in batches:  # of one text each
        key = (batch["problem_id"][0].as_py(), batch["sample_index"][0].as_py())
        begin = read.get(key, 0)
        read[key] = begin + batch.num_rows
        if key not in lengths or batch["position"].to_pylist() != list(range(begin, read[key])):
            wrong.append(key)
        _count_values(counts, key, batch, _sampled(drawn[key])[begin : read[key]] if key in drawn else ())
    if not by_text:
        wrong += [key for key, length in lengths.items() if read[key] != length]
        wrong += [key for key, row in drawn.items() if key in lengths and lengths[key] != row["num_tokens"]]
    counts.uncovered |= dict.fromkeys(_named(wrong))
    counts.texts += len(rows)


def _sampled(row: dict[str, Any]) -> tuple[float, ...]:
    """The sampler's log-probabilities; older samples have no column `drawn_by`."""
    return own_logprobs(row["token_logprobs"], row.get("drawn_by"))


def _count_values(
    counts: CrossCounts, key: tuple[str, int | None], batch: pa.RecordBatch, sampled: Sequence[float]
) -> None:
    counts.tokens += batch.num_rows
    if not _possible(batch, counts):
        counts.impossible |= dict.fromkeys(_named([key]))
    if sampled and len(sampled) == batch.num_rows:
        own = ~np.isnan(np.array(sampled))
        found = np.abs(batch["logprob"].to_numpy().astype(np.float64) - np.array(sampled))[own]
        if not len(found):
            return
        counts.compared += len(found)
        counts.largest_difference = float(np.maximum(counts.largest_difference, found.max()))  # NaN if one is
        counts.sum_of_differences += float(found.sum())


def level_of(rows: list[dict[str, Any]]) -> bool:
    """Whether these rows are of models with other tokenizers."""
    return any(row["level"] == "text" for row in rows)


def _named(keys: list[tuple[str, int | None]]) -> list[Key]:
    """Solutions have no sample_index; -1 stands for that in the evidence."""
    return [(problem, -1 if index is None else index) for problem, index in keys]


def _possible(part: pa.RecordBatch, counts: CrossCounts) -> bool:
    columns = {name: part[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in _SCORES[4:]}
    kl = columns["kl"]
    if not np.isnan(kl).all():
        counts.highest_kl = max(counts.highest_kl, float(np.nanmax(kl)))
    nulls = {name: part[name].null_count for name in _SCORES[4:]}
    rules = [
        all((columns[name] <= SLACK).all() for name in ("logprob", "reference_logprob")),
        all((columns[name] >= -SLACK).all() for name in ("entropy", "reference_entropy")),
        all(nulls[name] or (columns[name] >= 0).all() for name in ("kl", "reverse_kl", "js", "kl_lower", "js_lower")),
        all(nulls[name] or (columns[name] <= math.log(2) + SLACK).all() for name in ("js", "js_upper")),
        all(
            nulls[f"{name}_lower"] or (columns[f"{name}_lower"] <= columns[f"{name}_upper"] + SLACK).all()
            for name in ("kl", "js")
        ),
    ]
    return all(rules)
