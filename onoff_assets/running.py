"""From an asset's context to a call of `onoff_core`, and back: partition, store, and errors as a person reads them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dagster as dg

from onoff_assets.study import study
from onoff_core.errors import OnoffError
from onoff_core.study import Partition

if TYPE_CHECKING:
    from onoff_core.grid.materialize import Made
    from onoff_core.store import Store

Materialize = Callable[[Partition, "Store", Callable[[str], None]], "Made"]


def open_store() -> "Store":
    from onoff_core.store import Store

    return Store(study().store_path)


def run(context: dg.AssetExecutionContext, materialize: Materialize) -> "Made":
    """Materialize the context's partition; what a user can mend fails the step with its message, without a retry."""
    try:
        partition = study().partition(str(context.partition_key))
        return materialize(partition, open_store(), context.log.info)
    except OnoffError as error:
        raise dg.Failure(
            description=f"{context.asset_key.to_user_string()} of {context.partition_key}: {error}", allow_retries=False
        ) from error


def table_metadata(made: "Made") -> dict[str, Any]:
    """What every asset shows of its table: rows, columns, where it lies."""
    from onoff_core.tables import SCHEMAS

    generation, manifest = made.generation, made.manifest
    columns = [
        dg.TableColumn(
            name=field.name,
            type=str(field.type),
            description=field.metadata[b"comment"].decode(),
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in SCHEMAS[generation.asset]
    ]
    return {
        "dagster/row_count": manifest.num_rows,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "generation": generation.fingerprint,
        "path": dg.MetadataValue.path(str(generation.files.path(generation.folder))),
        "computed now": made.computed,
    }


def rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def present(metadata: dict[str, Any]) -> dict[str, Any]:
    """Without what there is no number for."""
    return {name: value for name, value in metadata.items() if value is not None}


def markdown_table(header: list[str], rows: list[list[object]]) -> dg.MarkdownMetadataValue:
    """A table of plain values; text is shown as it is, never as Markdown."""
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
