"""Opinions: where a second look at the verdicts comes to another one."""

import streamlit as st

from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.links import Link, choose
from onoff_assets.browser.opinions import WAYS, Disagreement, Opinions, Way, read_opinions
from onoff_assets.browser.reading import Key
from onoff_assets.browser.text import escaped, visible
from onoff_assets.browser.verdicts import short_verdict
from onoff_assets.browser.views import common, strip
from onoff_core.tables import GRID_ASSETS

_MOST_ROWS = 200
_BEGINNING, _ENDING = 90, 240  # characters shown of a question, and of what the judge wrote
_ALL = "all"
_LABELS: dict[str, str] = {
    _ALL: "all that differ",
    "first": "correct by the reward alone",
    "second": "correct by the second opinion alone",
    "unclear": "the judge gave no verdict",
}


def show() -> None:
    reader, link = common.reader(), common.link_here()
    key = common.choose_partition(reader, link)
    if key is None:
        return
    common.keep_link(Link(*key, way=link.way))
    strip.show(reader, key, shows=(*GRID_ASSETS, "second_opinions"))
    st.title("Opinions")
    opinions = read_opinions(reader, reader.responses(key))
    way = _choose_way(link)
    _rates(opinions)
    _disagreements(key, opinions, way)


def _choose_way(link: Link) -> Way | None:
    wanted, message = choose("way", link.way, [_ALL, *WAYS])
    common.warn([message] if message else [])
    with st.sidebar:
        common.pick("way", "Which", [_ALL, *WAYS], wanted, shown=lambda way: _LABELS[way])
    return next((way for way in WAYS if way == wanted), None)


def _rates(opinions: Opinions) -> None:
    rates = opinions.rates
    common.note(f"A second opinion by {opinions.by}. Only the reward counts; this says how far to trust it.")
    if not rates["num_responses"]:
        st.info("No response has two verdicts.")
        return
    differ, of = rates["num_disagreements"], _responses(rates["num_responses"])
    text = f"The verdicts differ on {differ} of {of}: {_share(rates, 'disagreement')}"
    st.markdown(f"**{escaped(text)}**")
    common.note(
        f"Correct by the reward alone: {rates['num_only_first_right']}, {_share(rates, 'only_first_right')}. "
        f"Correct by the second opinion alone: {rates['num_only_second_right']}, {_share(rates, 'only_second_right')}. "
        f"Shares are means over {rates['num_problems']} problems; 95 % intervals for other problems like these."
    )
    left_out = {
        "without an answer": rates["num_without_answer"],
        "without a reward": rates["num_without_reward"],
        "on which the judge gave no verdict": rates["num_unclear"],
    }
    said = [f"{number} {what}" for what, number in left_out.items() if number]
    if said:
        common.note(f"Not counted: {', '.join(said)}.")


def _share(rates: dict[str, float | None], name: str) -> str:
    share, low, high = (rates[f"{name}_{end}"] for end in ("share", "low", "high"))
    if share is None:
        return "–"
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * share:.1f} %{interval}"


def _responses(number: int) -> str:
    return "1 response" if number == 1 else f"{number} responses"


def _disagreements(key: Key, opinions: Opinions, way: Way | None) -> None:
    found = opinions.of(way)
    label = _LABELS[way or _ALL]
    st.subheader(f"{label[0].upper()}{label[1:]}: {_responses(len(found))}")
    if not found:
        st.info("There is none.")
        return
    if len(found) > _MOST_ROWS:
        common.note(f"The first {_MOST_ROWS} are shown; SQL has all of them, in second_opinions.")
    header = [
        "problem",
        "sample",
        "reward",
        "second opinion",
        "gold answer",
        "extracted answer",
        "what the judge wrote",
    ]
    judged = any(one.judge_response is not None for one in found)
    rows = [_row(key, one)[: len(header) if judged else -1] for one in found[:_MOST_ROWS]]
    columns = header if judged else header[:-1]
    common.go(link_table("Responses with another second opinion", columns, rows, key="opinions"))


def _row(key: Key, one: Disagreement) -> list[Cell]:
    where = Link(*key, problem=one.problem_id, sample=one.sample_index).query()
    return [
        Cell(one.problem_id, note=visible(one.question, _BEGINNING), breaks=True, page="response", query=where),
        Cell(str(one.sample_index), number=True, page="response", query=where),
        Cell(_verdict(one.reward), whole=True, note="" if one.status in ("correct", "wrong") else one.status),
        Cell(_verdict(one.second), whole=True, note=_by(one)),
        Cell(one.gold, mono=True),
        Cell(one.answer, mono=True),
        Cell(_end(one.judge_response or ""), prose=True),
    ]


def _verdict(correct: int | bool | None) -> str:
    return "none" if correct is None else short_verdict("correct" if correct else "wrong")


def _by(one: Disagreement) -> str:
    if one.judge_response is not None:
        return "by the judge"
    if one.second is None:
        return "too long for the judge"
    if not one.second:
        return "by the rules"
    return "as text" if one.same_text else "as a number"


def _end(text: str) -> str:
    return text if len(text) <= _ENDING else "… " + text[-_ENDING:]
