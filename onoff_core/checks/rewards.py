"""The invariants of a partition's rewards."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from onoff_core.checks.evidence import SHOWN, Check, Evidence, Found, Key, examples, keys_of

if TYPE_CHECKING:
    import pyarrow as pa

    from onoff_core.store import Store

TIMEOUT_LIMIT = 0.01  # share of the responses; `timeout` counts as wrong, so more would bend the accuracy


def each_response_has_one_verdict(samples: "pa.Table", rewards: "pa.Table") -> Evidence:
    """Each response has one verdict, there is no other verdict, and each reward agrees with its status."""
    responses, verdicts = set(keys_of(samples)), Counter(keys_of(rewards))
    missing, foreign = sorted(responses - verdicts.keys()), sorted(verdicts.keys() - responses)
    repeated = sorted(key for key, count in verdicts.items() if count > 1)
    expected = {"correct": 1, "gold_unparsed": None}
    statuses, values = rewards["status"].to_pylist(), rewards["reward"].to_pylist()
    against = [
        key
        for key, status, reward in zip(keys_of(rewards), statuses, values, strict=True)
        if reward != expected.get(status, 0)
    ]
    wrong = [*missing, *foreign, *repeated, *against]
    facts = {
        "responses": samples.num_rows,
        "verdicts": rewards.num_rows,
        "without a verdict": len(missing),
        "without a response": len(foreign),
        "repeated": len(repeated),
        "reward against status": len(against),
        **examples(wrong),
    }
    return Evidence(not wrong, f"{rewards.num_rows} verdicts for {samples.num_rows} responses", facts)


def no_gold_is_unparsed(rewards: "pa.Table") -> Evidence:
    """Every gold answer could be parsed; a problem whose gold answer cannot be parsed has no rewards."""
    unread = _with_status(rewards, "gold_unparsed")
    problems = sorted({problem for problem, _ in unread})
    facts: dict[str, Any] = {"responses": len(unread), "problems": len(problems)}
    if problems:
        facts["for example"] = ", ".join(problems[:SHOWN])
    return Evidence(not unread, f"{len(problems)} problems have a gold answer that cannot be parsed", facts)


def few_responses_time_out(rewards: "pa.Table") -> Evidence:
    """The share of responses whose grading ran out of time, which count as wrong, is under 1 %."""
    out = _with_status(rewards, "timeout")
    share = len(out) / rewards.num_rows if rewards.num_rows else 0.0
    facts = {"timeouts": len(out), "responses": rewards.num_rows, "share": round(share, 4), "limit": TIMEOUT_LIMIT}
    says = f"{len(out)} of {rewards.num_rows} responses ran out of time"
    return Evidence(share < TIMEOUT_LIMIT, says, {**facts, **examples(out)})


def _with_status(rewards: "pa.Table", wanted: str) -> list[Key]:
    statuses = rewards["status"].to_pylist()
    return [key for key, status in zip(keys_of(rewards), statuses, strict=True) if status == wanted]


REWARDS_CHECKS = (
    Check(each_response_has_one_verdict, "blocks"),
    Check(no_gold_is_unparsed, "error"),
    Check(few_responses_time_out, "error"),
)


def check_rewards(store: "Store", key: tuple[str, str]) -> Found:
    """The evidence on a partition's current rewards, by check."""
    generation = store.require("rewards", key)
    graded = store.generation("samples", key, generation.manifest().inputs["samples"]).read()
    table = generation.read()
    return {
        "each_response_has_one_verdict": each_response_has_one_verdict(graded, table),
        "no_gold_is_unparsed": no_gold_is_unparsed(table),
        "few_responses_time_out": few_responses_time_out(table),
    }
