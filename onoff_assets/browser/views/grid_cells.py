"""The cells of the grid: a partition's accuracy or how far it is, its responses and the states of its assets."""

from collections.abc import Sequence
from typing import Any

from onoff_assets.browser.components.link_table import Cell
from onoff_assets.browser.facts import Underway, goes_on
from onoff_assets.browser.grid_rows import GridRow, Underways
from onoff_assets.browser.text import age
from onoff_assets.browser.views import common
from onoff_core.progress import duration
from onoff_core.tables import ASSETS, OPTIONAL_ASSETS

_ASSETS = (*ASSETS, *OPTIONAL_ASSETS)
MARKS = {"complete": "●", "partial": "◐", "stale": "○", "missing": "–", "imported": "◆", "dropped": "✕"}
STATE_MARKS = ("stale", "partial", "dropped", "missing")  # of which a compact cell shows the first that it has
_CURRENT = ("complete", "imported")
_LEFT = ("missing", "partial", "stale")  # states in which there is something to go on with
_MOST_NAMED = 4  # partitions that are being made


def hints(rows: Sequence[GridRow]) -> tuple[str, str]:
    """What a cell says, and what it says where there is little room."""
    marks = ", ".join(f"{mark} {state}" for state, mark in MARKS.items())
    some = ", ".join(f"{MARKS[state]} {state}" for state in STATE_MARKS)
    means = "A mean with * is of the partitions that are there. A bar below a cell is how much of it is made by now."
    return (
        "In each cell: accuracy with its 95 % interval; responses and when they were made; then "
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
        note = " · ".join((*said, f"{_age(row.drawn, now)} {states}".strip()))
        return Cell(text, note, mark=mark, page=page, query=query, done=done)
    text = f"{100 * row.accuracy:.1f} %"
    if row.low is not None and row.high is not None:
        text += f" [{100 * row.low:.1f}, {100 * row.high:.1f}]"
    responses = "1 response" if row.num_samples == 1 else f"{row.num_samples:,} responses"
    made = "" if row.drawn is None else f", {age(row.drawn, now)}"
    note = " · ".join((f"{responses}{made}", *said, states))
    return Cell(
        text, note, level=round(6 * row.accuracy), value=round(row.accuracy, 6), mark=mark, done=done,
        page="problems" if row.has_responses else None, query={**query, "sort": "pass_rate"},
    )  # fmt: skip


def running_lines(underway: Underways, now: float) -> list[Cell]:
    """Each partition that is being made, with how far it is; links to its responses and to its runs in Dagster."""
    running = [(key, one) for key, found in underway.items() for one in found if one.is_written is not False]
    named = [
        Cell(
            f"{'|'.join(key)}, {', '.join(part for part in (_said(one), one.pace(now)) if part)}",
            page="responses",
            query={"dataset": key[0], "model": key[1]},
            href=common.dagster_link(one.asset, "|".join(key)),
        )
        for key, one in running[:_MOST_NAMED]
    ]
    more = len(running) - len(named)
    return [*named, Cell(f"and {more} more")] if more else named


def complete_line(rows: Sequence[GridRow], where: str) -> str:
    """Of how many partitions the four assets that each has are complete, and apart from these, what else was asked."""
    number = "1 partition" if len(rows) == 1 else f"{len(rows):,} partitions"
    own = [{row.states.get(asset.name) for asset in ASSETS} for row in rows]
    finished = sum(states <= set(_CURRENT) for states in own)
    stale = sum("stale" in states and states <= {"stale", *_CURRENT} for states in own)
    beside = [
        f"{asset.name.replace('_', ' ')} of {sum(state in _CURRENT for state in asked):,} of {len(asked):,}"
        for asset in OPTIONAL_ASSETS
        if (asked := [row.states[asset.name] for row in rows if asset.name in row.states])
    ]
    first, *_, last = (asset.name.replace("_", " ") for asset in ASSETS)
    also = f" Beside these, {', '.join(beside)}." if beside else ""
    old = f", {stale:,} stale" if stale else ""
    return f"{number}, {finished:,} complete{old} ({first} to {last}) in {where}.{also}"


def resting_line(rows: Sequence[GridRow], now: float) -> str:
    """What is said while no process is at work: between two assets of a run, that it may go on."""
    recent = [row for row in rows if may_go_on(row, now)]
    if not recent:
        return "Nothing is being made now."
    row = max(recent, key=lambda one: one.updated or 0.0)
    since = duration(max(0.0, now - (row.updated or now)))
    return (
        f"Between two assets: something of {row.dataset}|{row.model} was completed {since} ago, "
        f"and a run may go on with {_left(row)[0]}."
    )


def may_go_on(row: GridRow, now: float) -> bool:
    """Whether an asset was completed so short a time ago that its run may be about to begin another one."""
    return goes_on(row.updated, now) and bool(_left(row))


def _left(row: GridRow) -> list[str]:
    return [asset.name.replace("_", " ") for asset in _ASSETS if row.states.get(asset.name) in _LEFT]


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
