"""The strip on every page: what the results were made under, whether that is stale, and what is being made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from onoff_assets.browser.components import as_bytes
from onoff_assets.browser.text import plain, visible

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_facts_strip",
    html='<div id="facts"></div>',
    css=(_HERE / "facts_strip.css").read_text(),
    js=(_HERE / "facts_strip.js").read_text(),
)


@dataclass(frozen=True)
class State:
    """How something stands, and a sentence about it below."""

    tone: Literal["good", "stale", "running", "begun"]
    text: str
    note: str = ""


@dataclass(frozen=True)
class Shown:
    """A name and its value; `title` is the whole of a value that is shortened, `href` never one that a model wrote."""

    name: str
    value: str
    title: str = ""
    href: str = ""


@dataclass(frozen=True)
class Block:
    """A text of several lines, such as a prompt; or tokens one by one, and whether each is special."""

    title: str
    text: str
    tokens: Sequence[tuple[str, bool]] = ()


def facts_strip(
    states: Sequence[State],
    facts: Sequence[Shown],
    more: Sequence[Shown],
    blocks: Sequence[Block],
    *,
    key: str,
    aside: Sequence[str] = (),
) -> None:
    """Show the states and facts on one line, `aside` below it, and `more` and `blocks` where one opens it."""
    data = {
        "states": [{"tone": state.tone, "text": visible(state.text), "note": visible(state.note)} for state in states],
        "aside": [visible(line) for line in aside],
        "facts": [_shown(fact) for fact in facts],
        "more": [_shown(fact) for fact in more],
        "blocks": [_block(block) for block in blocks],
    }
    _MOUNT(key=key, data=as_bytes(data))


def _block(block: Block) -> dict[str, Any]:
    tokens = [[visible(label), int(special)] for label, special in block.tokens]
    return {"title": visible(block.title), "text": plain(block.text), "tokens": tokens}


def _shown(fact: Shown) -> dict[str, str]:
    return {"name": visible(fact.name), "value": visible(fact.value), "title": visible(fact.title), "href": fact.href}
