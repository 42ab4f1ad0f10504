"""The metadata that assets show in the Dagster UI: plain values in, metadata out."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from onoff_assets import tags
from onoff_assets.execution import open_store
from onoff_core.study import Partition, Study

if TYPE_CHECKING:
    import pyarrow as pa

    from onoff_core.grid.materialize import Made
    from onoff_core.store import Manifest
    from onoff_core.store.provenance import RunProvenance


def browser_link(study: Study, partition: Partition, page: str = "responses", **more: str) -> str:
    """The browser's page of a partition."""
    from urllib.parse import urlencode

    return browser_page(study, page, urlencode({"dataset": partition.dataset, "model": partition.model, **more}))


def browser_page(study: Study, page: str, query: str = "") -> str:
    """A page of the browser; the first one is named ``."""
    return f"{study.automation.browser_url.rstrip('/')}/{page}{'?' if query else ''}{query}"


def asset_metadata(
    study: Study, context: dg.AssetExecutionContext, made: "Made", numbers: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata of a materialization, in the order in which the UI shows it: what one looks for first (`numbers`,
    without those that are None), where to look closer, the tables and plots among `numbers`, the settings it was made
    with, how the run went; paths, columns and hashes last.

    Keys are words in small letters with the unit in brackets; those that Dagster gives a meaning begin with dagster/.
    """
    partition, shown = study.partition(str(context.partition_key)), present(dict(numbers))
    tall = {name: value for name, value in shown.items() if isinstance(value, dg.MarkdownMetadataValue)}
    return {
        **{name: value for name, value in shown.items() if name not in tall},
        "dagster/row_count": made.manifest.num_rows,
        "look at it": look_at_it(study, partition),
        **tall,
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
    """Links into the browser."""
    return links(
        {
            "responses": browser_link(study, partition),
            "problems, the worst first": browser_link(study, partition, "problems", sort="pass_rate"),
        }
    )


def links(by_title: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """Links with titles, which the UI shows as such where they are short."""
    return dg.MetadataValue.md(" · ".join(f"[{title}]({link})" for title, link in by_title.items()))


def column_schema(asset: str) -> dg.TableSchema:
    """The columns of an asset's table, with types and meanings."""
    from onoff_core.tables import SCHEMAS

    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=_column_type(field.type),
                description=field.metadata[b"comment"].decode() + _members(field.type),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in SCHEMAS[asset]
        ]
    )


def _column_type(type_: "pa.DataType") -> str:
    """Short enough to leave room for the description: `list[int32]`, `list[struct]`."""
    import pyarrow as pa

    if pa.types.is_list(type_):
        return f"list[{_column_type(type_.value_type)}]"
    return "struct" if pa.types.is_struct(type_) else str(type_)


def _members(type_: "pa.DataType") -> str:
    """`; each has k, estimate, reason` of a list of structs, which its type does not say."""
    import pyarrow as pa

    if pa.types.is_list(type_) and pa.types.is_struct(type_.value_type):
        return "; each has " + ", ".join(field.name for field in type_.value_type)
    return ""


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
    return {**present(numbers), "made by": dg.MetadataValue.json(_made_by(run))}


def _made_by(run: "RunProvenance") -> dict[str, Any]:
    """Code, packages, machine and times, as far as they are known; what `run_metadata` shows anyhow is left out."""
    shown = {"tokens", "attempts", "batch_size", "peak_memory_bytes", "peak_gpu_memory_bytes"}
    times = {"started_at": run.started_at, "ended_at": run.ended_at}
    said = {name: value for name, value in dataclasses.asdict(run).items() if name not in shown and value}
    return {**said, **{name: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC" for name, at in times.items()}}


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


def ends(interval: tuple[float | None, float | None] | None) -> str | None:
    """`[0.123, 0.456]` of an interval or of bounds; None where there is none."""
    low, high = interval or (None, None)
    return None if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


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
