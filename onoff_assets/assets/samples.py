"""`samples`: the model's responses."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from onoff_assets.execution import Materialize, run
from onoff_assets.metadata import asset_metadata, markdown_table, rounded
from onoff_assets.partitions import GROUP, Grid
from onoff_assets.run_options import SampleOptions
from onoff_core.errors import ExchangeError
from onoff_core.grid.fingerprints import CODE_VERSIONS
from onoff_core.study import Partition, Study

if TYPE_CHECKING:
    from onoff_core.grid.materialize import Made
    from onoff_core.store import Generation, Store

_PREVIEW_CHARACTERS = 120


def build_samples(grid: Grid, problems: dg.SourceAsset, settings: dg.SourceAsset) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=grid.partitions,
        deps=[problems, settings],
        group_name=GROUP,
        owners=list(grid.study.automation.owners),
        kinds={"parquet", "huggingface"},
        code_version=CODE_VERSIONS["samples"],
        pool="gpu",
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def samples(context: dg.AssetExecutionContext, config: SampleOptions) -> dg.MaterializeResult:
        """num_samples responses per problem, with the sampled token ids and their log-probabilities; one row each."""
        from onoff_core.store.provenance import SamplesProvenance

        made = run(grid.study, context, _materialize(grid.study), config)
        how = SamplesProvenance.of(made.manifest)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(made.manifest.fingerprint),
            metadata=asset_metadata(
                grid.study,
                context,
                made,
                {
                    **_numbers(made.generation),
                    "tokens per second": rounded(how.tokens_per_second, 1),
                    "seconds": rounded(how.seconds, 1),
                    "preview": _preview(made.generation),
                    "seed": how.seed,
                    "model revision": how.model_revision,
                    "engine": how.engine,
                    "responses drawn": how.rows_drawn,
                    "of those taken over, gone on with": how.rows_continued or None,
                    "stopped": how.stopped,
                    "rounds": how.rounds,
                    "not promised by the engine": ", ".join(how.not_promised) or None,
                    "examples whose thinking the template drops": _counted(how.examples_without_thinking),
                    "token ids": "tokenized from the text" if how.ids_from_text else None,
                },
            ),
        )

    return samples


def _materialize(study: Study) -> Materialize:
    """The function that draws the responses; in a study of a results file, the one that takes that file's."""
    from onoff_core.grid.materialize import materialize_samples

    results_file = study.results_file
    if results_file is None:
        return materialize_samples

    def take(
        partition: Partition, store: "Store", say: Callable[[str], None], *, again: bool = False, ad_hoc: bool = False
    ) -> "Made":
        from onoff_core.exchange.importing import import_results

        if again or ad_hoc:
            raise ExchangeError(
                f"the samples are those of {results_file}: limit, num_samples and force mean nothing here; "
                "leave them out"
            )
        return import_results(partition, store, results_file, log=say)

    return take


def _numbers(generation: "Generation") -> dict[str, Any]:
    """Of all responses, from their plain columns."""
    lengths, cut, count = 0, 0, 0
    for table in generation.tables(["num_tokens", "finish_reason"]):
        lengths += sum(table["num_tokens"].to_pylist())
        cut += table["finish_reason"].to_pylist().count("length")
        count += table.num_rows
    return {"mean tokens": rounded(lengths / count, 1), "truncated share": rounded(cut / count)} if count else {}


def _counted(examples: Sequence[int]) -> str | None:
    """Which examples, counted from 1; None: none."""
    return ", ".join(str(number + 1) for number in examples) or None


def _preview(generation: "Generation") -> dg.MarkdownMetadataValue:
    """Three responses, of three problems where there are three."""
    table = generation.read_fragment(
        min(generation.fragment_indices()), ["problem_id", "sample_index", "response", "finish_reason"]
    )
    rows = sorted(table.to_pylist(), key=lambda row: row["sample_index"])[:3]
    return markdown_table(
        ["response", "ends with", "finish"],  # few columns: the UI has little room for the text
        [[f"{row['problem_id']}, {row['sample_index']}", _end(row["response"]), row["finish_reason"]] for row in rows],
    )


def _end(response: str) -> str:
    return response if len(response) <= _PREVIEW_CHARACTERS else "… " + response[-_PREVIEW_CHARACTERS:]
