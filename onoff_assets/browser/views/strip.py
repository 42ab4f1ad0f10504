"""The strip of a partition: settings, when and by which run, stale or not, running or not. It refreshes itself."""

import time
from collections.abc import Sequence
from urllib.parse import quote

import streamlit as st

from onoff_assets.browser.components.facts_strip import Block, Shown, State, facts_strip
from onoff_assets.browser.facts import Facts, Underway, facts_of
from onoff_assets.browser.reading import Key, Reader
from onoff_assets.browser.text import age
from onoff_assets.browser.views import common

# Seconds, while something is being made, and where that cannot be told, as on S3, whose listings cost.
_REFRESHED_EVERY, _REFRESHED_SELDOM = 3.0, 20.0


def show(reader: Reader, key: Key, blocks: Sequence[Block] = (), name: str = "") -> None:
    """Show the strip, with a name in front where a page has several of them.

    It is drawn anew by itself, without the page, while a run is at it.
    """
    facts = facts_of(reader, key, common.study()[0])
    if not _is_running(facts):
        _draw(facts, blocks, name)
        return

    def again() -> None:
        now = facts_of(reader, key, common.study()[0])
        if _stage(now) != _stage(facts):
            st.rerun()  # the whole page has something else to read
        _draw(now, blocks, name)

    seldom = not any(one.is_written for one in facts.underway)
    st.fragment(again, run_every=_REFRESHED_SELDOM if seldom else _REFRESHED_EVERY)()


def _stage(facts: Facts) -> list[tuple[str, bool]]:
    """What is being made, and whether some of it is there; nothing where no run is at it."""
    return [(one.asset, one.done > 0) for one in facts.underway] if _is_running(facts) else []


def _is_running(facts: Facts) -> bool:
    return any(one.is_written is not False for one in facts.underway)


def _draw(facts: Facts, blocks: Sequence[Block], name: str) -> None:
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
    facts_strip(_states(facts), shown, more, blocks, key=f"strip-{name}")


def _states(facts: Facts) -> list[State]:
    states = [_underway(one) for one in facts.underway]
    if facts.stale:
        assets = ", ".join(_words(one.asset) for one in facts.stale)
        first = facts.stale[0]
        states.append(State("stale", "stale", f"{assets}: {first.reason}"))
    elif facts.completed_at is not None and not facts.underway:
        states.append(State("good", "up to date" if facts.is_judged else "complete"))
    return states


def _underway(one: Underway) -> State:
    return State("running" if one.is_written else "stale", f"{_words(one.asset)} {one.stands}: {one.count}")


def _words(asset: str) -> str:
    return asset.replace("_", " ")
