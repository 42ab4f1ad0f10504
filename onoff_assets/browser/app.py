"""The Streamlit script: `onoff browse` runs it, `streamlit run` and Streamlit's tests do as well."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import streamlit as st
from streamlit import runtime

from onoff_assets.browser import components
from onoff_assets.browser.views import common


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
OTHERS = {
    name: st.Page(_page(name), title=name.capitalize(), url_path=name)
    for name in ("response", "problem", "compare", "tokens", "opinions")
}
# Streamlit serves the default page at / alone and calls /grid not found, so a hidden page at /grid leads there.
TYPED = st.Page(
    lambda: st.switch_page(GRID, query_params=st.query_params.to_dict()),
    title="Grid", url_path="grid", visibility="hidden",
)  # fmt: skip
st.session_state["pages"] = {"grid": GRID, **OTHERS}
st.navigation([GRID, *OTHERS.values(), TYPED], position="top").run()
