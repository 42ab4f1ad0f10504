"""Grid: data sets x models with accuracy and interval, responses, freshness and the state of each asset."""

import time
from urllib.parse import quote

import streamlit as st

from onoff_assets.browser.components.grid_table import grid_table
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.grid_rows import GridRow, grid_rows, in_order
from onoff_assets.browser.text import age, visible
from onoff_assets.browser.views import common, strip
from onoff_core.commands import materialize_command
from onoff_core.tables import ASSETS, OPTIONAL_ASSETS

_ASSETS = (*ASSETS, *OPTIONAL_ASSETS)
MARKS = {"complete": "●", "partial": "◐", "stale": "○", "missing": "–", "imported": "◆", "dropped": "✕"}


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
    finished = sum(all(state in ("complete", "imported") for state in row.states.values()) for row in rows)
    number = "1 partition" if len(rows) == 1 else f"{len(rows)} partitions"
    common.note(f"{number}, {finished} complete in {reader.store.root}. A click opens the problems, the worst first.")
    if all(row.updated is None for row in rows):
        st.info("No partition has results yet. The command at the end of this page makes the one chosen there.")
    common.note(
        f"In each cell: accuracy with its 95 % interval; responses and age; then {_letters(rows)}, each "
        + ", ".join(f"{mark} {state}" for state, mark in MARKS.items())
        + "."
    )
    _matrix(rows)
    _details(rows)


def _letters(rows: list[GridRow]) -> str:
    """`samples (S), ... and token distributions (T)`: the assets that some partition asks for."""
    shown = [asset for asset in _ASSETS if any(asset.name in row.states for row in rows)]
    *first, last = (f"{asset.name.replace('_', ' ')} ({asset.letter})" for asset in shown)
    return f"{', '.join(first)} and {last}"


@st.fragment
def _matrix(rows: list[GridRow]) -> None:
    """The table; another order or filter runs this again and nothing else of the page."""
    models = in_order((row.model for row in rows), common.study()[0])
    by_key = {(row.dataset, row.model): row for row in rows}
    now = time.time()
    table = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        cells = [_cell(by_key.get((dataset, model)), now) for model in models]
        table.append([Cell(dataset), *cells])
    common.go(
        grid_table(
            "Accuracy",
            ["data set", *models],
            table,
            key="grid",
            address=st.query_params,
            on_ask=lambda change: common.set_link(**change),
        )
    )


def _cell(row: GridRow | None, now: float) -> Cell:
    """Leads to the problems, the worst first; without statistics to the responses."""
    if row is None:
        return Cell("–")
    states = " ".join(f"{asset.letter}{MARKS[row.states[asset.name]]}" for asset in _ASSETS if asset.name in row.states)
    if row.updated is None and all(state == "missing" for state in row.states.values()):
        return Cell("not run", states)
    query, mark = {"dataset": row.dataset, "model": row.model}, _mark(row)
    if row.accuracy is None:
        page = "responses" if row.has_responses else None
        return Cell("no accuracy yet", f"{_age(row.updated, now)} {states}".strip(), mark=mark, page=page, query=query)
    text = f"{100 * row.accuracy:.1f} %"
    if row.low is not None and row.high is not None:
        text += f" [{100 * row.low:.1f}, {100 * row.high:.1f}]"
    responses = "1 response" if row.num_samples == 1 else f"{row.num_samples} responses"
    note = f"{responses}, {_age(row.updated, now)} · {states}"
    page = "problems" if row.has_responses else None
    worst = {**query, "sort": "pass_rate"}
    return Cell(
        text, note, level=round(6 * row.accuracy), value=round(row.accuracy, 6), mark=mark, page=page, query=worst
    )


def _mark(row: GridRow) -> str:
    """The mark of the state that most needs a look; none where all is complete."""
    there = set(row.states.values()) - {"complete", "imported"}
    return next((MARKS[state] for state in ("stale", "partial", "dropped", "missing") if state in there), "")


def _age(then: float | None, now: float) -> str:
    """`3 hours ago`; empty without a time."""
    return "" if then is None else age(then, now)


def _details(rows: list[GridRow]) -> None:
    """One partition in words, with links: the one of the URL, else looked at last, else the first with results."""
    st.subheader("One partition")
    row = _choose(rows)
    key, query = f"{row.dataset}|{row.model}", {"dataset": row.dataset, "model": row.model}
    cells = [
        [
            Cell(asset),
            Cell(f"{MARKS[state]} {state}"),
            _run_cell(row.runs.get(asset)),
            Cell("runs and versions", href=dagster_link(asset, key)),
        ]
        for asset, state in row.states.items()
    ]
    common.remember()
    strip.show(common.reader(), (row.dataset, row.model))
    link_table("State of each asset", ["asset", "state", "made by run", "in Dagster"], cells, key="states")
    wanting = [asset for asset, state in row.states.items() if state not in ("complete", "imported")]
    if wanting:
        common.note("What is not complete is filled by:")
        st.code(materialize_command(wanting, key), language=None, wrap_lines=True)
    names = [
        "problems",
        "responses",
        "response",
        "problem",
        "compare",
        "tokens",
        *(["opinions"] if "second_opinions" in row.states else []),
    ]
    pages = [Cell(name.capitalize(), page=name, query=query) for name in names]
    common.go(link_table("Open it in", [""] * len(pages), [pages], key="open"))


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


def dagster_link(asset: str, key: str) -> str:
    """The asset's partition in the Dagster UI, with all the runs that made it."""
    return f"{common.DAGSTER_URL}/assets/{asset}?view=partitions&partition={quote(key, safe='')}"
