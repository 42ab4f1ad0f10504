"""Walk through the responses of a partition in the order and with the filters of the address, as the table has them."""

import random
from dataclasses import replace

import streamlit as st

from onoff_assets.browser.filters import matching, neighbours, random_wrong
from onoff_assets.browser.queries import Query, names_in_address, read_query
from onoff_assets.browser.reading import Reader, Responses, Sample
from onoff_assets.browser.response_rows import COLUMNS
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


def buttons(reader: Reader, responses: Responses, sample: Sample) -> None:
    """Previous, next and a random wrong one among the responses that the filter lets through."""
    query, _ = read_query(st.query_params, COLUMNS, searches=True)  # what cannot be read is said where one asks for it
    _controls(query)
    table = responses.table
    rows = matching(reader, responses, query)
    row = _row_of(responses, sample)
    before, after = neighbours(rows, row)
    wrong = random_wrong(table, rows, row, random.Random())
    targets = (("◀ previous", before, "k"), ("next ▶", after, "j"), ("random wrong", wrong, "w"))
    for label, target, shortcut in targets:
        st.button(
            label,
            disabled=target is None,
            on_click=_open_row,
            args=(responses, target),
            shortcut=shortcut,
            key=f"walk-{shortcut}",
        )
    common.note(_position_among(rows, row, table.num_rows) + _order_of(query))


def _controls(query: Query) -> None:
    """The usual filters; the table of responses has all."""
    choices = dict(query.choices)
    ranges = {name: (low, high) for name, low, high in query.ranges}
    is_filtered = query != Query()
    with st.sidebar, st.expander("Filter: which responses to walk through", expanded=is_filtered):
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
            st.button("all responses, as they come", on_click=_forget_filter)


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
    common.set_link(**{**dict.fromkeys(names_in_address(COLUMNS)), **query.address(COLUMNS)})


def _forget_filter() -> None:
    common.set_link(**dict.fromkeys(names_in_address(COLUMNS)))


def _order_of(query: Query) -> str:
    if query.sort is None:
        return ""
    label = next(column.label for column in COLUMNS if column.name == query.sort)
    return f", by {label}, {'largest' if query.falling else 'smallest'} first"


def _position_among(rows: list[int], row: int, total: int) -> str:
    if row in rows:
        return f"response {rows.index(row) + 1} of {len(rows)} that match, {total} in all"
    return f"{len(rows)} of {total} responses match the filter; this one does not"


def _row_of(responses: Responses, sample: Sample) -> int:
    table = responses.table
    keys = zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True)
    return next(i for i, key in enumerate(keys) if key == (sample.problem_id, sample.sample_index))


def _open_row(responses: Responses, row: int | None) -> None:
    if row is not None:
        found = responses.table.slice(row, 1).to_pylist()[0]
        common.set_link(problem=found["problem_id"], sample=found["sample_index"], token=None, branch=None)
