"""`rewards`: whether each response is right."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from onoff_assets.assets.samples import samples
from onoff_assets.assets.settings import reward_settings
from onoff_assets.checking import Invariant, checks_of
from onoff_assets.following import follows_its_inputs
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import run, table_metadata
from onoff_core.grid.fingerprints import CODE_VERSIONS
from onoff_core.study import Partition

if TYPE_CHECKING:
    from onoff_core.grid.evidence import Evidence
    from onoff_core.store import Store


@dg.asset(
    partitions_def=grid_partitions,
    deps=[samples, reward_settings],
    group_name="grid",
    kinds={"parquet", "python"},
    code_version=CODE_VERSIONS["rewards"],
    automation_condition=follows_its_inputs,
    required_resource_keys={"input_versions"},
)
def rewards(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """One verdict per response: reward 0 or 1, the extracted answer, and the status the verdict rests on."""
    from onoff_core.grid.materialize import materialize_rewards

    made = run(context, materialize_rewards)
    statuses = Counter(made.generation.read()["status"].to_pylist())
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.manifest.fingerprint),
        metadata={
            **table_metadata(context, made),
            **{f"status {name}": count for name, count in sorted(statuses.items())},
        },
    )


@checks_of(
    rewards,
    [
        Invariant(
            "each_response_has_one_verdict",
            "Each response is graded once, nothing else is, and the reward is what the status says.",
            blocking=True,
        ),
        Invariant(
            "no_gold_is_unparsed", "Every gold answer could be parsed; a problem whose cannot counts for nothing."
        ),
        Invariant(
            "few_responses_time_out",
            "The share of responses whose grading ran out of time, which count as wrong, is under 1 %.",
        ),
    ],
)
def rewards_checks(partition: Partition, store: "Store") -> "Mapping[str, Evidence]":
    from onoff_core.grid import evidence

    key = (partition.dataset, partition.model)
    generation = store.require("rewards", key)
    graded = store.generation("samples", key, generation.manifest().inputs["samples"]).read()
    table = generation.read()
    return {
        "each_response_has_one_verdict": evidence.each_response_has_one_verdict(graded, table),
        "no_gold_is_unparsed": evidence.no_gold_is_unparsed(table),
        "few_responses_time_out": evidence.few_responses_time_out(table),
    }
