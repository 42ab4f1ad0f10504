"""Response: one response token by token, and at each token what else the model could have said."""

import random
from typing import Any

import streamlit as st

from onoff_assets.browser.aggregates import mean_entropies
from onoff_assets.browser.bars import as_payload, bars_of
from onoff_assets.browser.components.bar_view import bar_view
from onoff_assets.browser.components.token_view import payload, token_view
from onoff_assets.browser.filters import Filter, matching, neighbours, random_wrong
from onoff_assets.browser.latex import as_answer, as_markdown
from onoff_assets.browser.lens import Lens, look_through
from onoff_assets.browser.links import Link, choose, clamp_token
from onoff_assets.browser.reading import Overlay, Reader, Responses, Sample, Vocabulary
from onoff_assets.browser.text import escaped, plain
from onoff_assets.browser.views import common
from onoff_core.errors import MissingInputError
from onoff_core.store import Generation
from onoff_core.store.provenance import SamplesProvenance
from onoff_core.study import SamplingSettings

VERDICTS = {
    "correct": "✓ correct: the extracted answer equals the gold answer",
    "wrong": "✗ wrong: the extracted answer differs from the gold answer",
    "no_answer": "✗ no answer: nothing could be extracted from the response",
    "gold_unparsed": "? not graded: the gold answer cannot be parsed, so this response does not count",
    "timeout": "✗ timeout: grading the extracted answer took too long, which counts as wrong",
    None: "not graded yet",
}
ENDINGS = {
    "stop": "ended by itself",
    "length": "cut off at max_length",
    "length_in_thinking": "cut off at max_length, still thinking",
    "stop_string": "ended at a stop string",
    "unknown": "imported, so it is not known why it ended",
}


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    responses = reader.responses(key)
    chosen = _choose_sample(reader, responses, link)
    if chosen is None:
        st.info("This partition has no responses: its data set has no problems.")
        return
    sample = reader.sample(responses, *chosen)
    token, message = clamp_token(link.token, len(sample.token_ids))
    common.warn([message] if message else [])
    common.keep_link(Link(*key, problem=chosen[0], sample=chosen[1], token=token))
    _walk_buttons(reader, responses, sample)
    _question(sample)
    _tokens_of(reader, responses, sample, token)


def _choose_sample(reader: Reader, responses: Responses, link: Link) -> tuple[str, int] | None:
    problem = common.choose_problem(responses, link)
    if problem is None:
        return None
    rows = responses.of_problem(problem)
    indices = rows["sample_index"].to_pylist()
    marks = dict(zip(indices, rows["status"].to_pylist(), strict=True))
    sample, message = choose("sample", link.sample, indices)
    common.warn([message] if message else [])
    if sample is None:
        return None
    with st.sidebar:
        common.pick("sample", "Sample", indices, sample, shown=lambda i: f"{i} {marks[i] or 'not graded'}")
    return problem, sample


def _read_filter(responses: Responses) -> Filter:
    with st.sidebar, st.expander("Filter: which responses to walk through"):
        longest = max(responses.table["num_tokens"].to_pylist(), default=0)
        statuses = st.multiselect("Status", [s for s in VERDICTS if s], key="filter-status", placeholder="any")
        endings = st.multiselect("Ending", list(ENDINGS), key="filter-finish", placeholder="any")
        low = st.number_input("At least tokens", 0, max(1, longest), 0, key="filter-low")
        high = st.number_input("At most tokens", 0, None, 0, key="filter-high", help="0: any")
        entropy = st.number_input("Mean entropy at least (nats)", 0.0, None, 0.0, 0.05, key="filter-entropy")
        text = st.text_input("Text in the response", key="filter-text")
    return Filter(tuple(statuses), tuple(endings), low or None, high or None, entropy or None, text)


def _walk_buttons(reader: Reader, responses: Responses, sample: Sample) -> None:
    """Previous, next and a random wrong one among the responses that the filter lets through."""
    wanted = _read_filter(responses)
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
    with st.container(horizontal=True, vertical_alignment="center"):
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
        common.set_link(problem=found["problem_id"], sample=found["sample_index"], token=None)


def _question(sample: Sample) -> None:
    left, right = st.columns([3, 2])
    with left.container(border=True):
        common.note(f"problem {sample.problem_id}, sample {sample.sample_index}")
        question = sample.question
        st.markdown(as_markdown(question) if question is not None else "*the problem's text is not in this store*")
    with right.container(border=True):
        st.markdown(f"**{escaped(VERDICTS.get(sample.status, str(sample.status)))}**")
        ending = ENDINGS.get(sample.finish_reason, sample.finish_reason)
        reward = "–" if sample.reward is None else sample.reward
        common.note(f"reward {reward}, {len(sample.token_ids)} tokens, {ending}")
        gold, extracted = st.columns(2)
        with gold:
            common.note("gold answer")
            st.markdown(as_answer(sample.answer) if sample.answer else "–")
        with extracted:
            common.note("extracted answer")
            answer = "–" if sample.extracted_answer is None else plain(sample.extracted_answer)
            st.code(answer, language=None, wrap_lines=True)
    with st.expander("Prompt and reference solution"):
        st.code(plain(sample.prompt), language=None, wrap_lines=True)
        if sample.solution:
            st.markdown(as_markdown(sample.solution))


