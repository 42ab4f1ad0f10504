"""The few numbers of a partition that a person looks at first."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pyarrow.compute as pc

from onoff_core.statistics.at_k import Kind
from onoff_core.statistics.stored import Figure, figures
from onoff_core.store import Generation, Store
from onoff_core.thinking_tables import drawn_tokens

_KINDS: tuple[Kind, ...] = ("pass_at_k", "maj_at_k")


@dataclass(frozen=True)
class PartitionSummary:
    """One partition at a glance; None where there is no number (yet)."""

    num_problems: int
    num_samples: int
    accuracy: float | None
    interval_low: float | None  # 95 %, on other problems like these
    interval_high: float | None
    same_problems_low: float | None  # 95 %, on these problems drawn again
    same_problems_high: float | None
    accuracy_lowest: float | None  # were every response without a verdict wrong
    accuracy_highest: float | None
    mean_num_tokens: float | None
    mean_entropy: float | None  # nats a token
    disagreement_share: float | None = None  # of second opinions with these verdicts
    disagreement_low: float | None = None  # 95 %, on other problems like these
    disagreement_high: float | None = None
    # where task.thinking was set
    mean_thinking_tokens: float | None = None
    mean_answer_tokens: float | None = None
    truncated_in_thinking_share: float | None = None  # responses that max_length ended thinking
    mean_thinking_entropy: float | None = None  # nats a token
    mean_answer_entropy: float | None = None
    auroc: float | None = None  # of the mean confidence, for these verdicts
    auroc_low: float | None = None  # 95 %, on other problems like these
    auroc_high: float | None = None
    pass_at_k: tuple[int, Figure] | None = None  # (k, number) at the largest k that has one
    maj_at_k: tuple[int, Figure] | None = None
    missing: Mapping[str, str] = field(default_factory=dict)  # why a statistic that is None is so


def partition_summary(store: Store, key: tuple[str, str]) -> PartitionSummary:
    """From the current statistics and token distributions; raises `MissingInputError` where there are no statistics."""
    statistics = store.require("statistics", key)
    row = statistics.read().to_pylist()[0]
    distributions = store.current("token_distributions", key)
    total, count = 0.0, 0
    for tokens in distributions.tables(["entropy", "forced"]) if distributions else ():
        table = drawn_tokens(tokens)
        total += pc.sum(table["entropy"]).as_py() or 0.0
        count += table.num_rows
    row |= _entropy_of_parts(store, distributions)
    row |= {"mean_entropy": total / count if count else None}
    row |= {**_disagreement(store, statistics), **_auroc(store, statistics)}
    for kind in _KINDS:
        row[kind] = max(figures(row, kind).items(), key=lambda found: found[0], default=None)
    row["missing"] = {one["statistic"]: one["reason"] for one in row["missing"] or ()}
    return PartitionSummary(**{one.name: row[one.name] for one in fields(PartitionSummary) if one.name in row})


def _entropy_of_parts(store: Store, distributions: Generation | None) -> dict[str, Any]:
    """The entropies of thinking and answer, where they were told apart in these distributions' samples."""
    parts = None if distributions is None else store.current("part_statistics", distributions.partition)
    if distributions is None or parts is None or parts.manifest().inputs != distributions.manifest().inputs:
        return {}
    return {f"mean_{row['part']}_entropy": row["mean_entropy"] for row in parts.read().to_pylist()}


def _disagreement(store: Store, statistics: Generation) -> dict[str, Any]:
    """How often second opinions differ, where they are on the verdicts that the statistics are of."""
    second = store.current("second_opinion_statistics", statistics.partition)
    if second is None or second.manifest().inputs["rewards"] != statistics.manifest().inputs["rewards"]:
        return {}
    found: dict[str, Any] = second.read().to_pylist()[0]
    return {name: value for name, value in found.items() if name.startswith("disagreement")}


def _auroc(store: Store, statistics: Generation) -> dict[str, Any]:
    """How well the mean confidence tells right from wrong, where it is of the verdicts that the statistics are of."""
    found = store.current("confidence_statistics", statistics.partition)
    if found is None or found.manifest().inputs["rewards"] != statistics.manifest().inputs["rewards"]:
        return {}
    rows = {row["measure"]: row for row in found.read().to_pylist()}
    return {name: rows["mean_confidence"][name] for name in ("auroc", "auroc_low", "auroc_high")}
