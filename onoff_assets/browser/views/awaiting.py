"""What a page says of results that are not there yet: how to make them, or that a run is. It refreshes itself."""

from collections.abc import Callable

import streamlit as st

from onoff_assets.browser.facts import Underway, underway
from onoff_assets.browser.reading import Key, Reader
from onoff_assets.browser.text import escaped
from onoff_core.commands import materialize_command
from onoff_core.errors import MissingInputError
from onoff_core.tables import GRID_ASSETS

# Seconds between two looks; where every look costs, as on S3, seldom.
_LOOKED_EVERY, _LOOKED_SELDOM = 2.0, 20.0


def not_run_yet(reader: Reader, key: Key) -> None:
    """Of a partition of the study of which the store has nothing."""

    def draw(found: tuple[Underway, ...]) -> None:
        name = "|".join(key)
        if going := _going(found):
            st.info(escaped(_first(key, going)))
            return
        st.info(escaped(f"{name} is in this study and was not run yet: there are no responses of it. Make them with:"))
        st.code(materialize_command(GRID_ASSETS, name), language=None, wrap_lines=True)
        st.markdown(":small[This page follows by itself as soon as a run begins.]")

    _follow(reader, key, draw)


def explain(reader: Reader, key: Key, error: MissingInputError) -> None:
    """What is missing, and what to run; where a run is at this partition, that it is: a second one helps nobody."""
    what = str(error).partition("; run: ")[0]

    def draw(found: tuple[Underway, ...]) -> None:
        going = _going(found) if f" {'|'.join(key)} " in what else ""
        if not going:
            said = str(error)
        elif what.startswith("samples of "):
            said = _first(key, going)
        else:
            said = f"{what}. A run is at this partition ({going}); this page follows it by itself."
        say(said)

    _follow(reader, key, draw)


def say(text: str) -> None:
    """A message of what is missing; the command at its end, where it has one, to be copied."""
    said, run, command = text.rpartition("run: ")
    whole = f"{said}run:" if run else text
    is_name = "_" in whole.partition(" ")[0]  # of an asset
    st.info(escaped(whole if is_name else whole[0].upper() + whole[1:]))
    if run:
        st.code(command, language=None, wrap_lines=True)


def _first(key: Key, going: str) -> str:
    return f"The first responses of {'|'.join(key)} are being made ({going}). They stand here as they come."


def _follow(reader: Reader, key: Key, draw: Callable[[tuple[Underway, ...]], None]) -> None:
    """Draw it, and again after a while; the whole page where there is something else to read."""
    before = _stage(reader, key, underway(reader, key))

    def look() -> None:
        found = underway(reader, key)
        if _stage(reader, key, found) != before:
            st.rerun()
        draw(found)

    st.fragment(look, run_every=_LOOKED_EVERY if reader.store.files.locks else _LOOKED_SELDOM)()


def _stage(reader: Reader, key: Key, found: tuple[Underway, ...]) -> tuple[object, ...]:
    """What is there of the partition, and what of that which is being made."""
    current = [asset for asset in GRID_ASSETS if reader.store.current(asset, key) is not None]
    return key in reader.partitions(), current, [(one.asset, one.done > 0) for one in found]


def _going(found: tuple[Underway, ...]) -> str:
    """What a run is known to be making, in words; empty where none is."""
    return ", ".join(f"{one.asset.replace('_', ' ')}: {one.count}" for one in found if one.is_written)
