"""What every page has: the skip link, the sheet of keys (`?`), and an address that keeps its place."""

from pathlib import Path

import streamlit as st

from onoff_assets.browser.components import as_bytes

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_shell",
    html='<div id="shell"></div>',
    css=(_HERE / "shell.css").read_text(),
    js=(_HERE / "shell.js").read_text(),
)

KEYS = (
    ("← →", "the token before, after (with the focus on the tokens, as all up to a)"),
    ("↑ ↓", "the token above, below"),
    ("Home End", "the first, the last token"),
    ("Page up, Page down", "100 tokens back, on"),
    ("n p", "the next, the previous token above the threshold"),
    ("b B", "the next, the previous token with alternatives that were tried"),
    (". ,", "the next, the previous hit of the search"),
    ("a", "the first token of the answer, after the thinking"),
    ("c", "copy the response"),
    ("l", "copy a link to the token"),
    ("j k", "the next, the previous response of those the filter lets through, on Problem the next problem"),
    ("w", "a random wrong response of them"),
    ("s", "star this response, or take the star away"),
    ("?", "this sheet"),
    ("Tab, first of all", "the link that skips to the tokens"),
)


def shell() -> None:
    """Mount it; once a page, before the page."""
    with st.container(key="shell"):
        _MOUNT(key="shell-view", data=as_bytes({"keys": KEYS}))
