"""A table of a page as a file, made when somebody presses the button."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import streamlit as st

from onoff_assets.browser.downloads import as_csv


def csv_button(label: str, name: str, rows: Callable[[], list[dict[str, Any]]]) -> None:
    """`rows`: of one table, with the same names in each."""
    table_button(label, name, lambda: pa.Table.from_pylist(rows()))


def table_button(label: str, name: str, table: Callable[[], pa.Table]) -> None:
    st.download_button(
        label, lambda: as_csv(table()), f"{name}.csv", "text/csv", key=f"take-{name}",
        on_click="ignore", type="tertiary", icon=":material/download:",
    )  # fmt: skip


def with_ends(name: str, ends: tuple[float, float] | None) -> Mapping[str, float | None]:
    """An interval as two columns."""
    low, high = ends or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}
