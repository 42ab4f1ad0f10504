"""The question of a problem, in a frame, and what a page says beside it."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from onoff_assets.browser.latex import as_answer, as_markdown
from onoff_assets.browser.reading import Sample


@contextmanager
def question(sample: Sample) -> Iterator[None]:
    """The question; what is drawn within stands behind it, on one line where both are short."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="question", gap="small"):
        text = sample.question
        st.markdown(as_markdown(text) if text is not None else "*the problem's text is not in this store*")
        yield


def question_and_answer(sample: Sample) -> None:
    """The question and the gold answer."""
    with question(sample):
        st.markdown("gold answer: " + (as_answer(sample.answer) if sample.answer else "–"), width="content")
