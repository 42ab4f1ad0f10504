"""The metadata that assets show in the Dagster UI: plain values in, metadata out."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from onoff_assets import tags
from onoff_assets.execution import open_store
from onoff_core.study import Partition, Study

if TYPE_CHECKING:
    from onoff_core.grid.materialize import Made
    from onoff_core.store import Manifest


def browser_link(study: Study, partition: Partition, page: str = "responses", **more: str) -> str:
    """The browser's page of a partition."""
    from urllib.parse import urlencode

    query = urlencode({"dataset": partition.dataset, "model": partition.model, **more})
    return f"{study.automation.browser_url.rstrip('/')}/{page}?{query}"


def asset_metadata(
    study: Study, context: dg.AssetExecutionContext, made: "Made", numbers: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata of a materialization, in the order in which the UI shows it: what one looks for first (`numbers`,
    without those that are None), where to look closer, the settings it was made with, how the run went; paths, columns
    and hashes last.

    Keys are words in small letters with the unit in brackets; those that Dagster gives a meaning begin with dagster/.
    """
    partition = study.partition(str(context.partition_key))
    return {
        **present(dict(numbers)),
        "dagster/row_count": made.manifest.num_rows,
        "look at it": look_at_it(study, partition),
        "settings": dg.MetadataValue.json(settings_of(study, made)),
        **_taken_over(made.manifest),
        **run_metadata(made.manifest),
        "computed now": made.computed,
        "input versions": dg.MetadataValue.json(input_versions(context, made)),
        "generation": made.generation.fingerprint,
        "path": dg.MetadataValue.path(str(made.generation.files.path(made.generation.folder))),
        "dagster/column_schema": column_schema(made.generation.asset),
    }


def settings_of(study: Study, made: "Made") -> dict[str, Any]:
    """What decides the partition's samples, as they are now, and below the asset's name its own settings."""
    own, asset = made.manifest.settings, made.generation.asset
    if asset == "samples":
        return own
    samples = open_store(study).current("samples", made.generation.partition[:2])
    return {**(samples.manifest().settings if samples is not None else {}), **({asset: own} if own else {})}


def look_at_it(study: Study, partition: Partition) -> dg.MarkdownMetadataValue:
    """Links with titles, which the UI shows as such where they are short."""
    pages: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("responses", "responses", {}),
        ("problems, the worst first", "problems", {"sort": "pass_rate"}),
    )
    return dg.MetadataValue.md(
        " · ".join(f"[{title}]({browser_link(study, partition, page, **more)})" for title, page, more in pages)
    )


def column_schema(asset: str) -> dg.TableSchema:
    """The columns of an asset's table, with types and meanings."""
    from onoff_core.tables import SCHEMAS

    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=field.metadata[b"comment"].decode(),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in SCHEMAS[asset]
        ]
    )


def _taken_over(manifest: "Manifest") -> dict[str, Any]:
    """What of it comes from a former generation."""
    from onoff_core.store.provenance import TakenOver

    taken = TakenOver.of(manifest)
    if taken is None:
        return {}
    return {"responses taken over": taken.rows, "taken over from": f"{taken.generation}: {taken.why}"}


def run_metadata(manifest: "Manifest") -> dict[str, Any]:
    """How the run that computed it went, which may be a former one; nothing of what is not recorded."""
    from onoff_core.store.provenance import RunProvenance

    run = RunProvenance.of(manifest)
    if run is None:
        return {}
    numbers = {
        "tokens": run.tokens,
        "attempts": run.attempts,
        "batch size used": run.batch_size,
        "peak memory (MB)": run.peak_memory_bytes // 1_000_000,
        "peak GPU memory (MB)": None if run.peak_gpu_memory_bytes is None else run.peak_gpu_memory_bytes // 1_000_000,
    }
    return {**present(numbers), "made by": dg.MetadataValue.json(dataclasses.asdict(run))}


def input_versions(context: dg.AssetExecutionContext, made: "Made") -> dict[str, str | None]:
    """The data version of each asset that this one depends on, as it was when this was made.

    Dagster records the empty version for inputs that are observed partition by partition, so we say it ourselves. The
    versions of `reward_settings`, `distribution_settings`, `branch_settings` and `confidence_settings` count all the
    way from the problems: they are what the settings' rewards, token distributions, branches and confidence would be.
    None: the run could not observe its settings.
    """
    from onoff_core.grid.fingerprints import fingerprint_of

    inputs, asset = made.manifest.inputs, made.generation.asset
    if asset == "samples":
        run = context.instance.get_run_by_id(context.run.run_id)
        return {"problems": inputs["problems"], "settings": None if run is None else run.tags.get(tags.SETTINGS)}
    if asset == "rewards":
        return {"samples": inputs["samples"], "reward_settings": made.manifest.fingerprint}
    if asset == "statistics":
        settings = made.manifest.settings  # the asset depends on these where something is set
        own = {"statistics_settings": fingerprint_of(settings)} if settings else {}
        return {"rewards": inputs["rewards"], "reward_settings": inputs["rewards"], **own}
    if asset == "second_opinions":
        version = fingerprint_of(made.manifest.settings)
        return {"rewards": inputs["rewards"], "reward_settings": inputs["rewards"], "second_opinion_settings": version}
    if asset in ("branches", "confidence"):
        made_from = {name: inputs[name] for name in ("rewards", "token_distributions")}
        decided_by = "branch_settings" if asset == "branches" else "confidence_settings"
        return {**made_from, decided_by: made.manifest.fingerprint}
    if asset == "cross_scores":
        return {"samples": inputs["samples"]}
    return {"samples": inputs["samples"], "distribution_settings": made.manifest.fingerprint}


def rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def ends(interval: tuple[float | None, float | None] | None) -> str:
    """`0.123 to 0.456` of an interval or of bounds."""
    low, high = interval or (None, None)
    return "none" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def present(metadata: dict[str, Any]) -> dict[str, Any]:
    """The entries that have a value."""
    return {name: value for name, value in metadata.items() if value is not None}


def markdown_table(header: list[str], rows: list[list[object]]) -> dg.MarkdownMetadataValue:
    """A table of plain values; text is shown as it is, never as Markdown. A column without any value is left out."""
    kept = (
        [i for i in range(len(header)) if any(row[i] not in (None, "") for row in rows)] if rows else range(len(header))
    )
    header, rows = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for character in "\\`*_{}[]()#+-.!|$~":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ↵ ")
