"""The Streamlit script: `onoff browse` runs it, `streamlit run` and Streamlit's tests do as well."""

import streamlit as st

from onoff_assets.browser.views import common, compare, grid, problem, response, tokens

st.set_page_config(page_title="onoff", page_icon="🔦", layout="wide")
PAGES = {
    "grid": st.Page(common.guarded(grid.show), title="Grid", url_path="grid", default=True),
    "response": st.Page(common.guarded(response.show), title="Response", url_path="response"),
    "problem": st.Page(common.guarded(problem.show), title="Problem", url_path="problem"),
    "compare": st.Page(common.guarded(compare.show), title="Compare", url_path="compare"),
    "tokens": st.Page(common.guarded(tokens.show), title="Tokens", url_path="tokens"),
}
st.session_state["pages"] = PAGES
st.navigation(list(PAGES.values()), position="top").run()
