"""Walk through the responses of a partition: the filter, which the address has, and the buttons with their keys."""

import random

import streamlit as st

from onoff_assets.browser.aggregates import mean_entropies
from onoff_assets.browser.filters import Filter, matching, neighbours, random_wrong
from onoff_assets.browser.links import as_range, parse_range
from onoff_assets.browser.reading import Reader, Responses, Sample
from onoff_assets.browser.views import common

STATUSES = ("correct", "wrong", "no_answer", "gold_unparsed", "timeout")
ENDINGS = ("stop", "length", "length_in_thinking", "stop_string", "unknown")


def buttons(reader: Reader, responses: Responses, sample: Sample) -> None:
    """Previous, next and a random wrong one among the responses that the filter lets through."""
    wanted = _filter()
    table = responses.table
    rows = matching(
        table,
        wanted,
        lambda: mean_entropies(reader.distributions(responses), responses),
        lambda text: reader.holding_text(responses, text),
    )
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
    common.note(_position_among(rows, row, table.num_rows))


def _filter() -> Filter:
    """The filter of the address, with its controls at the side."""
    found = filter_of_address()
    with st.sidebar, st.expander("Filter: which responses to walk through", expanded=not found.is_empty):
        _control("filter-status", list(found.statuses))
        st.multiselect("Status", STATUSES, key="filter-status", placeholder="any", on_change=_write_filter)
        _control("filter-finish", list(found.finish_reasons))
        st.multiselect("Ending", ENDINGS, key="filter-finish", placeholder="any", on_change=_write_filter)
        numbers = (
            ("At least tokens", "filter-low", found.min_tokens, 1),
            ("At most tokens", "filter-high", found.max_tokens, 1),
            ("Mean entropy at least (nats)", "filter-entropy", found.min_entropy, 0.05),
            ("Mean entropy at most (nats)", "filter-entropy-high", found.max_entropy, 0.05),
        )
        for label, key, value, step in numbers:
            _control(key, value)
            least = 0 if step == 1 else 0.0
            st.number_input(label, least, None, None, key=key, step=step, on_change=_write_filter, placeholder="any")
        _control("filter-text", found.text)
        st.text_input("Text in the response", key="filter-text", on_change=_write_filter)
        if not found.is_empty:
            st.button("all responses", on_click=_forget_filter)
    return found


def filter_of_address() -> Filter:
    """What the address asks for; names that there are not are left out."""
    tokens, entropy = parse_range(common.look("num_tokens")), parse_range(common.look("mean_entropy"))
    low, high = (None if end is None else int(end) for end in tokens)
    return Filter(
        tuple(name for name in common.look("status").split("|") if name in STATUSES),
        tuple(name for name in common.look("finish_reason").split("|") if name in ENDINGS),
        low,
        high,
        entropy[0],
        entropy[1],
        common.look("text"),
    )


def _control(key: str, value: object) -> None:
    """The address decides what a control shows; the control changes the address."""
    st.session_state[key] = value


def _write_filter() -> None:
    state = st.session_state
    common.set_link(
        status="|".join(state["filter-status"]) or None,
        finish_reason="|".join(state["filter-finish"]) or None,
        num_tokens=as_range(state["filter-low"], state["filter-high"]),
        mean_entropy=as_range(state["filter-entropy"], state["filter-entropy-high"]),
        text=state["filter-text"] or None,
    )


def _forget_filter() -> None:
    common.set_link(status=None, finish_reason=None, num_tokens=None, mean_entropy=None, text=None)


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
