"""The cells of the grid: a partition's accuracy or how far it is, its responses and the states of its assets."""

from collections.abc import Sequence
from typing import Any

from onoff_assets.browser.components.link_table import Cell
from onoff_assets.browser.facts import Underway
from onoff_assets.browser.grid_rows import GridRow, Underways
from onoff_assets.browser.text import age
from onoff_assets.browser.views import common
from onoff_core.tables import ASSETS, OPTIONAL_ASSETS

_ASSETS = (*ASSETS, *OPTIONAL_ASSETS)
MARKS = {"complete": "●", "partial": "◐", "stale": "○", "missing": "–", "imported": "◆", "dropped": "✕"}
STATE_MARKS = ("stale", "partial", "dropped", "missing")  # of which a compact cell shows the first that it has
_MOST_NAMED = 4  # partitions that are being made


def hints(rows: Sequence[GridRow]) -> tuple[str, str]:
    """What a cell says, and what it says where there is little room."""
    marks = ", ".join(f"{mark} {state}" for state, mark in MARKS.items())
    some = ", ".join(f"{MARKS[state]} {state}" for state in STATE_MARKS)
    means = "A mean with * is of the partitions that are there."
    return (
        "In each cell: accuracy with its 95 % interval; responses and age; then "
        f"{_letters(rows)}, each {marks}. {means}",
        f"Accuracy in per cent; {some}; … is being made. {means} Pointing at a cell tells its interval and its assets.",
    )


def _letters(rows: Sequence[GridRow]) -> str:
    """`samples (S), ... and token distributions (T)`: the assets that some partition asks for."""
    shown = [asset for asset in _ASSETS if any(asset.name in row.states for row in rows)]
    *first, last = (f"{asset.name.replace('_', ' ')} ({asset.letter})" for asset in shown)
    return f"{', '.join(first)} and {last}"


def grid_cell(row: GridRow | None, underway: Sequence[Underway], now: float) -> Cell:
    """Leads to the problems, the worst first; without an accuracy yet, to the responses that are there so far."""
    if row is None:
        return Cell("–")
    states = " ".join(f"{asset.letter}{MARKS[row.states[asset.name]]}" for asset in _ASSETS if asset.name in row.states)
    if not underway and row.updated is None and all(state == "missing" for state in row.states.values()):
        return Cell("not run", states)
    query, mark = {"dataset": row.dataset, "model": row.model}, _mark(row)
    first = next((one for one in underway if one.is_written is not False), None)
    done = None if first is None else first.done / first.total if first.total else 0.0
    said = [_said(one) for one in underway]
    if row.accuracy is None:
        text = underway[0].count if underway else "no accuracy yet"
        if underway:
            said[0] = f"{underway[0].asset.replace('_', ' ')} {underway[0].stands}"
        page = "responses" if row.has_responses or underway else None
        note = " · ".join((*said, f"{_age(row.updated, now)} {states}".strip()))
        return Cell(text, note, mark=mark, page=page, query=query, done=done)
    text = f"{100 * row.accuracy:.1f} %"
    if row.low is not None and row.high is not None:
        text += f" [{100 * row.low:.1f}, {100 * row.high:.1f}]"
    responses = "1 response" if row.num_samples == 1 else f"{row.num_samples:,} responses"
    note = " · ".join((f"{responses}, {_age(row.updated, now)}", *said, states))
    return Cell(
        text, note, level=round(6 * row.accuracy), value=round(row.accuracy, 6), mark=mark, done=done,
        page="problems" if row.has_responses else None, query={**query, "sort": "pass_rate"},
    )  # fmt: skip


def running_lines(underway: Underways) -> list[Cell]:
    """Each partition that is being made, with how far it is; links to its responses and to its runs in Dagster."""
    running = [(key, one) for key, found in underway.items() for one in found if one.is_written is not False]
    named = [
        Cell(
            f"{'|'.join(key)}, {_said(one)}",
            page="responses",
            query={"dataset": key[0], "model": key[1]},
            href=common.dagster_link(one.asset, "|".join(key)),
        )
        for key, one in running[:_MOST_NAMED]
    ]
    more = len(running) - len(named)
    return [*named, Cell(f"and {more} more")] if more else named


def csv_rows(rows: Sequence[GridRow]) -> list[dict[str, Any]]:
    """Every partition with its numbers and the state of each asset; null where it does not ask for the asset."""
    assets = [asset.name for asset in _ASSETS if any(asset.name in row.states for row in rows)]
    return [
        {"dataset": row.dataset, "model": row.model, "accuracy": row.accuracy, "interval_low": row.low,
         "interval_high": row.high, "num_samples": row.num_samples, **{name: row.states.get(name) for name in assets}}
        for row in rows
    ]  # fmt: skip


def _said(one: Underway) -> str:
    return f"{one.asset.replace('_', ' ')} {one.stands}: {one.count}"


def _mark(row: GridRow) -> str:
    """The mark of the state that most needs a look; none where all is complete."""
    there = set(row.states.values()) - {"complete", "imported"}
    return next((MARKS[state] for state in STATE_MARKS if state in there), "")


def _age(then: float | None, now: float) -> str:
    """`3 hours ago`; empty without a time."""
    return "" if then is None else age(then, now)
