"""Response: one response token by token, and at each token what else the model could have said."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from onoff_assets.browser.branching import branching_of
from onoff_assets.browser.components.facts_strip import Block
from onoff_assets.browser.components.token_view import Source, Verdict, payload
from onoff_assets.browser.conditions import conditions_of
from onoff_assets.browser.hits import Hit, search_of, token_hits
from onoff_assets.browser.latex import as_markdown, typeset_answer
from onoff_assets.browser.links import Link, choose, clamp_token, former_samples, identity_of
from onoff_assets.browser.pieces import Piece
from onoff_assets.browser.reading import Key, Overlay, Reader, Responses, Sample, Vocabulary
from onoff_assets.browser.text import escaped, plain, visible
from onoff_assets.browser.verdicts import short_verdict, verdict_sentence
from onoff_assets.browser.views import asked, awaiting, common, noting, strip, token_panel, walking
from onoff_core.errors import MissingInputError
from onoff_core.store import Generation
from onoff_core.store.notes import Note

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
    responses = reader.responses(key, partial=True)
    chosen = _choose_sample(responses, link)
    if chosen is None:
        strip.show(reader, key)
        st.info("This partition has no responses: its data set has no problems.")
        return
    sample = reader.sample(responses, *chosen)
    vocabulary = reader.vocabulary(key[1])
    pieces = [] if vocabulary is None else vocabulary.pieces_of(sample.token_ids)
    search = search_of(st.query_params)
    hits = [] if search is None else token_hits(pieces, sample.response, search)
    token, message = clamp_token(link.token, len(sample.token_ids))
    if token is None and hits:
        token = hits[0][0]
    fingerprint = responses.samples.fingerprint
    common.warn([said for said in (former_samples(link.samples, fingerprint), message) if said])
    here = Link(*key, problem=chosen[0], sample=chosen[1], token=token, samples=identity_of(fingerprint))
    common.keep_link(here)
    notes = noting.notes_of(reader, key, sample)
    with st.container(gap="xxsmall"):
        strip.show(reader, key, prompt_blocks(sample, vocabulary))
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="walk"):
            place = walking.buttons(reader, key, sample)
            noting.controls(reader, responses, sample, notes)
            _leads_to(reader, key, sample)
        common.note(f"problem {sample.problem_id}, sample {sample.sample_index}: {place}")
        _question(sample)
        noting.show(notes, fingerprint)
    _tokens_of(_Opened(reader, responses, sample, vocabulary, pieces, hits), token, notes)


@dataclass(frozen=True)
class _Opened:
    """The response that is shown; `vocabulary` None: its tokens cannot be, and then it has no pieces."""

    reader: Reader
    responses: Responses
    sample: Sample
    vocabulary: Vocabulary | None
    pieces: list[Piece]
    hits: list[Hit]  # of the search that led here


def _choose_sample(responses: Responses, link: Link) -> tuple[str, int] | None:
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
        common.pick("sample", "Sample", indices, sample, shown=lambda i: f"{i} {short_verdict(marks[i])}")
    return problem, sample


def prompt_blocks(sample: Sample, vocabulary: Vocabulary | None) -> list[Block]:
    """The prompt as the model was given it: the text, and each token's id with what it stands for."""
    ids = sample.prompt_token_ids
    if vocabulary is None:
        tokens = [(str(i), False) for i in ids]
    else:
        tokens = [(f"{i}:{vocabulary.label(i)}", vocabulary.is_special(i)) for i in ids]
    special = sum(is_special for _, is_special in tokens)
    framed = f", {special} of them special, in a frame" if special else ""
    return [
        Block("prompt, as the model was given it", sample.prompt),
        Block(f"its {len(ids):,} token ids{framed}", "(none are recorded)", tokens),
    ]


def _leads_to(reader: Reader, key: Key, sample: Sample) -> None:
    """Links to the same problem elsewhere: all its samples, another sample or model beside this one."""
    here = Link(*key, problem=sample.problem_id, sample=sample.sample_index)
    common.link_to("problem", "all samples", Link(*key, problem=sample.problem_id).query())
    common.link_to("side_by_side", "side by side", here.query())
    complete = [
        dataset_model for dataset_model in reader.partitions() if reader.store.current("samples", dataset_model)
    ]
    models = [model for dataset, model in complete if dataset == key[0]]
    others = [model for model in models if model != key[1]]
    if others:
        following = next((model for model in others if model > key[1]), others[0])  # so that links go round
        query = Link(key[0], following, key[1], sample.problem_id, sample.sample_index).query()
        common.link_to("response", f"the same by {following}", query)


