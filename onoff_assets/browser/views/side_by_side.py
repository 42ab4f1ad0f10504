"""Side by side: two responses to a problem, from where they part; or one text as two models see it."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from onoff_assets.browser.bars import as_payload, bars_of
from onoff_assets.browser.components.bar_view import bar_view
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.components.pair_view import pair_view
from onoff_assets.browser.components.token_view import Source, Verdict, token_view, tokens_payload
from onoff_assets.browser.conditions import Conditions, conditions_of, sampling_of
from onoff_assets.browser.links import Link, choose, clamp_token
from onoff_assets.browser.numbers import fixed
from onoff_assets.browser.reading import Key, Overlay, Reader, Responses, Sample
from onoff_assets.browser.side import (
    SameText,
    Side,
    choose_samples,
    common_tokens,
    pair_payload,
    references_of,
    same_text,
)
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.verdicts import short_verdict
from onoff_assets.browser.views import asked, awaiting, common, strip
from onoff_assets.browser.views.response import verdict_of
from onoff_core.errors import MissingInputError

_BARS = 10
_SCORED_AT = 1.0  # the temperature at which models score one another's texts


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    responses = reader.responses(key, partial=True)
    problem = common.choose_problem(responses, link)
    if problem is None:
        st.info("This partition has no responses: its data set has no problems.")
        return
    models = [model for dataset, model in reader.partitions() if dataset == key[0]]
    if link.other is not None and link.other not in models and common.is_of_study((key[0], link.other)):
        awaiting.not_run_yet(reader, (key[0], link.other))
        return
    other, message = choose("model", link.other or key[1], models)
    common.warn([message] if message else [])
    assert other is not None
    with st.sidebar:
        common.pick("other", "Beside a response of", models, other)
    others = responses if other == key[1] else reader.responses((key[0], other), partial=True)
    indices = _samples(responses, others, problem, link, same=other == key[1])
    if indices is None:
        st.info(escaped(f"{other} has no responses to problem {visible(problem, 80)}."))
        return
    link = Link(*key, other, problem, indices[0], link.token, other_sample=indices[1])
    common.keep_link(link)
    for model in dict.fromkeys((key[1], other)):
        strip.show(reader, (key[0], model), name=model)
    pair = [reader.sample(responses, problem, indices[0]), reader.sample(others, problem, indices[1])]
    _question(pair[0])
    references = [name for name in references_of(reader, responses) if name == other or other == key[1]]
    text = same_text(reader, responses, pair[0], references[0]) if references else None
    if text is not None and _is_same(text):
        _same_text(reader, responses, pair[0], text, link.token)
        return
    _two(reader, (key, (key[0], other)), (responses, others), pair, link.token)


def _samples(responses: Responses, others: Responses, problem: str, link: Link, same: bool) -> tuple[int, int] | None:
    """The sample indices of the link, or those that tell most; with their pickers at the side."""
    lists = [_rewards(one, problem) for one in (responses, others)]
    if not lists[0] or not lists[1]:
        return None
    known = [[index for index, _ in rows] for rows in lists]
    wanted = link.sample if link.sample in known[0] else None
    first, second = choose_samples(lists[0], lists[1], wanted, same)
    if link.other_sample in known[1]:
        second = int(link.other_sample)
    said = [_verdicts(one, problem) for one in (responses, others)]
    with st.sidebar:
        common.pick("sample", "Sample", known[0], first, shown=lambda i: f"{i} {said[0][i]}")
        common.pick("other_sample", "Beside sample", known[1], second, shown=lambda i: f"{i} {said[1][i]}")
    return first, second


def _rewards(responses: Responses, problem: str) -> list[tuple[int, int | None]]:
    rows = responses.of_problem(problem)
    return list(zip(rows["sample_index"].to_pylist(), rows["reward"].to_pylist(), strict=True))


def _verdicts(responses: Responses, problem: str) -> dict[int, str]:
    rows = responses.of_problem(problem)
    statuses = (short_verdict(status) for status in rows["status"].to_pylist())
    return dict(zip(rows["sample_index"].to_pylist(), statuses, strict=True))


def _question(sample: Sample) -> None:
    with st.container(gap="xxsmall"):
        common.note(f"problem {sample.problem_id}")
        asked.question_and_answer(sample)


def _is_same(text: SameText) -> bool:
    """Whether one text as both models see it is asked for, in place of two texts."""
    choices = ("two responses", f"one text, as {visible(text.reference, 40)} sees it too")
    st.session_state["same-text"] = choices[1] if common.look("same") else choices[0]

    def write() -> None:
        common.set_link(same="1" if st.session_state["same-text"] == choices[1] else None)

    st.radio(
        "What to look at", choices, key="same-text", horizontal=True, label_visibility="collapsed", on_change=write
    )
    return bool(common.look("same"))


def _two(
    reader: Reader,
    keys: tuple[Key, Key],
    pair: tuple[Responses, Responses],
    samples: Sequence[Sample],
    token: int | None,
) -> None:
    sides = [_side(reader, key, responses, sample) for key, responses, sample in zip(keys, pair, samples, strict=True)]
    if sides[0] is None or sides[1] is None:
        st.info("The store has no vocabulary of one of the models; materialize its samples again.")
        return
    left, right = sides[0], sides[1]
    pieces = (left.vocabulary.pieces_of(left.sample.token_ids), right.vocabulary.pieces_of(right.sample.token_ids))
    shared = common_tokens(left, right)
    content = pair_payload(left, right, pieces, shared)
    document = "/".join(
        f"{side.responses.samples.folder}/{side.sample.problem_id}/{side.sample.sample_index}" for side in (left, right)
    )
    parting = tuple(min(shared, max(0, len(side.sample.token_ids) - 1)) for side in (left, right))
    at, message = clamp_token(token, len(left.sample.token_ids))
    common.warn([message] if message else [])
    opened = st.session_state.get("opened-pair")
    if opened is None or opened["document"] != document:
        first = parting[0] if at is None else at
        opened = {"document": document, "picked": (first, first if first < shared else parting[1])}
        st.session_state["opened-pair"] = opened
    _fragment(reader, (left, right), content, document, opened["picked"])


def _side(reader: Reader, key: Key, responses: Responses, sample: Sample) -> Side | None:
    vocabulary = reader.vocabulary(key[1])
    if vocabulary is None:
        return None
    try:
        distributions = reader.distributions(responses)
        overlay = reader.overlay(distributions, responses, sample)
    except MissingInputError as error:
        common.explain(error)
        logprobs = [float(value) for value in sample.token_logprobs] or [0.0] * len(sample.token_ids)
        conditions = conditions_of(reader, responses, None)
        return Side(key, responses, sample, vocabulary, None, Overlay(logprobs, None, None), conditions)
    conditions = conditions_of(reader, responses, distributions)
    return Side(key, responses, sample, vocabulary, distributions, overlay, conditions)


@st.fragment
def _fragment(
    reader: Reader, sides: tuple[Side, Side], content: dict[str, Any], document: str, opened: tuple[int, int]
) -> None:
    """The two texts, and below each what its model could have said: a click runs this again and nothing else."""
    picked = pair_view(content, document=document, picked=opened, key=f"pair-{document}")
    columns = st.columns(2)
    for column, side, at, name in zip(columns, sides, picked, ("left", "right"), strict=True):
        with column:
            _bars(reader, side, at, name)
    if picked != opened:
        common.set_link(token=picked[0])
    common.remember()


def _bars(reader: Reader, side: Side, at: int, name: str) -> None:
    model = visible(side.key[1], 40)
    if side.distributions is None or not 0 <= at < len(side.sample.token_ids):
        st.info(escaped(f"{model} has no token distributions here."))
        return
    distribution = reader.distribution(side.distributions, side.responses, side.sample, at)
    label = side.vocabulary.label
    bars = bars_of(distribution, label, _BARS)
    title = f"{model}, token {at}: {label(distribution.token_id)}"
    note = f"entropy {distribution.entropy:.3f} nats, rank {distribution.rank}"
    bar_view(as_payload(bars, title, note, None, side.conditions.temperature), key=f"bars-{name}")
    link = Link(*side.key, problem=side.sample.problem_id, sample=side.sample.sample_index, token=at)
    common.link_to("response", f"open the response at token {at}", link.query())


def _same_text(reader: Reader, responses: Responses, sample: Sample, text: SameText, token: int | None) -> None:
    model, reference = responses.samples.partition[1], text.reference
    vocabulary = reader.vocabulary(model)
    if vocabulary is None:
        st.info(escaped(f"The store has no vocabulary of {model}; materialize samples again."))
        return
    common.note(
        f"The response of {model}, sample {sample.sample_index}, token for token as {model} and {reference} see it."
    )
    conditions = Conditions(_SCORED_AT, sampling_of(responses))
    source = Source.of((responses.samples.partition[0], model), sample, conditions)
    content = tokens_payload(vocabulary.pieces_of(sample.token_ids), text.measures, source=source)
    at, message = clamp_token(token, len(sample.token_ids))
    common.warn([message] if message else [])
    document = f"same/{responses.samples.folder}/{sample.problem_id}/{sample.sample_index}/{reference}"
    opened = st.session_state.get("opened-same")
    if opened is None or opened["document"] != document:
        opened = {"document": document, "initial": at}
        st.session_state["opened-same"] = opened
    labels = [vocabulary.label(i) for i in sample.token_ids]
    _same_fragment(text, model, content, document, opened["initial"], labels, verdict_of(sample, []))


@st.fragment
def _same_fragment(
    text: SameText,
    model: str,
    content: bytes,
    document: str,
    initial: int | None,
    labels: Sequence[str],
    verdict: Verdict,
) -> None:
    left, right = st.columns([3, 2])
    with left:
        at, _ = token_view(content, document=document, initial=initial, key=f"tokens-{document}", verdict=verdict)
    with right:
        if at is None or not 0 <= at < len(text.rows):
            st.info("Click a token to see both models' numbers. The farther apart they are, the stronger the fill.")
            _widest(text, labels)
            return
        common.set_link(token=at)
        common.remember()
        row = text.rows[at]
        link_table(
            f"token {at}: {labels[at]}", ["at temperature 1", model, text.reference], _numbers(row), key="numbers"
        )
        _widest(text, labels)


def _numbers(row: dict[str, Any]) -> list[list[Cell]]:
    def cells(name: str, *values: str) -> list[Cell]:
        return [Cell(name), *(Cell(value, number=True) for value in values)]

    between = fixed(row["kl"], 4) if row["kl"] is not None else f"{_or(row['kl_lower'])} to {_or(row['kl_upper'])}"
    return [
        cells("log-probability (nats)", fixed(row["logprob"], 4), fixed(row["reference_logprob"], 4)),
        cells("rank", "", str(row["reference_rank"])),
        cells("entropy (nats)", fixed(row["entropy"], 4), fixed(row["reference_entropy"], 4)),
        cells("KL divergence (nats)", between, ""),
    ]


def _or(value: float | None) -> str:
    return "–" if value is None else fixed(value, 4)


def _widest(text: SameText, labels: Sequence[str]) -> None:
    """The tokens at which the two are farthest apart."""
    measure, values = text.measures[0]
    order = [i for i in sorted(range(len(values)), key=lambda i: -values[i])[:10] if values[i] > 0]
    if not order:
        common.note(f"They differ nowhere: the {measure.label} is 0 at every token.")
        return
    rows = [
        [Cell(str(i), number=True), Cell(labels[i], mono=True), Cell(fixed(values[i], 3), number=True)] for i in order
    ]
    link_table("Where they differ most", ["token", "", f"{measure.label} ({measure.unit})"], rows, key="widest")
