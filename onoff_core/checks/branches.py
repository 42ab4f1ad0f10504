"""The invariants of a partition's branches."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onoff_core.checks.evidence import Check, Evidence, Found, Key, examples, keys_of

if TYPE_CHECKING:
    import pyarrow as pa

    from onoff_core.store import Generation, Store

Rows = Sequence[Mapping[str, Any]]
BranchKey = tuple[str, int, int, int]

_ALLOWED = 2e-3  # of a probability: kept log-probabilities of alternatives are rounded to 10 mantissa bits
_MOST_DEVIATIONS = 4.0


def continuations_are_complete(branches: Rows, continuations: Rows, asked: int | None) -> Evidence:
    """Each branch has its continuations, numbered from 0, each once; as many as were asked for unless it is exact."""
    found: dict[BranchKey, list[int]] = {}
    for row in continuations:
        found.setdefault(_branch(row), []).append(row["continuation_index"])
    wrong = []
    for row in branches:
        wanted = 1 if row["is_exact"] else asked
        there = sorted(found.pop(_branch(row), []))
        if there != list(range(len(there) if wanted is None else wanted)) or not there:
            wrong.append(_response(row))
    foreign = [(key[0], key[1]) for key in found]
    facts = {
        "branches": len(branches),
        "continuations": len(continuations),
        "branches that lack some": len(wrong),
        "branches not asked for": len(foreign),
        **examples([*wrong, *foreign]),
    }
    return Evidence(not wrong and not foreign, f"{len(branches) - len(wrong)} of {len(branches)} are complete", facts)


def branches_begin_as_their_responses(
    branches: Rows, token_ids: Mapping[Key, Sequence[int]], continuations: Rows, max_length: int | None
) -> Evidence:
    """A branch marked as sampled has the response's own token, every position has one such, and no response with a
    branch is longer than max_length.
    """
    wrong = [
        _response(row)
        for row in branches
        if row["position"] >= len(token_ids.get(_response(row), ()))
        or row["is_sampled"] != (token_ids[_response(row)][row["position"]] == row["token_id"])
    ]
    sampled = Counter((*_response(row), row["position"]) for row in branches if row["is_sampled"])
    places = {(*_response(row), row["position"]) for row in branches}
    without = [(place[0], place[1]) for place in sorted(places) if sampled[place] != 1]
    longest = math.inf if max_length is None else max_length
    too_long = [_response(row) for row in continuations if row["position"] + 1 + row["num_tokens"] > longest]
    facts = {
        "branches": len(branches),
        "other than the response": len(wrong),
        "positions without the sampled token": len(without),
        "longer than max_length": len(too_long),
        **examples([*wrong, *without, *too_long]),
    }
    return Evidence(not wrong and not without and not too_long, f"{len(places)} positions looked at", facts)


def probabilities_are_those_of_the_distributions(branches: Rows, kept: Mapping[BranchKey, float]) -> Evidence:
    """The probability of each branch is the one that token_distributions keep, to 0.002."""
    different = [abs(row["probability"] - kept.get(_branch(row), math.inf)) for row in branches]
    wrong = [_response(row) for row, by in zip(branches, different, strict=True) if not by <= _ALLOWED]
    largest = max(different, default=0.0)
    facts = {
        "branches": len(branches),
        "different": len(wrong),
        "largest difference": round(largest, 6) if math.isfinite(largest) else str(largest),
        **examples(wrong),
    }
    return Evidence(not wrong, f"{len(branches) - len(wrong)} of {len(branches)} probabilities agree", facts)


def sampled_branches_agree_with_what_happened(
    branches: Rows, rewards: Mapping[Key, int], *, unselected: bool
) -> Evidence:
    """Where the sampled token ends its response, its value is the reward the response has. Where responses were not
    chosen by their rewards (status any), the earliest sampled branches come to as many right responses as there were,
    within 4 standard deviations.
    """
    sampled = [row for row in branches if row["is_sampled"] and row["num_continuations"]]
    wrong = [_response(row) for row in sampled if row["is_exact"] and row["value"] != rewards[_response(row)]]
    earliest: dict[Key, Mapping[str, Any]] = {}
    for row in sampled:
        known = earliest.get(_response(row))
        if not row["is_exact"] and (known is None or row["position"] < known["position"]):
            earliest[_response(row)] = row
    deviation = _deviation(earliest, rewards) if unselected and earliest else None
    holds = not wrong and (deviation is None or abs(deviation) <= _MOST_DEVIATIONS)
    facts: dict[str, Any] = {"ends that differ": len(wrong), "responses compared": len(earliest) if unselected else 0}
    if deviation is not None:
        facts["standard deviations apart"] = round(deviation, 3)
    says = "not compared: the responses were chosen by their rewards"
    if unselected:
        says = f"{len(earliest)} responses compared, {deviation or 0.0:.1f} standard deviations apart"
    return Evidence(holds, says, {**facts, **examples(wrong)})


def _deviation(earliest: Mapping[Key, Mapping[str, Any]], rewards: Mapping[Key, int]) -> float:
    """Rewards minus values, in standard deviations of that sum were both drawn with one probability a response: of a
    reward and n continuations it is the pooled share, and the variance p (1 - p) (1 + 1 / n).
    """
    difference = variance = 0.0
    for key, row in earliest.items():
        count, reward = row["num_continuations"], rewards[key]
        pooled = (row["num_correct"] + reward) / (count + 1)
        difference += reward - row["value"]
        variance += pooled * (1 - pooled) * (1 + 1 / count)
    return difference / math.sqrt(variance) if variance > 0 else 0.0


BRANCHES_CHECKS = (
    Check(continuations_are_complete, "blocks"),
    Check(branches_begin_as_their_responses, "blocks"),
    Check(probabilities_are_those_of_the_distributions, "error"),
    Check(sampled_branches_agree_with_what_happened, "error"),
)


def check_branches(store: "Store", key: tuple[str, str]) -> Found:
    """The evidence on a partition's current branches, by check."""
    from onoff_core.store.provenance import SamplesProvenance

    generation = store.require("branches", key)
    manifest = generation.manifest()
    of = {name: store.generation(name, key, fingerprint) for name, fingerprint in manifest.inputs.items()}
    branches = generation.read().to_pylist()
    columns = ["problem_id", "sample_index", "position", "token_id", "continuation_index", "num_tokens"]
    continuations = [row for table in store.require("continuations", key).tables(columns) for row in table.to_pylist()]
    named = {_response(row) for row in branches}
    token_ids = {
        _response(row): row["token_ids"]
        for table in of["samples"].tables(["problem_id", "sample_index", "token_ids"])
        for row in table.to_pylist()
        if _response(row) in named
    }
    rewards = {_response(row): row["reward"] for row in of["rewards"].read().to_pylist()}
    sampling = SamplesProvenance.of(of["samples"].manifest()).sampling
    settings = manifest.settings
    return {
        "continuations_are_complete": continuations_are_complete(branches, continuations, settings["continuations"]),
        "branches_begin_as_their_responses": branches_begin_as_their_responses(
            branches, token_ids, continuations, None if sampling is None else sampling.max_length
        ),
        "probabilities_are_those_of_the_distributions": probabilities_are_those_of_the_distributions(
            branches, _kept(of["token_distributions"], of["samples"], branches)
        ),
        "sampled_branches_agree_with_what_happened": sampled_branches_agree_with_what_happened(
            branches, rewards, unselected=settings["responses"]["status"] == "any"
        ),
    }


