"""`token_distributions`: what the model could have said at every token, and how unsure it was."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from onoff_assets.assets.samples import samples
from onoff_assets.assets.settings import distribution_settings
from onoff_assets.checking import Invariant, checks_of
from onoff_assets.partitions import grid_partitions
from onoff_assets.running import present, rounded, run, table_metadata
from onoff_core.grid.fingerprints import CODE_VERSIONS
from onoff_core.study import Partition

if TYPE_CHECKING:
    from onoff_core.grid.evidence import DistributionEvidence, Evidence
    from onoff_core.store import Generation, Store

_ROWS_AT_ONCE = 256  # tokens; some 100 MB where the whole vocabulary is kept


@dg.asset(
    partitions_def=grid_partitions,
    deps=[samples, distribution_settings],
    group_name="grid",
    kinds={"parquet", "pytorch"},
    code_version=CODE_VERSIONS["token_distributions"],
    pool="gpu",
    required_resource_keys={"input_versions"},
)
def token_distributions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Per token: entropy over the whole vocabulary, log-probability, rank, top-k and the mass outside it."""
    from onoff_assets.plots import EntropyByPosition, entropy_plot
    from onoff_core.grid.materialize import materialize_token_distributions

    made = run(context, materialize_token_distributions)
    entropy = EntropyByPosition()
    for table in made.generation.tables(["position", "entropy"]):
        entropy.add(table["position"].to_numpy(), table["entropy"].to_numpy())
    facts = made.manifest.facts
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.manifest.fingerprint),
        metadata={
            **table_metadata(context, made),
            **present(
                {
                    "mean_entropy (nats)": rounded(entropy.mean),
                    "entropy by position": entropy_plot(entropy),
                    "tokens_per_second": rounded(facts["tokens_per_second"], 1),
                    "seconds": rounded(facts["seconds"], 1),
                    "vocab_size": facts["vocab_size"],
                }
            ),
        },
    )


@checks_of(
    token_distributions,
    [
        Invariant(
            "distributions_cover_every_token",
            "Every sampled token has its distribution, in order, and there is no other.",
            blocking=True,
        ),
        Invariant(
            "entropies_and_probabilities_are_possible",
            "Entropies are finite and within [0, ln V]; probabilities and masses are at most 1.",
            blocking=True,
        ),
        Invariant(
            "scorer_agrees_with_sampler",
            "The log-probability a token was sampled with is the one it is scored with.",
        ),
    ],
)
def token_distributions_checks(partition: Partition, store: "Store") -> "Mapping[str, Evidence]":
    key = (partition.dataset, partition.model)
    generation = store.require("token_distributions", key)
    found = read_evidence(store.generation("samples", key, generation.manifest().inputs["samples"]), generation)
    return {
        "distributions_cover_every_token": found.distributions_cover_every_token(),
        "entropies_and_probabilities_are_possible": found.entropies_and_probabilities_are_possible(),
        "scorer_agrees_with_sampler": found.scorer_agrees_with_sampler(),
    }


def read_evidence(scored: "Generation", generation: "Generation") -> "DistributionEvidence":
    """Of token distributions and the samples they were made from; memory holds a batch of the former."""
    from onoff_core.grid.evidence import DISTRIBUTION_COLUMNS, SAMPLE_COLUMNS, DistributionEvidence
    from onoff_core.tables import SCHEMAS

    manifest = generation.manifest()
    found = DistributionEvidence(
        vocab_size=manifest.facts["vocab_size"],
        comparable=manifest.settings["temperature"] == 1,
        full_precision=scored.manifest().facts["torch_dtype"] == "float32",
    )
    sampled, distributed = scored.fragment_indices(), generation.fragment_indices()
    for index in sorted(sampled | distributed):  # no rows where there is no fragment, so that the check says so
        samples = scored.read_fragment(index, SAMPLE_COLUMNS) if index in sampled else SCHEMAS["samples"].empty_table()
        batches = generation.batches(index, DISTRIBUTION_COLUMNS, _ROWS_AT_ONCE) if index in distributed else ()
        found.add(samples, batches)
    return found
