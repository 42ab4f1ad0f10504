"""Walk through responses, or problems, as their table has them: the address says whose, the filters and the order."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import streamlit as st

from onoff_assets.browser.filters import neighbours, random_wrong, walk_over, walk_over_problems
from onoff_assets.browser.links import Link
from onoff_assets.browser.problem_rows import COLUMNS as OF_PROBLEMS
from onoff_assets.browser.queries import Column, Query, names_in_address, read_query
from onoff_assets.browser.reading import Key, Reader, Responses, Sample
from onoff_assets.browser.response_rows import BY_NAME, COLUMNS, ResponseRows
from onoff_assets.browser.scope import OVER, keys_over, over_of
from onoff_assets.browser.views import common

STATUSES = ("correct", "wrong", "no_answer", "gold_unparsed", "timeout")
ENDINGS = ("stop", "length", "stop_string", "length_in_thinking", "unknown")
_RANGES = (  # name in the address, keys of the two controls, their labels, the step
    ("num_tokens", ("filter-low", "filter-high"), ("At least tokens", "At most tokens"), 1),
    (
        "mean_entropy",
        ("filter-entropy", "filter-entropy-high"),
        ("Mean entropy at least (nats)", "Mean entropy at most (nats)"),
        0.05,
    ),
)


def buttons(reader: Reader, key: Key, sample: Sample) -> str:
    """Previous, next and a random wrong one among the responses that the filter lets through, of the partitions in the
    address; returns in words where this one stands among them."""
    query, _ = read_query(st.query_params, COLUMNS, searches=True)  # what cannot be read is said where one asks for it
    over = over_of(st.query_params)
    _controls(query, over)
    walk = walk_over(reader, keys_over(reader, key, over), query, first=key)
    row = walk.rows.row_of(key, sample.problem_id, sample.sample_index)
    if row is None:  # made anew in this moment
        row = -1
    before, after = neighbours(walk.order, row)
    wrong = random_wrong(walk.rows.table, walk.order, row, random.Random())
    targets = (("◀ previous", before, "k"), ("next ▶", after, "j"), ("random wrong", wrong, "w"))
    for label, target, shortcut in targets:
        st.button(
            label,
            disabled=target is None,
            on_click=_open_row,
            args=(walk.rows, target),
            shortcut=shortcut,
            key=f"walk-{shortcut}",
        )
    where = f", over {OVER[over]}" if over else ""
    stands = position_among(walk.order, row, len(walk.rows.table), "response")
    return stands + where + order_of(query, COLUMNS) + _sorted_by(walk.table, row, query)


def problem_buttons(reader: Reader, responses: Responses, problem: str) -> str:
    """Previous and next among the problems that the filter of the table of problems lets through, in its order; returns
    in words where this one stands among them."""
    query, _ = read_query(st.query_params, OF_PROBLEMS)
    ids, order = walk_over_problems(reader, responses, query)
    row = ids.index(problem)
    before, after = neighbours(order, row)
    for label, target, shortcut in (("◀ previous", before, "k"), ("next ▶", after, "j")):
        st.button(
            label,
            disabled=target is None,
            on_click=_open_problem,
            args=(None if target is None else ids[target],),
            shortcut=shortcut,
            key=f"walk-{shortcut}",
        )
    return position_among(order, row, len(ids), "problem") + order_of(query, OF_PROBLEMS)


def _open_problem(problem: str | None) -> None:
    common.set_link(problem=problem, sample=None, other_sample=None, token=None, branch=None)


def _controls(query: Query, over: str) -> None:
    """The usual filters; the table of responses has all."""
    choices = dict(query.choices)
    ranges = {name: (low, high) for name, low, high in query.ranges}
    is_filtered = query != Query() or over != ""
    with st.sidebar, st.expander("Filter: which responses to walk through", expanded=is_filtered):
        _control("filter-over", over)
        st.selectbox("Responses of", list(OVER), key="filter-over", format_func=OVER.__getitem__, on_change=_write_over)
        _control("filter-status", [name for name in choices.get("status", ()) if name in STATUSES])
        st.multiselect(
            "Status", STATUSES, key="filter-status", placeholder="any", on_change=_write_filter, args=(query,)
        )
        _control("filter-finish", [name for name in choices.get("finish_reason", ()) if name in ENDINGS])
        st.multiselect(
            "Ending", ENDINGS, key="filter-finish", placeholder="any", on_change=_write_filter, args=(query,)
        )
        for name, keys, labels, step in _RANGES:
            for key, label, end in zip(keys, labels, ranges.get(name, (None, None)), strict=True):
                _control(key, end if end is None or step != 1 else int(end))
                least = 0 if step == 1 else 0.0
                st.number_input(
                    label,
                    least,
                    None,
                    None,
                    key=key,
                    step=step,
                    on_change=_write_filter,
                    args=(query,),
                    placeholder="any",
                )
        _control("filter-text", query.text)
        st.text_input("Text in the response", key="filter-text", on_change=_write_filter, args=(query,))
        if is_filtered:
            st.button("all of this partition, as they come", on_click=_forget_filter)


def _control(key: str, value: object) -> None:
    """The address decides what a control shows; the control changes the address."""
    st.session_state[key] = value


def _write_filter(former: Query) -> None:
    """What the controls say, in place of what the former query says of the same; its rest stays."""
    state = st.session_state
    ranges = [(name, *(state[key] for key in keys)) for name, keys, _, _ in _RANGES]
    choices = [
        (name, tuple(state[key])) for name, key in (("status", "filter-status"), ("finish_reason", "filter-finish"))
    ]
    ours = {name for name, *_ in (*ranges, *choices)}
    query = replace(
        former,
        ranges=(
            *(one for one in former.ranges if one[0] not in ours),
            *(one for one in ranges if one[1:] != (None, None)),
        ),
        choices=(*(one for one in former.choices if one[0] not in ours), *(one for one in choices if one[1])),
        text=state["filter-text"],
        is_regex=former.is_regex and bool(state["filter-text"]),
    )
    if query.text != former.text:
        common.set_link(token=None, branch=None)  # it opens at the first hit of what is looked for now
    common.set_link(**{**dict.fromkeys(names_in_address(COLUMNS)), **query.address(COLUMNS)})


def _write_over() -> None:
    common.set_link(over=st.session_state["filter-over"] or None)


def _forget_filter() -> None:
    common.set_link(over=None, **dict.fromkeys(names_in_address(COLUMNS)))


def order_of(query: Query, columns: Sequence[Column]) -> str:
    """In which order one walks, in words behind others; nothing where it is that of the data set."""
    if query.sort is None:
        return ""
    label = next(column.label for column in columns if column.name == query.sort)
    return f", by {label}, {'largest' if query.falling else 'smallest'} first"


def _sorted_by(table: pa.Table, row: int, query: Query) -> str:
    """The number by which this row stands where it does; nothing where it has none, or the order is by no number."""
    column = BY_NAME.get(query.sort or "")
    if row < 0 or column is None or column.kind != "number" or column.name not in table.column_names:
        return ""
    value = table[column.name][row].as_py()
    return "" if value is None else f" (here {value:,.{column.digits}f})"


def position_among(order: Sequence[int], row: int, total: int, what: str) -> str:
    """Where one stands in a walk."""
    if row in order:
        among = f"{total}" if len(order) == total else f"{len(order)} that match, {total} in all"
        return f"{what} {order.index(row) + 1} of {among}"
    return f"{len(order)} of {total} {what}s match the filter; this one does not"


def _open_row(rows: ResponseRows, row: int | None) -> None:
    if row is not None:
        found = rows.table.slice(row, 1).to_pylist()[0]
        place = Link(found["of_dataset"], found["of_model"], problem=found["problem_id"], sample=found["sample_index"])
        common.set_link(**{**dict.fromkeys(("token", "branch", "samples")), **place.query()})
