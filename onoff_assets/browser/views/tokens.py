"""Tokens: where a model is unsure over a whole partition, and examples to jump to."""

import streamlit as st

from onoff_assets.browser.aggregates import UNSURE, TokenSummary, token_summary
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link
from onoff_assets.browser.reading import Key, Vocabulary
from onoff_assets.browser.views import charts, common, strip


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    common.keep_link(Link(*key))
    strip.show(reader, key)
    responses = reader.responses(key)
    summary = token_summary(reader, reader.distributions(responses), responses)
    if summary.mean_entropy is None:
        st.info("This partition has no tokens.")
        return
    st.markdown(f"{summary.num_tokens:,} tokens, mean entropy {summary.mean_entropy:.3f} nats.")
    left, right = st.columns(2)
    with left:
        (chart,) = charts.entropy_histograms([summary.histogram], ["Entropy of the tokens"], "tokens")
        charts.show(chart, key="histogram")
    with right:
        (chart,) = charts.entropy_by_position([summary], ["Entropy by position"])
        charts.show(chart, key="by-position")
    vocabulary = reader.vocabulary(key[1])
    if vocabulary is not None:
        _unsure(key, summary, vocabulary)


def _unsure(key: Key, summary: TokenSummary, vocabulary: Vocabulary) -> None:
    """The tokens drawn most often where the model was unsure."""
    st.subheader("Where it is most often unsure")
    common.note(
        f"Tokens that were drawn where the entropy was at least {UNSURE:g} nat, with the three places of the highest."
    )
    rows = []
    for token in summary.unsure_tokens:
        examples = [
            Cell(
                f"{problem}, {sample}, {position}",
                breaks=True,  # ids may be long
                page="response",
                query=Link(*key, None, problem, sample, position).query(),
            )
            for problem, sample, position in token.examples
        ]
        rows.append([
            Cell(vocabulary.label(token.token_id), mono=True),
            Cell(str(token.token_id), number=True),
            Cell(str(token.unsure), number=True),
            Cell(f"{100 * token.unsure / token.drawn:.0f} %", number=True),
            Cell(f"{token.mean_entropy:.2f}", number=True),
            *examples,
            *[Cell("")] * (3 - len(examples)),
        ])  # fmt: skip
    header = ["token", "id", "times unsure", "of its draws", "mean entropy (nats)", "problem, sample, token", "", ""]
    common.go(link_table("Unsure tokens", header, rows, key="unsure"))