def thinking_of(sample: Sample) -> str:
    """What a response's thinking came to, to stand behind its number of tokens."""
    if sample.answer_start is None:
        return ""
    cut = f", which a budget cut ({len(sample.forced_positions)} tokens put in)" if sample.forced_positions else ""
    return f" of which {sample.answer_start:,} thinking{cut}"


def _question(sample: Sample) -> None:
    """The question on one line where it is short, and what belongs to the problem behind it."""
    with asked.question(sample):
        typeset = typeset_answer(sample.answer) if sample.answer else None
        if typeset is not None:
            st.markdown(f"gold, set: {typeset}", width="content")
        if sample.solution:
            with st.popover("solution", type="tertiary"):
                st.markdown(as_markdown(sample.solution))


def verdict_of(sample: Sample, notes: Sequence[Note]) -> Verdict:
    """The line above the tokens, which stays in sight: what became of the response."""
    reward = "–" if sample.reward is None else str(sample.reward)
    length, ending = f"{len(sample.token_ids):,} tokens", ENDINGS.get(sample.finish_reason, sample.finish_reason)
    whole = f"{length}{thinking_of(sample)}, {ending}"
    facts = [
        ("reward", reward, ""),
        ("gold", *_shortened(sample.answer or None)),
        ("extracted", *_shortened(sample.extracted_answer)),
        ("", f"{length}{thinking_of(sample)}" if sample.finish_reason == "stop" else whole, whole),
    ]
    if any(note.star for note in notes):
        facts.append(("★", "starred", ""))
    if said := sum(bool(note.tags or note.comment) for note in notes):
        facts.append(("✎", "1 note" if said == 1 else f"{said} notes", ""))
    is_right = None if sample.reward is None else sample.reward == 1
    return Verdict(short_verdict(sample.status), is_right, facts, verdict_sentence(sample.status))


def _shortened(answer: str | None) -> tuple[str, str]:
    """(as it stands on the line, the whole of it)."""
    return ("–", "") if answer is None else (visible(answer, 120), visible(answer, 4000))


def _as_text(sample: Sample, notes: Sequence[Note]) -> None:
    """The response where its tokens cannot be shown, under its verdict."""
    verdict = verdict_of(sample, notes)
    facts = ", ".join(escaped(f"{name} {value}") for name, value, _ in verdict.facts)
    st.markdown(f"**{escaped(verdict.why)}** &ensp; {facts}")
    st.code(plain(sample.response), language=None, wrap_lines=True)


def _tokens_of(opened: _Opened, token: int | None, notes: Sequence[Note]) -> None:
    """The token view, coloured by the numbers that the store has."""
    reader, responses, sample = opened.reader, opened.responses, opened.sample
    key, vocabulary = (responses.samples.partition[0], responses.samples.partition[1]), opened.vocabulary
    if vocabulary is None:
        st.info(escaped(f"The store has no vocabulary of {key[1]}, so tokens cannot be shown; make its samples again."))
        _as_text(sample, notes)
        return
    distributions: Generation | None = None
    overlay = Overlay([float(value) for value in sample.token_logprobs], None, None)
    try:
        distributions = reader.distributions(responses)
        overlay = reader.overlay(distributions, responses, sample)
    except MissingInputError as error:
        awaiting.explain(reader, key, error)
        if not sample.token_logprobs:
            common.note("The samples were imported, so there is nothing to colour the tokens by until then.")
            _as_text(sample, notes)
            return
        common.note("Until then the tokens are coloured by the surprisal that sampling recorded.")
    if not "".join(piece.text for piece in opened.pieces).startswith(sample.response):
        st.warning("The stored vocabulary does not spell this response: it is of another revision of the model.")
    branching = branching_of(reader, responses)
    rows = [] if branching is None else branching.of_response(sample.problem_id, sample.sample_index)
    noted = [note.position for note in notes if note.position is not None]
    conditions = conditions_of(reader, responses, distributions)
    hint = "" if distributions is None else conditions.lens_hint
    panel = token_panel.Panel(
        reader, responses, sample, vocabulary, distributions, branching, rows, noted, verdict_of(sample, notes), hint
    )
    content = payload(
        opened.pieces, overlay, rows, sample.answer_start, sample.forced_positions,
        Source.of(key, sample, conditions), opened.hits,
    )  # fmt: skip
    document = f"{responses.samples.folder}/{sample.problem_id}/{sample.sample_index}/{distributions is not None}"
    if branching is not None:
        document += f"/{branching.branches.fingerprint}"
    if opened.hits:
        document += f"/{opened.hits}"
    token_panel.show(panel, content, document, token)
