"""What the pages share: the store, the choice of a partition kept in the URL, messages, going to another page."""

import os
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import streamlit as st

from onoff_assets.browser.links import Link, carried, choose, looks_of, read_link
from onoff_assets.browser.reading import Key, Reader, Responses
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.views import awaiting
from onoff_core.commands import materialize_command
from onoff_core.errors import MissingInputError, OnoffError, SettingsError
from onoff_core.store import Store
from onoff_core.study import Study, load_study
from onoff_core.tables import GRID_ASSETS

DAGSTER_URL = os.environ.get("ONOFF_DAGSTER_URL", "http://127.0.0.1:3000").rstrip("/")
_OF_TOKEN = ("token", "branch")
_OF_PROBLEM = ("sample", "other_sample", *_OF_TOKEN)
_FOLLOWERS = {
    "dataset": ("problem", "other", "samples", *_OF_PROBLEM),
    "model": ("samples", *_OF_TOKEN),
    "problem": _OF_PROBLEM,
    "sample": _OF_TOKEN,
}


def dagster_link(asset: str, key: str) -> str:
    """The asset's partition in the Dagster UI, with all the runs that made it."""
    return f"{DAGSTER_URL}/assets/{asset}?view=partitions&partition={quote(key, safe='')}"


def study() -> tuple[Study | None, str | None]:
    """The study of this folder, or None with the reason: a store can be looked at without one."""
    try:
        return load_study(), None
    except SettingsError as error:
        return None, str(error)


def reader() -> Reader:
    """The store that ONOFF_STORE names, or else the study's."""
    path = os.environ.get("ONOFF_STORE")
    if path is None:
        path = load_study().store_path
    return Reader(Store(path))


def is_read_only() -> bool:
    """Whether nobody may make notes: `onoff browse --read-only`."""
    return bool(os.environ.get("ONOFF_READ_ONLY"))


def guarded(show: Callable[[], None]) -> Callable[[], None]:
    """The page, with errors that a user can mend shown as one message."""

    def page() -> None:
        try:
            show()
        except MissingInputError as error:
            partition = st.session_state.get("partition")
            if partition is None:
                explain(error)
            else:
                awaiting.explain(reader(), (partition["dataset"], partition["model"]), error)
        except OnoffError as error:
            explain(error)

    return page


def explain(error: OnoffError) -> None:
    awaiting.say(str(error))


def warn(messages: Sequence[str]) -> None:
    for message in messages:
        st.warning(escaped(message))


def link_here() -> Link:
    """What the URL asks for; where it names no partition, the one looked at last."""
    remembered = st.session_state.get("address", {})
    if remembered and "dataset" not in st.query_params and "model" not in st.query_params:
        st.query_params.update({**remembered, **st.query_params.to_dict()})  # the menu leads to a page without a query
    link, messages = read_link(st.query_params)
    warn(messages)
    return link


def no_partitions(store_reader: Reader) -> None:
    """Say that the store is empty, and how to fill it: the study's first partition, or the demo's without a study."""
    st.info(escaped(f"There are no results in {store_reader.store.root} yet. Make some with:"))
    known, _ = study()
    command = "make demo" if known is None else materialize_command(GRID_ASSETS, next(iter(known.partitions)))
    st.code(command, language=None, wrap_lines=True)


def choose_partition(store_reader: Reader, link: Link) -> Key | None:
    """Data set and model from the URL and the sidebar; None, with a message, where the store is empty, or where the
    study has the partition and the store nothing of it."""
    keys = store_reader.partitions()
    wanted = (link.dataset or "", link.model or "")
    if wanted not in keys and is_of_study(wanted):
        _pick_partition([*keys, wanted], wanted)
        remember()
        awaiting.not_run_yet(store_reader, wanted)
        return None
    if not keys:
        no_partitions(store_reader)
        return None
    dataset, message = choose("data set", link.dataset, sorted({key[0] for key in keys}))
    warn([message] if message else [])
    models = [key[1] for key in keys if key[0] == dataset]
    model, message = choose("model", link.model, models)
    warn([message] if message else [])
    assert dataset is not None
    assert model is not None
    _pick_partition(keys, (dataset, model))
    return dataset, model


def is_of_study(key: Key) -> bool:
    """Whether the study of this folder has this partition."""
    known, _ = study()
    return known is not None and "|".join(key) in known.partitions


def _pick_partition(keys: Sequence[Key], chosen: Key) -> None:
    with st.sidebar:
        pick("dataset", "Data set", sorted({key[0] for key in keys}), chosen[0])
        pick("model", "Model", sorted({key[1] for key in keys if key[0] == chosen[0]}), chosen[1])
    st.session_state["partition"] = {"dataset": chosen[0], "model": chosen[1]}


def pick(name: str, label: str, options: Sequence[Any], chosen: Any, shown: Callable[[Any], str] | None = None) -> None:
    """A select box whose value is the URL's: a choice changes the URL, and the page follows it."""
    state = f"pick-{name}"
    st.session_state[state] = chosen
    st.selectbox(
        label,
        options,
        key=state,
        on_change=_follow,
        args=(name, state),
        format_func=shown or (lambda o: visible(str(o))),
    )


def _follow(name: str, state: str) -> None:
    set_link(**{name: st.session_state[state]}, **dict.fromkeys(_FOLLOWERS.get(name, ())))


def set_link(**values: Any) -> None:
    """Change the URL's query; None removes a value. Equal values are not written again."""
    for name, value in values.items():
        if value is None:
            if name in st.query_params:
                del st.query_params[name]
        elif st.query_params.get(name) != str(value):
            st.query_params[name] = str(value)


def keep_link(link: Link) -> None:
    """Make the URL say what is shown; what the page does not show, such as a problem, stays as it is."""
    before, _ = read_link(st.query_params)
    query = carried(link, before).query()
    set_link(**{name: query.get(name) for name in Link.__dataclass_fields__})
    remember()


def remember() -> None:
    """Keep the address for a page that is opened without one."""
    st.session_state["address"] = st.query_params.to_dict()


def choose_problem(responses: Responses, link: Link) -> str | None:
    """The problem from the URL and the sidebar; None where there is none."""
    problem, message = choose("problem", link.problem, responses.problem_ids)
    warn([message] if message else [])
    if problem is not None:
        with st.sidebar:
            pick("problem", "Problem", responses.problem_ids, problem)
    return problem


def go(target: dict[str, Any] | None) -> None:
    """Follow a link of a component to another page, without loading the app again; looks go along."""
    if target:
        query = {**looks_of(st.query_params), **target.get("query", {})}
        st.switch_page(st.session_state["pages"][target["page"]], query_params=query)


def look(name: str) -> str:
    """How one looks at things, by its name in the URL; empty where it says nothing."""
    return str(st.query_params.get(name, ""))


def link_to(page: str, label: str, query: dict[str, str]) -> None:
    """A link to another page, which opens in a new tab too; looks go along. Nothing where there is no such page."""
    pages = st.session_state["pages"]
    if page in pages:
        st.page_link(pages[page], label=escaped(label), query_params={**looks_of(st.query_params), **query})


def jumps(sections: Sequence[tuple[str, str]]) -> None:
    """A line of links to the sections of a long page: (title, anchor) of each."""
    links = " · ".join(f"[{escaped(title)}](#{anchor})" for title, anchor in sections)
    st.markdown(f":small[On this page: {links}]")


def note(text: str) -> None:
    """One line of small text in the page's own ink: Streamlit's captions are too faint to read."""
    st.markdown(f":small[{escaped(visible(text))}]", width="content")
