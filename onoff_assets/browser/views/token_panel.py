"""The tokens of a response, and beside them what else the model could have said at the one that is picked.

A click runs this fragment again and nothing else of the page. What a click sends is small: the tokens are not in it.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from onoff_assets.browser import branching
from onoff_assets.browser.bars import as_payload, bars_of
from onoff_assets.browser.branching import Branching
from onoff_assets.browser.components import peek
from onoff_assets.browser.components.bar_view import bar_view
from onoff_assets.browser.components.branch_view import branch_view, chosen_branch
from onoff_assets.browser.components.token_view import Verdict, token_view
from onoff_assets.browser.conditions import sampling_of
from onoff_assets.browser.lens import Lens, look_through
from onoff_assets.browser.links import read_link
from onoff_assets.browser.numbers import mass_text
from onoff_assets.browser.reading import Reader, Responses, Sample, Vocabulary
from onoff_assets.browser.text import escaped
from onoff_assets.browser.views import common
from onoff_core.store import Generation
from onoff_core.store.provenance import ScoresProvenance
from onoff_core.study import SamplingSettings

_BARS = (20, 10, 40)


@dataclass(frozen=True)
class Panel:
    """What the tokens of one response are drawn from."""

    reader: Reader
    responses: Responses
    sample: Sample
    vocabulary: Vocabulary
    distributions: Generation | None  # None: not there, so tokens cannot be opened
    branching: Branching | None  # None: no branches of these responses
    branch_rows: list[dict[str, Any]]  # positions with alternatives that were tried
    noted: list[int]  # positions with notes
    verdict: Verdict
    hint: str  # at the end of the legend


def show(panel: Panel, content: bytes, document: str, token: int | None) -> None:
    """The tokens and what belongs to the picked one."""
    opened = _opening(hashlib.sha256(document.encode()).hexdigest()[:16], token)  # it is part of every message
    _fragment(panel, content, opened)
    if panel.distributions is not None and panel.sample.token_ids:
        _peeked(panel, f"{opened['document']}#{opened['count']}")


def _opening(document: str, token: int | None) -> dict[str, Any]:
    """The token that the view opens with. It stays while document and URL stay, so that nothing is sent twice.

    A token in the URL that we did not write ourselves (the browser's back button) opens the view anew.
    """
    opened = st.session_state.get("opened")
    if opened is None or opened["document"] != document or token not in (opened["initial"], opened["written"]):
        count = 0 if opened is None else opened["count"] + 1
        opened = {"document": document, "initial": token, "written": token, "count": count, "looks": None}
        st.session_state["opened"] = opened
    return opened


@st.fragment
def _fragment(panel: Panel, content: bytes, opened: dict[str, Any]) -> None:
    left, right = st.columns([5, 3])
    with left:
        document = f"{opened['document']}#{opened['count']}"
        picked, looks = token_view(
            content,
            document=document,
            initial=opened["initial"],
            key=f"tokens-{document}",
            peek=None if panel.distributions is None else _block_size(panel.distributions),
            noted=panel.noted,
            verdict=panel.verdict,
            hint=panel.hint,
        )
    if picked is not None and 0 <= picked < len(panel.sample.token_ids):
        if picked != opened["written"]:
            common.set_link(token=picked, branch=None)
        opened["written"] = picked
    else:
        picked = None
    if looks is not None and looks != opened["looks"]:
        opened["looks"] = looks
        common.set_link(**looks)
    common.remember()
    with right:
        if panel.distributions is None:
            return
        if not panel.sample.token_ids:
            st.info("This response has no tokens, so there is nothing to click.")
            return
        if picked is None:
            st.info("Click a token, or walk with the arrow keys, to see what else the model could have said there.")
            return
        _bars(panel, panel.distributions, picked)
        _tried(panel, picked)


def _block_size(distributions: Generation) -> int:
    """Tokens that are asked for at once; few where each is a row group of the whole vocabulary."""
    return peek.BLOCK if ScoresProvenance.of(distributions.manifest()).top_k is not None else 2


@st.fragment
def _peeked(panel: Panel, document: str) -> None:
    """The most probable tokens of the block where the mouse rests, without anything else of the page."""
    assert panel.distributions is not None
    key = f"peek-{document}"
    block, rows = peek.wanted_block(key), None
    if block is not None:
        size = _block_size(panel.distributions)
        begin, end = block * size, min((block + 1) * size, len(panel.sample.token_ids))
        found = panel.reader.most_probable(panel.distributions, panel.responses, panel.sample, begin, end, peek.SHOWN)
        label = panel.vocabulary.label
        rows = [
            [(label(i), float(np.exp(p)), i == drawn) for i, p in zip(ids, logprobs, strict=True)]
            for ids, logprobs, drawn in found
        ]
    whole = _alternatives(panel) if peek.is_whole_wanted(key) else None
    with st.container(key="peek"):
        peek.peek(document, block, rows, whole, key=key)


def _alternatives(panel: Panel) -> list[list[peek.Alternative]]:
    """What else the model could have said at every token: for the table that one takes away."""
    assert panel.distributions is not None
    number = len(panel.sample.token_ids)
    found = panel.reader.most_probable(panel.distributions, panel.responses, panel.sample, 0, number, peek.MOST)
    label = panel.vocabulary.label
    return [[(i, label(i), float(np.exp(p))) for i, p in zip(ids, logprobs, strict=True)] for ids, logprobs, _ in found]


def _bars(panel: Panel, distributions: Generation, at: int) -> None:
    distribution = panel.reader.distribution(distributions, panel.responses, panel.sample, at)
    lens, shown = _lens_controls(panel.responses)
    drawn, vocabulary = None, panel.vocabulary
    stored_temperature = panel.reader.stored_temperature(distributions)
    if lens is not None:
        drawn = look_through(
            distribution.topk_logprobs, distribution.tail_mass, len(vocabulary), lens, stored_temperature
        )
    bars = bars_of(distribution, vocabulary.label, shown, drawn)
    title = f"token {at}: {vocabulary.label(distribution.token_id)}"
    outside = f"mass outside the stored top {len(distribution.topk_ids)}: {mass_text(distribution.tail_mass)}"
    numbers = f"entropy {distribution.entropy:.3f} nats, surprisal {-distribution.logprob:.3f} nats"
    note = f"{numbers}, rank {distribution.rank}, {outside}"
    bar_view(as_payload(bars, title, note, None if lens is None else "lens", stored_temperature), key="bars")
    if drawn is not None:
        st.markdown(escaped(drawn.statement))


def _tried(panel: Panel, at: int) -> None:
    """The alternatives that were tried at a token, and the continuations of the one that is open."""
    if panel.branching is None or not any(row["position"] == at for row in panel.branch_rows):
        return
    sample = panel.sample
    rows = panel.branching.at(sample.problem_id, sample.sample_index, at)
    key = f"branch-{panel.responses.samples.folder}-{sample.problem_id}-{sample.sample_index}-{at}"
    link, _ = read_link(st.query_params)
    chosen = chosen_branch(key, link.branch)
    row = next((row for row in rows if row["token_id"] == chosen), None)
    common.set_link(branch=None if row is None else chosen)
    continued = [] if row is None else panel.branching.continued(row)
    vocabulary = panel.vocabulary
    assert panel.distributions is not None
    temperature = panel.reader.stored_temperature(panel.distributions)
    payload = branching.as_payload(rows, vocabulary.label, vocabulary.text_of, at, chosen, continued, temperature)
    branch_view(payload, key=key, chosen=link.branch)


def _lens_controls(responses: Responses) -> tuple[Lens | None, int]:
    """The lens (None: it is off) and the number of bars, as the address has them.

    It opens with the settings that these responses were drawn with.
    """
    lens, shown = _lens_of_address(), _bars_of_address()
    st.session_state["lens-on"], st.session_state["lens-bars"] = lens is not None, shown
    sampling = sampling_of(responses)
    opened = sampling or SamplingSettings()
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.toggle("Lens: what a sampler would draw from", key="lens-on", on_change=_write_lens, args=(opened,))
        st.selectbox(
            "Bars", _BARS, key="lens-bars", label_visibility="collapsed", format_func="{} bars".format, width=104,
            on_change=_write_lens, args=(opened,),
        )  # fmt: skip
    if lens is None:
        return None, shown
    if sampling is None:
        why = "not complete" if responses.is_partial else "imported"
        common.note(f"How these responses were drawn is not known ({why}), so the lens opens without truncation.")
    state = st.session_state
    state["lens-temperature"], state["lens-top-p"], state["lens-top-k"] = lens.temperature, lens.top_p, lens.top_k or 0
    temperature_column, p_column, k_column = st.columns(3)
    changed: dict[str, Any] = {"on_change": _write_lens, "args": (opened,)}
    temperature_column.number_input("Temperature", 0.0, 5.0, step=0.1, key="lens-temperature", **changed)
    p_column.number_input("Top-p", 0.01, 1.0, step=0.05, key="lens-top-p", **changed)
    k_column.number_input("Top-k (0: all)", 0, None, key="lens-top-k", **changed)
    return lens, shown


def _bars_of_address() -> int:
    wanted = common.look("bars")
    return int(wanted) if wanted in map(str, _BARS) else _BARS[0]


def _lens_of_address() -> Lens | None:
    """`temperature,top_p,top_k`; None where there is none, or one that cannot be read."""
    parts = common.look("lens").split(",")
    try:
        temperature, top_p, top_k = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        return None
    if not (0 <= temperature <= 5 and 0.01 <= top_p <= 1 and top_k >= 0):
        return None
    return Lens(temperature, top_k or None, top_p)


def _write_lens(opened: SamplingSettings) -> None:
    """The address says what the controls say; controls that are not there yet stand at `opened`."""
    state = st.session_state
    temperature = state.get("lens-temperature", opened.temperature)
    top_p, top_k = state.get("lens-top-p", opened.top_p), state.get("lens-top-k", opened.top_k or 0)
    lens = f"{temperature:g},{top_p:g},{top_k}" if state["lens-on"] else None
    bars = state["lens-bars"]
    common.set_link(lens=lens, bars=None if bars == _BARS[0] else bars)