def _kept(distributions: "Generation", samples: "Generation", branches: Rows) -> dict[BranchKey, float]:
    """The probability of each branch's token, as the distributions keep it."""
    asked: dict[Key, dict[int, set[int]]] = {}
    for row in branches:
        asked.setdefault(_response(row), {}).setdefault(row["position"], set()).add(row["token_id"])
    found: dict[BranchKey, float] = {}
    columns = ["position", "token_id", "logprob", "topk_ids", "topk_logprobs"]
    for index in sorted(samples.fragment_indices()):
        for key in keys_of(samples.read_fragment(index, ["problem_id", "sample_index"])):
            if key not in asked:
                continue
            where: dict[str, str | int] = {"problem_id": key[0], "sample_index": key[1]}
            table = distributions.read_rows(index, where, columns)
            for row in _at(table, asked[key]).to_pylist():
                ids = range(len(row["topk_logprobs"])) if row["topk_ids"] is None else row["topk_ids"]
                by_id = {**dict(zip(ids, row["topk_logprobs"], strict=True)), row["token_id"]: row["logprob"]}
                for token in asked[key][row["position"]] & by_id.keys():
                    found[(*key, row["position"], token)] = math.exp(by_id[token])
    return found


def _at(table: "pa.Table", positions: Mapping[int, set[int]]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["position"], value_set=pa.array(positions, pa.int32())))


def _branch(row: Mapping[str, Any]) -> BranchKey:
    return row["problem_id"], row["sample_index"], row["position"], row["token_id"]


def _response(row: Mapping[str, Any]) -> Key:
    return row["problem_id"], row["sample_index"]
