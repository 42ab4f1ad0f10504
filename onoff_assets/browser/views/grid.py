"""Grid: data sets x models with accuracy and interval, responses, freshness and the state of each asset."""

import time
from urllib.parse import quote

import streamlit as st

from onoff_assets.browser.components.grid_now import grid_now
from onoff_assets.browser.components.grid_table import grid_table
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.grid_rows import GridRow, Key, Underways, grid_rows, grid_underway, in_order, is_running
from onoff_assets.browser.menu import pages_with_content
from onoff_assets.browser.reading import Reader
from onoff_assets.browser.text import visible
from onoff_assets.browser.views import common, strip
from onoff_assets.browser.views.grid_cells import (
    MARKS,
    complete_line,
    csv_rows,
    grid_cell,
    hints,
    may_go_on,
    resting_line,
    running_lines,
)
from onoff_assets.browser.views.taking import csv_button
from onoff_core.commands import materialize_command

# Seconds: of what is running its count, where that can be told; and the whole grid, since other partitions may begin,
# and a large one less often.
_COUNTED_EVERY, _READ_EVERY, _LARGE_EVERY = 3.0, 10.0, 30.0
_LARGE = 100  # partitions


def show() -> None:
    st.title("Grid")
    reader, (study, reason) = common.reader(), common.study()
    place = st.empty()
    if "grid-partition" not in st.session_state:  # meanwhile a browser that is new here fetches the table's code
        with place:
            grid_table("Reading the results ...", [], [], key="reading", address={}, on_ask=lambda change: None)
    rows = grid_rows(reader.store, study)
    place.empty()
    if not rows:
        common.no_partitions(reader)
        return
    if reason is not None:
        why = reason.replace("\n", "; ")
        common.note(f"Without a study ({why}), stale means: made from older results than the current ones.")
    common.note(f"{complete_line(rows, str(reader.store.root))} A click opens the problems, the worst first.")
    if all(row.updated is None for row in rows):
        st.info("No partition has results yet. The command at the end of this page makes the one chosen there.")
    underway = grid_underway(reader, rows)
    _now(reader, rows, underway)
    _matrix(rows, underway)
    csv_button("the grid as CSV", "grid", lambda: csv_rows(rows))
    _details(reader, rows, underway)


def _now(reader: Reader, rows: list[GridRow], underway: Underways) -> None:
    """What is being made now and how far it is, drawn anew by itself; the whole page where it is at another stage."""
    read_at = time.time()
    at_first, every = _stages(underway), _READ_EVERY if len(rows) < _LARGE else _LARGE_EVERY
    running = [row for row in rows if is_running(underway.get((row.dataset, row.model), ()))]
    # Of a partition of which something was completed just now, a run may begin the next asset at any moment.
    watched = [row for row in rows if row in running or may_go_on(row, read_at)]
    watched_keys, read_again = {(row.dataset, row.model) for row in watched}, [read_at]

    def draw() -> None:
        looked_at = time.time()
        now = grid_underway(reader, watched)
        if _stages(now) != {key: stages for key, stages in at_first.items() if key in watched_keys}:
            st.rerun()
        if looked_at - read_again[0] >= every - 1:  # a fragment comes a little early or late
            read_again[0], others = looked_at, grid_rows(reader.store, common.study()[0])
            if others != rows or _stages(grid_underway(reader, others)) != at_first:
                st.rerun()
        cells = [(row.dataset, row.model, grid_cell(row, now[row.dataset, row.model], looked_at)) for row in running]
        common.go(grid_now(running_lines(now, looked_at), cells, resting_line(rows, looked_at), key="now"))

    if reader.store.files.locks:
        st.fragment(draw, run_every=_COUNTED_EVERY if watched else every)()
    elif running:  # as on S3, where every look costs
        draw()


def _stages(underway: Underways) -> dict[Key, list[tuple[str, str, bool]]]:
    """What is at work where, and whether some of it is there."""
    return {key: [(one.asset, one.stands, one.done > 0) for one in found] for key, found in underway.items()}


@st.fragment
def _matrix(rows: list[GridRow], underway: Underways) -> None:
    """The table; another order or filter runs this again and nothing else of the page."""
    models = in_order((row.model for row in rows), common.study()[0])
    by_key = {(row.dataset, row.model): row for row in rows}
    now = time.time()
    table = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        keys = [(dataset, model) for model in models]
        table.append([Cell(dataset), *(grid_cell(by_key.get(key), underway.get(key, ()), now) for key in keys)])
    common.go(
        grid_table(
            "Accuracy",
            ["data set", *models],
            table,
            key="grid",
            address=st.query_params,
            on_ask=lambda change: common.set_link(**change),
            hints=hints(rows),
        )
    )


def _details(reader: Reader, rows: list[GridRow], underway: Underways) -> None:
    """One partition in words, with links: the one of the URL, else looked at last, else the first with results."""
    st.subheader("One partition")
    row = _choose(rows)
    key, query = f"{row.dataset}|{row.model}", {"dataset": row.dataset, "model": row.model}
    cells = [
        [
            Cell(asset),
            Cell(f"{MARKS[state]} {state}", whole=True),
            _run_cell(row.runs.get(asset)),
            Cell("runs and versions", href=common.dagster_link(asset, key)),
        ]
        for asset, state in row.states.items()
    ]
    common.remember()
    strip.show(reader, (row.dataset, row.model))
    link_table("State of each asset", ["asset", "state", "made by run", "in Dagster"], cells, key="states")
    wanting = [asset for asset, state in row.states.items() if state not in ("complete", "imported")]
    if wanting and not any(one.is_written for one in underway.get((row.dataset, row.model), ())):
        common.note("What is not complete is filled by:")
        st.code(materialize_command(wanting, key), language=None, wrap_lines=True)
    shown = pages_with_content(reader, common.is_read_only())
    asked = ("problems", "responses", "response", "problem", "compare", "tokens")
    names = [*(name for name in asked if name in shown), *(["opinions"] if "second_opinions" in row.states else [])]
    if names:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            common.note("Open it in")
            for name in names:
                common.link_to(name, name.capitalize(), query)


def _choose(rows: list[GridRow]) -> GridRow:
    keys = [(row.dataset, row.model) for row in rows]
    link = common.link_here()
    wanted = (link.dataset, link.model)
    if wanted != (None, None) and wanted not in keys:
        common.warn([f"There is no partition '{visible('|'.join(str(name) for name in wanted), 80)}' here (any more)."])
    first = next((i for i, row in enumerate(rows) if row.updated is not None), 0)
    chosen = keys.index(wanted) if wanted in keys else first
    st.session_state["grid-partition"] = chosen
    st.selectbox(
        "Partition",
        range(len(keys)),
        key="grid-partition",
        format_func=lambda i: visible("|".join(keys[i])),
        on_change=lambda: common.set_link(
            **dict(zip(("dataset", "model"), keys[st.session_state["grid-partition"]], strict=True))
        ),
    )
    return rows[chosen]


def _run_cell(run: str | None) -> Cell:
    """The run that completed the result; none where it was made outside Dagster, or by an older onoff."""
    if run is None:
        return Cell("–")
    return Cell(run[:8], mono=True, href=f"{common.DAGSTER_URL}/runs/{quote(run, safe='')}")
