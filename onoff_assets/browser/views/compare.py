"""Compare: the models of a data set on the same problems, all at once and two of them closely."""

import streamlit as st

from onoff_assets.browser.grid_rows import in_order
from onoff_assets.browser.links import Link, choose
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import common, strip
from onoff_assets.browser.views.compare_confidence import has_confidence
from onoff_assets.browser.views.compare_many import show_many, show_matrix, show_numbers
from onoff_assets.browser.views.compare_pair import show_pair, show_pair_in_detail
from onoff_core.errors import MissingInputError

_FIRST_MODELS = 6  # that are compared where the address names none
# Where the two that are chosen stand beside the matrix: up to so many models; widths in columns of the matrix.
_MOST_BESIDE, _MATRIX_FOOT, _PAIR_WIDTH = 7, 1.5, 5.5


def show() -> None:
    reader, link = common.reader(), common.link_here()
    before = st.session_state.get("partition", {}).get("model")
    key = common.choose_partition(reader, link)
    if key is None:
        return
    others = [model for dataset, model in reader.partitions() if dataset == key[0] and model != key[1]]
    if not others:
        st.info(escaped(f"{key[0]} has responses of one model only; materialize another model's partition to compare."))
        return
    chosen = _chosen(reader, link, key, others)
    wanted = link.other
    if wanted == key[1]:  # the other one was chosen as the first: they change places
        wanted = before if before in others else None
    if wanted is None and len(chosen) > 1:
        wanted = next(model for model in chosen if model != key[1])
    other, message = choose("model", wanted, others)
    common.warn([message] if message else [])
    assert other is not None
    with st.sidebar:
        _pick_models(in_order([key[1], *others], common.study()[0]), chosen)
        common.pick("other", "Look closer at it beside", others, other)
        st.button("⇄ swap the two", on_click=common.set_link, kwargs={"model": other, "other": key[1]})
    common.keep_link(Link(*key, other=other))
    st.title("Compare")
    if len(chosen) > 2:
        common.set_link(models=",".join(chosen))
        _several(reader, chosen, key, other)
    else:
        _two(reader, key, (key[0], other))


# Sections of the page: what a link to one says, and their anchors in its views.
_PROBLEMS, _MADE = ("Problem by problem", "problems"), ("Made under", "made")


def _below(reader: Reader, models: dict[str, Responses]) -> list[tuple[str, str]]:
    """The sections below the pair."""
    confidence = [("How sure they are", "confidence")] if has_confidence(reader, models) else []
    charts = [("pass@k and maj@k", "at-k"), ("Correct and wrong", "splits"), *confidence]
    return [*charts, ("Every k", "every-k"), ("Entropy of tokens", "entropy")]


def _chosen(reader: Reader, link: Link, key: Key, others: list[str]) -> list[str]:
    """The models that the address names; without any, the two it names, or else the first ones that have responses."""
    there = in_order([key[1], *others], common.study()[0])
    named = [model for model in st.query_params.get("models", "").split(",") if model in there]
    if named:
        return list(dict.fromkeys([*named, *([] if key[1] in named else [key[1]])]))
    if link.other in others:
        return [key[1], link.other]
    complete = [model for model in there if reader.store.current("samples", (key[0], model)) is not None]
    return complete[:_FIRST_MODELS] if key[1] in complete[:_FIRST_MODELS] else [key[1], *complete[: _FIRST_MODELS - 1]]


def _pick_models(options: list[str], chosen: list[str]) -> None:
    st.session_state["pick-models"] = chosen
    st.multiselect(
        "Models", options, key="pick-models", format_func=visible,
        on_change=lambda: common.set_link(models=",".join(st.session_state["pick-models"]) or None),
    )  # fmt: skip


def _two(reader: Reader, first: Key, second: Key) -> None:
    for key in (first, second):
        strip.show(reader, key, name=key[1])
    jumps = st.container()
    pair = (reader.responses(first), reader.responses(second))
    models = {key[1]: responses for key, responses in zip((first, second), pair, strict=True)}
    with jumps:
        common.jumps([_PROBLEMS, *_below(reader, models)])
    show_numbers(reader, first[0], models)
    show_pair((first, second), pair)
    show_many(reader, first[0], models, (first[1], second[1]))
    show_pair_in_detail(reader, (first, second), pair)


def _several(reader: Reader, chosen: list[str], key: Key, other: str) -> None:
    """All that were chosen and have responses, and the two that are chosen of them beside the matrix."""
    models, missing = {}, []
    for model in chosen:
        try:
            models[model] = reader.responses((key[0], model))
        except MissingInputError as error:
            missing.append(str(error))
    common.warn(missing)
    keys = (key, (key[0], other))
    common.jumps([("Paired differences", "differences"), _PROBLEMS, _MADE, *_below(reader, models)])
    show_numbers(reader, key[0], models)
    is_beside = len(models) <= _MOST_BESIDE  # else the matrix needs the width
    places = st.columns([_MATRIX_FOOT + len(models), _PAIR_WIDTH]) if is_beside else [st.container(), st.container()]
    with places[0]:
        show_matrix(reader, key[0], models, (key[1], other))
    with places[1]:
        st.subheader(visible(f"{key[1]} beside {other}"), anchor="pair")
        pair = (reader.responses(keys[0]), reader.responses(keys[1]))
        show_pair(keys, pair)
    st.subheader("What the two were made under", anchor=_MADE[1])
    for one in keys:
        strip.show(reader, one, name=one[1])
    show_many(reader, key[0], models, (key[1], other))
    show_pair_in_detail(reader, keys, pair)
