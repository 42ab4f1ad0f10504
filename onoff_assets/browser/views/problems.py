"""Problems: those of a partition as one table, the worst first in one click."""

from collections.abc import Sequence

import pyarrow as pa
import streamlit as st

from onoff_assets.browser.components.data_table import Content, Note, Over, Row, Shown, View, data_table
from onoff_assets.browser.downloads import taken
from onoff_assets.browser.links import Link
from onoff_assets.browser.noted import notes_on, with_notes_of_problems
from onoff_assets.browser.problem_rows import COLUMNS, PER_TOKEN, problem_table, with_numbers
from onoff_assets.browser.queries import Query, Rows, read_columns, rows_of
from onoff_assets.browser.reading import Key, Reader
from onoff_assets.browser.response_rows import COLUMNS as RESPONSE_COLUMNS
from onoff_assets.browser.response_rows import numbers_job, response_rows
from onoff_assets.browser.views import common, listing, strip
from onoff_assets.browser.views import responses as responses_page

WORST = Query("pass_rate")
VIEWS = (
    View("as in the data set", "every problem, in the data set's order", Query()),
    View("worst first", "the lowest pass rate first", WORST),
    View("never solved", "no response is correct", Query(ranges=(("num_correct", None, 0.0),))),
    View("most disputed", "the most different answers first", Query("answer_entropy", True)),
    View("longest", "the longest responses first", Query("mean_num_tokens", True)),
    View("truncated", "most responses cut off first", Query("num_truncated", True, (("num_truncated", 1.0, None),))),
)
_WAIT = 0.25  # seconds


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    common.keep_link(Link(*key))
    strip.show(reader, key)
    reader.responses(key, partial=True)  # says what to run where there are none
    st.title("Problems")
    _table(reader, key)


@st.fragment
def _table(reader: Reader, key: Key) -> None:
    responses = reader.responses(key, partial=True)
    numbers = numbers_job(reader, response_rows(reader, [key]))
    known = numbers.result(_WAIT)
    table = problem_table(reader, responses)
    if known is not None:
        table = with_numbers(table, responses, known)
    table = with_notes_of_problems(table, notes_on(reader, [key]))
    shown = listing.shown_columns(table, COLUMNS)
    pending = set(PER_TOKEN) if known is None else set()
    names = {*(one.column.name for one in shown), *pending, "num_starred", "notes"}
    query, notes = listing.query_here(table, COLUMNS, names)
    shown = shown if known is None else listing.with_asked(shown, query, COLUMNS)
    waits = bool(query.columns & pending)
    if known is None:
        notes.append(Note(f"Reading the tokens: {numbers.done:,} of {responses.table.num_rows:,} responses ..."))
    order = rows_of(table, Query() if waits else query, COLUMNS, None)
    content = Content(
        caption="Problems",
        version=listing.version_of(
            responses.samples.folder, responses.rewards and responses.rewards.folder, query, waits
        ),
        columns=shown,
        all_columns=COLUMNS,
        query=query,
        chosen=read_columns(st.query_params.to_dict()),
        total=len(order),
        of=table.num_rows,
        read=lambda first, end: _rows(key, table, shown, order[first:end]),
        views=VIEWS,
        links=_over(key, known),
        notes=notes,
        empty="No problem matches." + ("" if responses.rewards else " No response is graded yet."),
    )
    listing.go(data_table(content, key="problems", on_ask=listing.ask(COLUMNS)))
    listing.wait_for([numbers] if known is None else [])
    listing.downloads("-".join(["problems", *key]), lambda: taken(table, order, COLUMNS))


def _over(key: Key, known: pa.Table | None) -> list[Over]:
    """The responses' own views, one click away."""
    names = [] if known is None else [name for name in known.column_names if known[name].null_count < known.num_rows]
    own = [view for view in responses_page.views(names) if view.label in ("confidently wrong", "unsure and correct")]
    link = Link(*key).query()
    return [
        Over("all responses", "responses", link),
        *(Over(view.label, "responses", {**link, **view.query.address(RESPONSE_COLUMNS)}) for view in own),
    ]


def _rows(key: Key, table: pa.Table, shown: Sequence[Shown], wanted: Rows) -> list[Row]:
    made = []
    place = {one.column.name: i for i, one in enumerate(shown)}
    at, given = place.get("pass_rate"), place.get("majority_answer")
    for row in table.take(pa.array(wanted)).to_pylist():
        low, high = row["same_problems_low"], row["same_problems_high"]
        rate, spans = row["pass_rate"], {}
        tips: dict[int, str] = {}
        if at is not None and rate is not None:
            spans = {at: (0.0, round(rate, 3))}
            tips = {} if low is None or high is None else {at: f"95 % interval {low:.2f} to {high:.2f}"}
        cells = listing.cells(row, shown)
        answer, tied = row["majority_answer"], row["num_tied"]
        if given is not None and answer is not None and tied:
            cells[given] = f"{answer} (tie of {tied + 1})"
            tips[given] = f"{answer}; {tied} other answer{'' if tied == 1 else 's'} given as often"
        query = Link(*key, problem=row["problem_id"]).query()
        made.append(Row(cells, "problem", query, spans=spans, tips=tips))
    return made
