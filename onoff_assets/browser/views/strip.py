"""The strip of a partition: settings, when and by which run, stale or not, running or not. It refreshes itself."""

import time
from collections.abc import Sequence
from urllib.parse import quote

import streamlit as st

from onoff_assets.browser.components.facts_strip import Block, Shown, State, facts_strip
from onoff_assets.browser.facts import Facts, Stale, Underway, facts_of
from onoff_assets.browser.grid_rows import GridRow, grid_rows
from onoff_assets.browser.reading import Key, Reader
from onoff_assets.browser.text import age
from onoff_assets.browser.views import common
from onoff_core.tables import GRID_ASSETS

# Seconds, while something is being made, and where that cannot be told, as on S3, whose listings cost.
_REFRESHED_EVERY, _REFRESHED_SELDOM = 3.0, 20.0
_LISTED = ("samples", "rewards", "token_distributions", "confidence")  # what a table of responses is made of
_NAMED = 5  # partitions of a kind


def show(
    reader: Reader, key: Key, blocks: Sequence[Block] = (), name: str = "", shows: Sequence[str] = GRID_ASSETS
) -> None:
    """Show the strip, with a name in front where a page has several of them. `shows`: the assets that the page is made
    of, which its badge is about; of others a quiet line says what is stale.

    It is drawn anew by itself, without the page, while a run is at it or may go on with the next asset.
    """
    facts = facts_of(reader, key, common.study()[0])
    if not _is_running(facts) and not facts.goes_on(time.time()):
        _draw(facts, blocks, name, shows)
        return

    def again() -> None:
        now = facts_of(reader, key, common.study()[0])
        if _stage(now) != _stage(facts) or now.changed_at != facts.changed_at:
            st.rerun()  # the whole page has something else to read
        _draw(now, blocks, name, shows)

    seldom = not reader.store.files.locks
    st.fragment(again, run_every=_REFRESHED_SELDOM if seldom else _REFRESHED_EVERY)()


def _stage(facts: Facts) -> list[tuple[str, bool]]:
    """What is being made, and whether some of it is there; nothing where no run is at it."""
    return [(one.asset, one.done > 0) for one in facts.underway] if _is_running(facts) else []


def _is_running(facts: Facts) -> bool:
    return any(one.is_written is not False for one in facts.underway)


def _draw(facts: Facts, blocks: Sequence[Block], name: str, shows: Sequence[str]) -> None:
    named = [Shown("", name)] if name else []
    shown = named + [Shown(fact.name, fact.value, fact.title) for fact in facts.short]
    if facts.completed_at is not None:
        stamp = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(facts.completed_at))
        shown.append(Shown("made", age(facts.completed_at, time.time()), stamp))
    if facts.run is not None:
        href = f"{common.DAGSTER_URL}/runs/{quote(facts.run, safe='')}"
        shown.append(Shown("run", facts.run[:8], facts.run, href))
    if facts.underway:
        asset, key = facts.underway[0].asset, quote("|".join(facts.key), safe="")
        href = f"{common.DAGSTER_URL}/assets/{asset}?view=partitions&partition={key}"
        shown.append(Shown("", "its runs in Dagster", "", href))
    more = [Shown(fact.name, fact.value, fact.title) for fact in facts.more]
    facts_strip(_states(facts, shows), shown, more, blocks, key=f"strip-{name}", aside=_aside(facts, shows))


def show_others(reader: Reader, key: Key, keys: Sequence[Key]) -> None:
    """A line where a page lists responses of several partitions, of which the strip is about one, `key`."""
    listed = set(keys) - {key}
    if listed:
        rows = [row for row in grid_rows(reader.store, common.study()[0]) if (row.dataset, row.model) in listed]
        common.note(others_line("|".join(key), rows))


def others_line(name: str, rows: Sequence[GridRow]) -> str:
    """How the other partitions stand of which responses are listed, as far as a table of responses is made of them."""
    found: dict[str, list[str]] = {}
    for row in rows:
        stale = [_words(asset) for asset in _LISTED if row.states.get(asset) == "stale"]
        if stale:
            found.setdefault(f"{', '.join(stale)} stale", []).append(f"{row.dataset}|{row.model}")
        elif row.states["rewards"] not in ("complete", "imported"):
            found.setdefault("not all graded", []).append(f"{row.dataset}|{row.model}")
    said = [f"{how}: {', '.join(names[:_NAMED])}{_more(len(names))}" for how, names in found.items()]
    how_many = "1 other partition is" if len(rows) == 1 else f"{len(rows)} other partitions are"
    return f"Above is what {name} was made under; {how_many} listed: " + ("; ".join(said) or "nothing stale") + "."


def _more(number: int) -> str:
    return f" and {number - _NAMED} more" if number > _NAMED else ""


def _states(facts: Facts, shows: Sequence[str]) -> list[State]:
    """How that stands which the page shows, and what is being made."""
    states = [_underway(one) for one in facts.underway]
    stale = [one for one in facts.stale if one.asset in shows]
    if stale:
        states.append(State("stale", f"{', '.join(_words(one.asset) for one in stale)} stale", _why(stale)))
    elif facts.completed_at is not None and not facts.underway:
        states.append(State("good", "up to date" if facts.is_judged else "complete"))
    return states


def _why(stale: Sequence[Stale]) -> str:
    """The causes; of what only follows from them, its name."""
    caused = [one for one in stale if not one.reason.startswith("made from former")] or stale
    followed = [_words(one.asset) for one in stale if one not in caused]
    why = ". ".join(f"{_words(one.asset)}: {one.reason}" for one in caused)
    return why + (f". Made from these: {', '.join(followed)}" if followed else "")


def _aside(facts: Facts, shows: Sequence[str]) -> list[str]:
    """What the page shows and is not there yet, and what else of the partition is stale, a line for each reason."""
    others = [one for one in facts.stale if one.asset not in shows]
    begun = {one.asset for one in facts.underway}
    missing = [_words(asset) for asset in facts.missing if asset in shows and asset not in begun]
    return ([f"not made yet: {', '.join(missing)}"] if missing else []) + [
        f"{', '.join(_words(one.asset) for one in others if one.reason == reason)} stale: {reason}"
        for reason in dict.fromkeys(one.reason for one in others)
    ]


def _underway(one: Underway) -> State:
    text = f"{_words(one.asset)} {one.stands}: {one.count}"
    if not one.is_written:
        return State("begun", text)
    return State("running", ", ".join(part for part in (text, one.pace(time.time())) if part))


def _words(asset: str) -> str:
    return asset.replace("_", " ")
