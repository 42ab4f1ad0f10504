"""`settings` and its like for rewards, statistics, distributions, cross-scores, branches, second opinions and
confidence: what `onoff.yaml` says of each partition.

Hashes, observed. Several assets and not one, so that a change makes stale just what it decides: sampling settings the
samples and all that follows, `distribution.top_k` the token distributions and branches, `branches` the branches alone,
the references of a model its cross-scores.
"""

import dagster as dg

from onoff_assets.execution import open_store
from onoff_assets.input_versions import settings_versions
from onoff_assets.metadata import markdown_table
from onoff_assets.partitions import GROUP, Grid
from onoff_core.study import Partition

_SHOWN = 40  # partitions
DESCRIPTIONS = {
    "settings": "What decides a partition's samples besides the problems: model and revision, task, sampling settings.",
    "reward_settings": "What decides a partition's rewards, from the problems on: sampling, and how answers are found "
    "and compared.",
    "distribution_settings": "What decides a partition's token distributions, from the problems on: sampling, "
    "temperature and top-k.",
    "cross_settings": "What decides a partition's cross-scores, from the problems on; of partitions whose settings "
    "name references.",
    "branch_settings": "What decides a partition's branches, from the problems on; of partitions whose settings ask "
    "for branches.",
    "statistics_settings": "What decides a partition's statistics besides the rewards: for which k.",
    "second_opinion_settings": "What decides a partition's second opinions besides the rewards: rules, or which judge. "
    "Of partitions that ask for one.",
    "confidence_settings": "What decides a partition's confidence, from the problems on; of partitions whose settings "
    "ask for it.",
}


def build_settings(grid: Grid, name: str) -> dg.SourceAsset:
    """The asset of this name, one of those above."""

    @dg.observable_source_asset(
        name=name,
        partitions_def=grid.partitions,
        group_name=GROUP,
        description=DESCRIPTIONS[name],
        metadata=_metadata(grid, name),
        tags={"dagster/kind/yaml": ""},
        resource_defs=grid.resources,
        required_resource_keys=set(grid.resources),
    )
    def observe() -> dg.DataVersionsByPartition:
        from onoff_core.grid.problem_versions import problems_versions

        store = open_store(grid.study)
        found = problems_versions(grid.study, store).found
        return dg.DataVersionsByPartition(settings_versions(grid.study.partitions.values(), found, store)[name])

    return observe


def _line(partition: Partition) -> list[object]:
    sampling, left = partition.sampling, partition.sampling.left_to_model
    drawn: list[object] = [
        "the model's" if name in left else getattr(sampling, name) for name in ("temperature", "top_p", "top_k")
    ]
    return [
        partition.key,
        *(["greedy"] if sampling.greedy and not left else drawn[:1]),
        *drawn[1:],
        sampling.num_samples if sampling.until is None else f"up to {sampling.most_samples}",
        sampling.max_length,
        partition.task.template_type,
    ]


def _metadata(grid: Grid, name: str) -> dict[str, dg.MetadataValue]:
    """The file, and of `settings` what people ask for first of each partition; a materialization shows all of it."""
    file = dg.MetadataValue.path(str(grid.study.config_path))
    if name != "settings":
        return {"settings file": file}
    partitions = list(grid.study.partitions.values())
    rows = [_line(partition) for partition in partitions[:_SHOWN]]
    header = ["partition", "temperature", "top p", "top k", "samples", "max length", "template"]
    more = {"partitions shown": dg.MetadataValue.text(f"{_SHOWN} of {len(partitions)}")}
    return {
        "partitions": markdown_table(header, rows),
        **(more if len(partitions) > _SHOWN else {}),
        "settings file": file,
    }
