"""`samples`: what the model answered."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from onoff_assets.assets.problems import problems
from onoff_assets.assets.settings import settings
from onoff_assets.checking import Invariant, checks_of
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import markdown_table, present, rounded, run, table_metadata
from onoff_assets.study import study
from onoff_core.grid.fingerprints import CODE_VERSIONS
from onoff_core.study import Partition

if TYPE_CHECKING:
    from onoff_core.grid.evidence import Evidence
    from onoff_core.store import Generation, Store

_PREVIEW_CHARACTERS = 200


@dg.asset(
    partitions_def=grid_partitions,
    deps=[problems, settings],
    group_name="grid",
    kinds={"parquet", "huggingface"},
    code_version=CODE_VERSIONS["samples"],
    pool="gpu",
    required_resource_keys={"input_versions"},
)
def samples(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """num_samples responses per problem, with the sampled token ids and their log-probabilities; one row a response."""
    from onoff_core.grid.materialize import materialize_samples

    made = run(context, materialize_samples)
    facts = made.manifest.facts
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.manifest.fingerprint),
        metadata={
            **table_metadata(context, made),
            **present(
                {
                    "tokens_per_second": rounded(facts["tokens_per_second"], 1),
                    "seconds": rounded(facts["seconds"], 1),
                    "seed": facts["seed"],
                    "model_revision": facts["model_revision"],
                }
            ),
            "preview": _preview(made.generation),
        },
    )


def _preview(generation: "Generation") -> dg.MarkdownMetadataValue:
    """Three responses, of three problems where there are three."""
    table = generation.read_fragment(0, ["problem_id", "sample_index", "response", "finish_reason", "num_tokens"])
    rows = sorted(table.to_pylist(), key=lambda row: row["sample_index"])[:3]
    return markdown_table(
        ["problem", "sample", "response ends", "finish", "tokens"],
        [
            [row["problem_id"], row["sample_index"], _end(row["response"]), row["finish_reason"], row["num_tokens"]]
            for row in rows
        ],
    )


def _end(response: str) -> str:
    return response if len(response) <= _PREVIEW_CHARACTERS else "… " + response[-_PREVIEW_CHARACTERS:]


@checks_of(
    samples,
    [
        Invariant(
            "every_problem_has_its_samples",
            "Each problem has its num_samples responses, each once, and there is nothing else.",
            blocking=True,
        ),
        Invariant(
            "token_ids_decode_to_response",
            "The kept token ids, decoded by the model's vocabulary, give the kept text.",
            blocking=True,
        ),
        Invariant(
            "few_responses_are_truncated",
            "The share of responses ended by max_length is at most automation.max_truncated_share.",
            warning=True,
        ),
    ],
)
def samples_checks(partition: Partition, store: "Store") -> "Mapping[str, Evidence]":
    from onoff_core.grid import evidence

    key = (partition.dataset, partition.model)
    generation = store.require("samples", key)
    manifest, table = generation.manifest(), generation.read()
    asked = store.generation("problems", (partition.dataset,), manifest.inputs["problems"]).read()
    vocabulary = store.require("vocabulary", (partition.model,))
    ids = vocabulary.read()
    pieces, special = ids["piece"].to_pylist(), ids["special"].to_pylist()
    num_samples = manifest.settings["sampling"]["num_samples"]
    limit = study().automation.max_truncated_share
    return {
        "every_problem_has_its_samples": evidence.every_problem_has_its_samples(
            table, asked["problem_id"].to_pylist(), num_samples
        ),
        "token_ids_decode_to_response": evidence.token_ids_decode_to_response(
            table, pieces, special, vocabulary.fingerprint
        ),
        "few_responses_are_truncated": evidence.few_responses_are_truncated(table, limit),
    }
