"""Grid: data sets x models with accuracy and interval, responses, freshness and the state of each asset."""

import time

import streamlit as st

from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.grid_rows import ASSETS, GridRow, grid_rows
from onoff_assets.browser.views import common

MARKS = {"complete": "●", "partial": "◐", "stale": "○", "missing": "–", "imported": "◆"}
LETTERS = dict(zip(ASSETS, "SRAT", strict=True))


def show() -> None:
    st.title("Grid")
    reader, (study, reason) = common.reader(), common.study()
    rows = grid_rows(reader.store, study)
    if all(row.updated is None for row in rows):
        common.no_partitions(reader)
    if not rows:
        return
    if reason is not None:
        common.note(f"Without a study ({reason}), stale means: made from older results than the current ones.")
    finished = sum(all(state in ("complete", "imported") for state in row.states.values()) for row in rows)
    common.note(f"{len(rows)} partitions, {finished} complete in {reader.store.root}. A click opens the responses.")
    common.note(
        "In each cell: accuracy with its 95 % interval; responses and age; then samples (S), rewards (R), statistics "
        "(A) and token distributions (T), each " + ", ".join(f"{mark} {state}" for state, mark in MARKS.items()) + "."
    )
    _matrix(rows)
    _details(rows)


def _matrix(rows: list[GridRow]) -> None:
    models = sorted({row.model for row in rows})
    by_key = {(row.dataset, row.model): row for row in rows}
    now = time.time()
    table = []
    for dataset in sorted({row.dataset for row in rows}):
        cells = [_cell(by_key.get((dataset, model)), now) for model in models]
        table.append([Cell(dataset), *cells])
    common.go(link_table("Accuracy", ["data set", *models], table, key="grid"))


def _cell(row: GridRow | None, now: float) -> Cell:
    if row is None:
        return Cell("–")
    states = " ".join(f"{LETTERS[asset]}{MARKS[row.states[asset]]}" for asset in ASSETS)
    if row.updated is None and all(state == "missing" for state in row.states.values()):
        return Cell("not run", states)
    page = "response" if row.states["samples"] in ("complete", "stale", "imported") else None
    query = {"dataset": row.dataset, "model": row.model}
    if row.accuracy is None:
        return Cell("no accuracy yet", f"{age(row.updated, now)} {states}".strip(), page=page, query=query)
    text = f"{100 * row.accuracy:.1f} % [{100 * (row.low or 0):.1f}, {100 * (row.high or 0):.1f}]"
    note = f"{row.num_samples} responses, {age(row.updated, now)} · {states}"
    return Cell(text, note, level=round(6 * row.accuracy), page=page, query=query)


def age(then: float | None, now: float) -> str:
    """`3 hours ago`; empty where nothing is there."""
    if then is None:
        return ""
    seconds = max(0.0, now - then)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _details(rows: list[GridRow]) -> None:
    """The partition looked at last, or the first with results: states in words, and the ways to it in Dagster."""
    st.subheader("One partition")
    keys = [f"{row.dataset}|{row.model}" for row in rows]
    remembered = "|".join(st.session_state.get("partition", {}).values())
    with_results = next((i for i, row in enumerate(rows) if row.updated is not None), 0)
    key = st.selectbox(
        "Partition", keys, index=keys.index(remembered) if remembered in keys else with_results, key="grid-partition"
    )
    row = rows[keys.index(key)]
    query = {"dataset": row.dataset, "model": row.model}
    cells = [[Cell(asset), Cell(f"{MARKS[state]} {state}")] for asset, state in row.states.items()]
    left, right = st.columns(2)
    with left:
        link_table("State of each asset", ["asset", "state"], cells, key="states")
    with right:
        pages = [
            [Cell(name.capitalize(), page=name, query=query)] for name in ("response", "problem", "tokens", "compare")
        ]
        common.go(link_table("Open in", ["page"], pages, key="open"))
        for asset in ASSETS:
            st.link_button(f"{asset} in Dagster", dagster_link(asset, key))


def dagster_link(asset: str, key: str) -> str:
    """The asset's partition in the Dagster UI, with the runs that made it."""
    from urllib.parse import quote

    return f"{common.DAGSTER_URL}/assets/{asset}?view=partitions&partition={quote(key, safe='')}"
