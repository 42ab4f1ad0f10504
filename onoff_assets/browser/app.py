"""The Streamlit script: `onoff browse` runs it, `streamlit run` and Streamlit's tests do as well."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from streamlit import runtime
from streamlit.navigation.page import StreamlitPage

from onoff_assets.browser import components
from onoff_assets.browser.components.shell import shell
from onoff_assets.browser.menu import OF_RESPONSES, pages_with_content
from onoff_assets.browser.views import common
from onoff_core.errors import OnoffError


def _page(name: str) -> Callable[[], None]:
    """The page, imported when it is first opened: two of them draw charts, whose library takes long to load."""
    return common.guarded(lambda: import_module(f"onoff_assets.browser.views.{name}").show())


st.set_page_config(page_title="onoff", page_icon="🔦", layout="wide")
if runtime.exists() and not st.get_option("server.address"):  # Streamlit would let every machine around read the store
    st.error(
        "This server listens on all addresses of this machine, so the store is not shown. End it, and start "
        "`onoff browse`, or name an address: `streamlit run ... --server.address 127.0.0.1`"
    )
    st.stop()
st.html(Path(components.__file__).with_name("page.css"))
GRID = st.Page(_page("grid"), title="Grid", url_path="", default=True)
NAMES = (*OF_RESPONSES, "compare", "series", "tokens", "opinions", "rollouts", "notes")
typed = urlsplit(st.context.url or "").path.rstrip("/").rpartition("/")[2]


def _in_menu() -> frozenset[str]:
    """The pages with something to show; all of them where no store is named, so that each says why."""
    try:
        return pages_with_content(common.reader(), common.is_read_only())
    except OnoffError:
        return frozenset(NAMES)


shown = _in_menu() | {typed.lower()}  # whoever got to an empty page by its address sees where that is
OTHERS = {
    name: st.Page(
        _page(name), title=name.replace("_", " ").capitalize(), url_path=name,
        visibility="visible" if name in shown else "hidden",
    )
    for name in NAMES
}  # fmt: skip


def _forward(page: StreamlitPage, address: str) -> StreamlitPage:
    """A hidden page at an address that people type, which leads to the page."""
    return st.Page(
        lambda: st.switch_page(page, query_params=st.query_params.to_dict()),
        title=page.title, url_path=address, visibility="hidden",
    )  # fmt: skip


# Streamlit serves the default page at / alone and calls /grid not found, and a page's title is no address to it either.
# Only the one that was typed is named: every click sends the list of pages.
TYPED = {"grid": GRID, "Grid": GRID, **{name.capitalize(): page for name, page in OTHERS.items()}}
forwards = [_forward(TYPED[typed], typed)] if typed in TYPED else []
st.session_state["pages"] = {"grid": GRID, **OTHERS}
shell()
st.navigation([GRID, *OTHERS.values(), *forwards], position="top").run()
