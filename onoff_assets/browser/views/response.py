"""Response: one response token by token, and at each token what else the model could have said."""

from collections.abc import Sequence

import streamlit as st

from onoff_assets.browser.branching import branching_of
from onoff_assets.browser.components.facts_strip import Block
from onoff_assets.browser.components.token_view import Source, Verdict, payload
from onoff_assets.browser.conditions import conditions_of
from onoff_assets.browser.latex import as_answer, as_markdown
from onoff_assets.browser.links import Link, choose, clamp_token, former_samples, identity_of
from onoff_assets.browser.reading import Key, Overlay, Reader, Responses, Sample, Vocabulary
from onoff_assets.browser.text import escaped, plain, visible
from onoff_assets.browser.views import common, noting, strip, token_panel, walking
from onoff_core.errors import MissingInputError
from onoff_core.store import Generation
from onoff_core.store.notes import Note

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
    responses = reader.responses(key, partial=True)
    chosen = _choose_sample(responses, link)
    if chosen is None:
        strip.show(reader, key)
        st.info("This partition has no responses: its data set has no problems.")
        return
    sample = reader.sample(responses, *chosen)
    token, message = clamp_token(link.token, len(sample.token_ids))
    fingerprint = responses.samples.fingerprint
    common.warn([said for said in (former_samples(link.samples, fingerprint), message) if said])
    here = Link(*key, problem=chosen[0], sample=chosen[1], token=token, samples=identity_of(fingerprint))
    common.keep_link(here)
    strip.show(reader, key, prompt_blocks(sample, reader.vocabulary(key[1])))
    notes = noting.notes_of(reader, key, sample)
    with st.container(horizontal=True, vertical_alignment="center"):
        walking.buttons(reader, responses, sample)
        noting.controls(reader, responses, sample, notes)
        _leads_to(reader, key, sample)
    _question(sample)
    noting.show(notes, fingerprint)
    _tokens_of(reader, responses, sample, token, notes)


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
        common.pick("sample", "Sample", indices, sample, shown=lambda i: f"{i} {marks[i] or 'not graded'}")
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
    return f" of which {sample.answer_start} thinking{cut}"


def _question(sample: Sample) -> None:
    left, right = st.columns([3, 2])
    with left, st.container(border=True, key="question", gap="xsmall"):
        common.note(f"problem {sample.problem_id}, sample {sample.sample_index}")
        question = sample.question
        st.markdown(as_markdown(question) if question is not None else "*the problem's text is not in this store*")
        if sample.solution:
            with st.expander("Reference solution"):
                st.markdown(as_markdown(sample.solution))
    with right, st.container(border=True, key="verdict", gap="xsmall"):
        st.markdown(f"**{escaped(VERDICTS.get(sample.status, str(sample.status)))}**")
        ending = ENDINGS.get(sample.finish_reason, sample.finish_reason)
        reward = "–" if sample.reward is None else sample.reward
        common.note(f"reward {reward}, {len(sample.token_ids)} tokens{thinking_of(sample)}, {ending}")
        gold, extracted = st.columns(2, gap="small")
        with gold:
            common.note("gold answer")
            st.markdown(as_answer(sample.answer) if sample.answer else "–")
        with extracted:
            common.note("extracted answer")
            answer = "–" if sample.extracted_answer is None else plain(sample.extracted_answer)
            st.code(answer, language=None, wrap_lines=True)


def verdict_of(sample: Sample, notes: Sequence[Note]) -> Verdict:
    """What stands above the tokens, since a link to one of them leaves the rest of the page out of sight."""
    text = VERDICTS.get(sample.status, str(sample.status)).partition(":")[0]
    reward = "–" if sample.reward is None else str(sample.reward)
    extracted = "–" if sample.extracted_answer is None else visible(sample.extracted_answer, 40)
    gold = visible(sample.answer, 40) if sample.answer else "–"
    facts = [("reward", reward), ("gold", gold), ("extracted", extracted)]
    if any(note.star for note in notes):
        facts.append(("★", "starred"))
    if said := sum(bool(note.tags or note.comment) for note in notes):
        facts.append(("✎", "1 note" if said == 1 else f"{said} notes"))
    return Verdict(text, None if sample.reward is None else sample.reward == 1, facts)


def _tokens_of(reader: Reader, responses: Responses, sample: Sample, token: int | None, notes: Sequence[Note]) -> None:
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
    branching = branching_of(reader, responses)
    rows = [] if branching is None else branching.of_response(sample.problem_id, sample.sample_index)
    noted = [note.position for note in notes if note.position is not None]
    conditions = conditions_of(reader, responses, distributions)
    hint = "" if distributions is None else conditions.lens_hint
    panel = token_panel.Panel(
        reader, responses, sample, vocabulary, distributions, branching, rows, noted, verdict_of(sample, notes), hint
    )
    source = Source.of((responses.samples.partition[0], model), sample, conditions)
    content = payload(pieces, overlay, rows, sample.answer_start, sample.forced_positions, source)
    document = f"{responses.samples.folder}/{sample.problem_id}/{sample.sample_index}/{distributions is not None}"
    if branching is not None:
        document += f"/{branching.branches.fingerprint}"
    token_panel.show(panel, content, document, token)
