"""The Streamlit script: `onoff browse` runs it, `streamlit run` and Streamlit's tests do as well."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import streamlit as st

from onoff_assets.browser import components
from onoff_assets.browser.views import common


def _page(name: str) -> Callable[[], None]:
    """The page, imported when it is first opened: two of them draw charts, whose library takes long to load."""
    return common.guarded(lambda: import_module(f"onoff_assets.browser.views.{name}").show())


st.set_page_config(page_title="onoff", page_icon="🔦", layout="wide")
st.html(Path(components.__file__).with_name("page.css"))
PAGES = {
    name: st.Page(_page(name), title=name.capitalize(), url_path=name, default=name == "grid")
    for name in ("grid", "response", "problem", "compare", "tokens")
}
st.session_state["pages"] = PAGES
st.navigation(list(PAGES.values()), position="top").run()
