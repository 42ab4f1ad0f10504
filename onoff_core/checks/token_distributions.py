"""The invariants of a partition's token distributions, judged by what `counting` counted."""

import math
from typing import TYPE_CHECKING, Any

from onoff_core.checks.counts import DistributionCounts
from onoff_core.checks.evidence import Check, Evidence, Found, examples

if TYPE_CHECKING:
    from onoff_core.store import Store


def distributions_cover_every_token(counts: DistributionCounts) -> Evidence:
    """Every sampled token has its distribution, in order, and there is no other."""
    facts = {"tokens": counts.tokens, "responses not covered": len(counts.uncovered), **examples(counts.uncovered)}
    return Evidence(
        not counts.uncovered, f"{counts.tokens} tokens, {len(counts.uncovered)} responses not covered", facts
    )


def entropies_and_probabilities_are_possible(counts: DistributionCounts) -> Evidence:
    """Entropies are finite and within [0, ln V]; probabilities and masses are at most 1."""
    facts: dict[str, Any] = {"responses with an impossible value": len(counts.impossible)}
    if math.isfinite(counts.highest_entropy):
        facts |= {
            "lowest entropy (nats)": round(counts.lowest_entropy, 6),
            "highest entropy (nats)": round(counts.highest_entropy, 6),
            "ln V (nats)": round(math.log(counts.vocab_size), 6),
            "highest probability": round(math.exp(min(counts.highest_logprob, 700.0)), 6),
        }
    facts |= examples(counts.impossible)
    return Evidence(not counts.impossible, f"{len(counts.impossible)} responses hold an impossible value", facts)


def scorer_agrees_with_sampler(counts: DistributionCounts) -> Evidence:
    """The log-probability a token was sampled with is the one it is scored with.

    They agree to within 0.01 nats everywhere in full precision; to within 0.05 nats on average in half precision,
    where batches round differently. At another temperature than 1 they are different numbers and are not compared.
    """
    if not counts.comparable:
        return Evidence(True, "not compared: distribution.temperature is not 1", {"tokens compared": 0})
    if not counts.compared:
        return Evidence(True, "not compared: the samples have no log-probabilities", {"tokens compared": 0})
    highest, mean = counts.largest_difference, counts.sum_of_differences / counts.compared
    holds = highest <= 0.01 if counts.full_precision else mean <= 0.05  # false for NaN too
    facts = {
        "tokens compared": counts.compared,
        "largest difference (nats)": round(highest, 6) if math.isfinite(highest) else str(highest),
        "mean difference (nats)": round(mean, 6) if math.isfinite(mean) else str(mean),
    }
    return Evidence(holds, f"differences of {mean:.2g} nats on average, {highest:.2g} at most", facts)


TOKEN_DISTRIBUTIONS_CHECKS = (
    Check(distributions_cover_every_token, "blocks"),
    Check(entropies_and_probabilities_are_possible, "blocks"),
    Check(scorer_agrees_with_sampler, "error"),
)


def check_token_distributions(store: "Store", key: tuple[str, str]) -> Found:
    """The evidence on a partition's current token distributions, by check."""
    from onoff_core.checks.counting import count_distributions

    generation = store.require("token_distributions", key)
    scored = store.generation("samples", key, generation.manifest().inputs["samples"])
    counts = count_distributions(scored, generation)
    return {check.name: check.find(counts) for check in TOKEN_DISTRIBUTIONS_CHECKS}
