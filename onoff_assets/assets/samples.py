"""`samples`: what the model answered."""

import dagster as dg

from onoff_assets.assets.problems import problems
from onoff_assets.assets.settings import settings
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import markdown_table, present, rounded, run, table_metadata
from onoff_core.grid.fingerprints import CODE_VERSIONS

_PREVIEW_CHARACTERS = 200


@dg.asset(
    partitions_def=grid_partitions,
    deps=[problems, settings],
    group_name="grid",
    kinds={"parquet", "huggingface"},
    code_version=CODE_VERSIONS["samples"],
    pool="gpu",
)
def samples(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """num_samples responses per problem, with the sampled token ids and their log-probabilities; one row a response."""
    from onoff_core.grid.materialize import materialize_samples

    made = run(context, materialize_samples)
    first = made.generation.read_fragment(0).slice(0, 3)
    preview = [
        [
            row["problem_id"],
            row["sample_index"],
            row["response"][-_PREVIEW_CHARACTERS:],
            row["finish_reason"],
            row["num_tokens"],
        ]
        for row in first.to_pylist()
    ]
    facts = made.manifest.facts
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.manifest.fingerprint),
        metadata={
            **table_metadata(made),
            **present(
                {
                    "seed": facts["seed"],
                    "model_revision": facts["model_revision"],
                    "tokens_per_second": rounded(facts["tokens_per_second"], 1),
                    "seconds": rounded(facts["seconds"], 1),
                }
            ),
            "preview": markdown_table(["problem", "sample", "response ends", "finish", "tokens"], preview),
        },
    )