def _tokens_of(reader: Reader, responses: Responses, sample: Sample, token: int | None) -> None:
    """The token view, coloured by the numbers that the store has."""
    model = responses.samples.partition[1]
    vocabulary = reader.vocabulary(model)
    if vocabulary is None:
        st.info(
            escaped(f"The store has no vocabulary of {model}, so tokens cannot be shown; materialize samples again.")
        )
        st.code(plain(sample.response), language=None, wrap_lines=True)
        return
    distributions: Generation | None = None
    overlay = Overlay([float(value) for value in sample.token_logprobs], None, None)
    try:
        distributions = reader.distributions(responses)
        overlay = reader.overlay(distributions, responses, sample)
    except MissingInputError as error:
        common.explain(error)
        if not sample.token_logprobs:
            common.note("The samples were imported, so there is nothing to colour the tokens by until then.")
            st.code(plain(sample.response), language=None, wrap_lines=True)
            return
        common.note("Until then the tokens are coloured by the surprisal that sampling recorded.")
    pieces = vocabulary.pieces_of(sample.token_ids)
    if not "".join(piece.text for piece in pieces).startswith(sample.response):
        st.warning("The stored vocabulary does not spell this response: it is of another revision of the model.")
    content = payload(pieces, overlay)
    document = f"{responses.samples.folder}/{sample.problem_id}/{sample.sample_index}/{distributions is not None}"
    _fragment(reader, responses, sample, vocabulary, distributions, content, _opening(document, token))


def _opening(document: str, token: int | None) -> dict[str, Any]:
    """The token that the view opens with. It stays while document and URL stay, so that nothing is sent twice.

    A token in the URL that we did not write ourselves (the browser's back button) opens the view anew.
    """
    opened = st.session_state.get("opened")
    if opened is None or opened["document"] != document or token not in (opened["initial"], opened["written"]):
        count = 0 if opened is None else opened["count"] + 1
        opened = {"document": document, "initial": token, "written": token, "count": count}
        st.session_state["opened"] = opened
    return opened


@st.fragment
def _fragment(
    reader: Reader,
    responses: Responses,
    sample: Sample,
    vocabulary: Vocabulary,
    distributions: Generation | None,
    content: bytes,
    opened: dict[str, Any],
) -> None:
    """Tokens and bars: a click runs this again and nothing else of the page."""
    left, right = st.columns(2)
    with left:
        document = f"{opened['document']}#{opened['count']}"
        picked = token_view(content, document=document, initial=opened["initial"], key=f"tokens-{document}")
    if picked is not None and 0 <= picked < len(sample.token_ids):
        common.set_link(token=picked)
        opened["written"] = picked
    else:
        picked = None
    with right:
        if distributions is None:
            return
        if not sample.token_ids:
            st.info("This response has no tokens, so there is nothing to click.")
            return
        if picked is None:
            st.info("Click a token, or walk with the arrow keys, to see what else the model could have said there.")
            return
        _bars(reader, responses, sample, vocabulary, distributions, picked)


def _bars(
    reader: Reader, responses: Responses, sample: Sample, vocabulary: Vocabulary, distributions: Generation, at: int
) -> None:
    distribution = reader.distribution(distributions, responses, sample, at)
    lens, shown = _lens_controls(responses)
    drawn = None
    stored_temperature = reader.stored_temperature(distributions)
    if lens is not None:
        drawn = look_through(
            distribution.topk_logprobs, distribution.tail_mass, len(vocabulary), lens, stored_temperature
        )
    bars = bars_of(distribution, vocabulary.label, shown, drawn)
    title = f"token {at}: {vocabulary.label(distribution.token_id)}"
    at_temperature = "" if stored_temperature == 1.0 else f", stored at temperature {stored_temperature:g}"
    outside = f"mass outside the stored top {len(distribution.topk_ids)}: {distribution.tail_mass:.4f}"
    numbers = f"entropy {distribution.entropy:.3f} nats, surprisal {-distribution.logprob:.3f} nats"
    note = f"{numbers}, rank {distribution.rank}, {outside}{at_temperature}"
    bar_view(as_payload(bars, title, note, None if lens is None else "drawn"), key="bars")
    if drawn is not None:
        st.markdown(escaped(drawn.statement))


def _lens_controls(responses: Responses) -> tuple[Lens | None, int]:
    """The lens (None: it is off) and the number of bars; it opens with the settings these responses were drawn with."""
    with st.container(horizontal=True, vertical_alignment="center"):
        on = st.toggle("Lens: what a sampler would draw from", key="lens-on")
        shown = st.selectbox(
            "Bars", (20, 10, 40), key="lens-bars", label_visibility="collapsed", format_func="{} bars".format, width=120
        )
    if not on:
        return None, shown
    sampling = SamplesProvenance.of(responses.samples.manifest()).sampling
    if sampling is None:
        common.note("How these responses were drawn is not known (imported), so the lens opens without truncation.")
        sampling = SamplingSettings()
    temperature_column, p_column, k_column = st.columns(3)
    temperature = temperature_column.number_input(
        "Temperature", 0.0, 5.0, sampling.temperature, 0.1, key="lens-temperature"
    )
    top_p = p_column.number_input("Top-p", 0.01, 1.0, sampling.top_p, 0.05, key="lens-top-p")
    top_k = k_column.number_input("Top-k (0: all)", 0, None, sampling.top_k or 0, key="lens-top-k")
    return Lens(temperature, top_k or None, top_p), shown
