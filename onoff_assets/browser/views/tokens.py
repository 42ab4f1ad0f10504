"""Tokens: where a model is unsure over a whole partition, and examples to jump to."""

from collections.abc import Sequence

import pyarrow as pa
import streamlit as st

from onoff_assets.browser.aggregates import TokenSummary, summary_job
from onoff_assets.browser.components.data_table import Content, Place, Row, Shown, View, data_table
from onoff_assets.browser.computing import Job
from onoff_assets.browser.downloads import taken
from onoff_assets.browser.links import Link
from onoff_assets.browser.queries import Query, Rows, read_columns, rows_of
from onoff_assets.browser.reading import Key, Reader, Vocabulary
from onoff_assets.browser.unsure_tokens import COLUMNS, UNSURE, in_context, with_pieces
from onoff_assets.browser.views import charts, common, entropy_charts, listing, strip

VIEWS = (
    View("most often", f"drawn most often at an entropy of at least {UNSURE:g} nat", Query()),
    View("nearly always", "the largest share of its draws, of those drawn ten times and more",
         Query("unsure_percent", True, (("times_drawn", 10.0, None),))),
    View("highest entropy", "the highest entropy of one of its draws first", Query("token_max_entropy", True)),
)  # fmt: skip
_UNSURE, _ENTROPY = "Where it is most often unsure", "Entropy in correct and in wrong responses"
_WAIT = 2.0  # seconds that the page waits before it shows how far the reading is


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    common.keep_link(Link(*key))
    strip.show(reader, key)
    responses = reader.responses(key)
    distributions = reader.distributions(responses)
    st.title("Tokens")
    work = summary_job(reader, distributions, responses)
    summary = work.result(_WAIT)
    if summary is None:
        _follow(work)
        return
    if summary.mean_entropy is None:
        st.info("This partition has no tokens.")
        return
    common.note(f"{summary.num_tokens:,} tokens, mean entropy {summary.mean_entropy:.3f} nats.")
    common.jumps([(_UNSURE, "unsure"), (_ENTROPY, "entropy")])
    _unsure(reader, key, distributions.folder, summary)
    _entropies(summary)


def _entropies(summary: TokenSummary) -> None:
    st.subheader(_ENTROPY, anchor="entropy")
    entropy_charts.show_means(summary, "Mean entropy of a token", key="means")
    entropy_charts.show_bands_note()
    left, right = st.columns(2)
    with left:
        (histogram,) = entropy_charts.entropy_histograms([summary], ["Entropy of the tokens, shares of each"])
        charts.show(histogram, key="entropy-histogram")
    with right:
        (by_position,) = entropy_charts.entropy_by_position([summary], ["Entropy by position"])
        charts.show(by_position, key="entropy-by-position")


@st.fragment(run_every=0.4)
def _follow(work: Job[TokenSummary]) -> None:
    """How far the reading of the tokens is; the page follows when it has ended."""
    if work.has_ended:
        st.rerun()
    common.note(f"Reading the tokens: {work.done:,} of {work.total:,} parts ...")


@st.fragment
def _unsure(reader: Reader, key: Key, folder: str, summary: TokenSummary) -> None:
    """The tokens that were drawn where the model was unsure."""
    st.subheader(_UNSURE, anchor="unsure")
    vocabulary, table = reader.vocabulary(key[1]), summary.unsure_tokens
    if vocabulary is not None:
        named = ("unsure-tokens", folder, len(vocabulary))
        table = reader.kept(named, lambda: with_pieces(summary.unsure_tokens, vocabulary), lambda made: made.nbytes)
    shown = listing.shown_columns(table, COLUMNS)
    query, notes = listing.query_here(table, COLUMNS, {one.column.name for one in shown})
    order = rows_of(table, query, COLUMNS, None)
    content = Content(
        caption="Unsure tokens",
        version=listing.version_of(folder, vocabulary is None, query),
        columns=shown,
        all_columns=COLUMNS,
        query=query,
        chosen=read_columns(st.query_params.to_dict()),
        total=len(order),
        of=table.num_rows,
        read=lambda first, end: _rows(key, table, shown, order[first:end], vocabulary),
        views=VIEWS,
        notes=notes,
        empty="No token matches.",
        is_short=True,
    )
    listing.go(data_table(content, key="unsure", on_ask=listing.ask(COLUMNS)))
    plain = [column for column in (one.column for one in shown) if column.kind != "links"]
    listing.downloads("-".join(["unsure-tokens", *key]), lambda: taken(table, order, plain))


def _rows(key: Key, table: pa.Table, shown: Sequence[Shown], wanted: Rows, vocabulary: Vocabulary | None) -> list[Row]:
    """A row leads to where its token was most unsure; what stands around each place is told where one points at it."""
    made = []
    for row in table.take(pa.array(wanted)).to_pylist():
        places = []
        for found in row["examples"]:
            around = found.pop("around")
            tip = "" if vocabulary is None else in_context(around, vocabulary)
            query = Link(*key, None, *found.values()).query()
            places.append(Place("{problem}, {sample}, {token}".format(**found), "response", query, tip))
        row["examples"] = places
        made.append(Row(listing.cells(row, shown), "response", places[0].query))
    return made
