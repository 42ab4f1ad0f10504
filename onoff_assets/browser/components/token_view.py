"""The response's tokens, coloured, clickable and walkable, under a strip of the same numbers over position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from onoff_assets.browser.colour import ramp_css
from onoff_assets.browser.components import as_bytes, script
from onoff_assets.browser.conditions import Conditions
from onoff_assets.browser.hits import Hit
from onoff_assets.browser.measures import ENTROPY, EXCESS, RANK, SURPRISAL, Measure
from onoff_assets.browser.pieces import Piece
from onoff_assets.browser.reading import Key, Overlay, Sample
from onoff_assets.browser.text import visible

_HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "onoff_token_view",
    html='<div id="view"></div>',
    css=ramp_css() + (_HERE / "token_view.css").read_text(),
    js=script("token_view"),
)


@dataclass(frozen=True)
class Source:
    """Whose tokens they are, for what one takes away: the response, its token ids, and what its numbers are at."""

    key: Key
    problem: str
    sample: int
    token_ids: Sequence[int]
    conditions: Conditions

    @staticmethod
    def of(key: Key, sample: Sample, conditions: Conditions) -> "Source":
        return Source(key, sample.problem_id, sample.sample_index, sample.token_ids, conditions)

    def as_content(self) -> dict[str, Any]:
        return {
            "place": {"dataset": self.key[0], "model": self.key[1], "problem": self.problem, "sample": self.sample},
            "title": f"{visible('|'.join(self.key))}, problem {visible(self.problem, 80)}, sample {self.sample}",
            "ids": list(self.token_ids),
            "temperature": self.conditions.temperature,
            "drawnAt": self.conditions.drawn_at,
            "conditions": self.conditions.sentence,
        }


@dataclass(frozen=True)
class Verdict:
    """What became of the response, on one line above its tokens."""

    text: str
    is_right: bool | None
    facts: Sequence[tuple[str, str, str]] = ()  # name, value, and the whole value where it is shortened
    why: str = ""  # what the verdict rests on, in a sentence


def payload(
    pieces: Sequence[Piece],
    overlay: Overlay,
    branches: Sequence[Mapping[str, Any]] = (),
    answer_start: int | None = None,
    forced: Sequence[int] = (),
    source: Source | None = None,
    hits: Sequence[Hit] = (),
) -> bytes:
    """What the component draws, as JSON: it depends on the response and the search alone, never on what is selected.

    `branches` are rows of `branch_positions` of this response; `answer_start` is the first position after its thinking,
    and `forced` are those of tokens that were put in and not drawn. Without `source` nothing says what response it is.
    `hits` are those of the search that led here.
    """
    surprisal = [-value for value in overlay.logprob]
    measures: list[tuple[Measure, Sequence[float]]] = [(SURPRISAL, surprisal)]
    if overlay.entropy is not None and overlay.rank is not None:
        excess = [s - h for s, h in zip(surprisal, overlay.entropy, strict=True)]
        measures = [(ENTROPY, overlay.entropy), *measures, (RANK, overlay.rank), (EXCESS, excess)]
    return tokens_payload(pieces, measures, branches, answer_start, forced, source, hits)


def tokens_payload(
    pieces: Sequence[Piece],
    measures: Sequence[tuple[Measure, Sequence[float]]],
    branches: Sequence[Mapping[str, Any]] = (),
    answer_start: int | None = None,
    forced: Sequence[int] = (),
    source: Source | None = None,
    hits: Sequence[Hit] = (),
) -> bytes:
    """The same with any measures, the one that colours first in front; each has a value a token."""
    content = {
        "text": [piece.text for piece in pieces],
        "mark": {str(i): piece.mark for i, piece in enumerate(pieces) if piece.mark},
        "kind": {str(i): piece.kind for i, piece in enumerate(pieces) if piece.kind != "text"},
        "measures": [_measure(measure, values) for measure, values in measures],
        "answer": answer_start,
        "forced": list(forced),
        "branches": [
            [
                row["position"],
                *(_rounded(row[name]) for name in ("value", "value_low", "value_high", "value_after")),
                row["num_branches"],
                bool(row["is_lost_here"]),
            ]
            for row in branches
        ],
        **({} if source is None else source.as_content()),
        **({"hits": hits} if hits else {}),
    }
    return as_bytes(content)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _measure(measure: Measure, values: Sequence[float]) -> dict[str, Any]:
    return {
        "name": measure.name,
        "label": measure.label,
        "unit": measure.unit,
        "edges": measure.edges,
        "meaning": measure.meaning,
        "values": [round(value, 3) for value in values],
    }


def token_view(
    content: bytes,
    *,
    document: str,
    initial: int | None,
    key: str,
    peek: int | None = None,
    noted: Sequence[int] = (),
    verdict: Verdict | None = None,
    hint: str = "",
) -> tuple[int | None, dict[str, str | None] | None]:
    """Show the tokens. Returns the position that is picked, and colour and threshold if they were changed here.

    `initial` is the position shown first and must stay the same while the document does: what is sent must not depend
    on the selection, or every click would send the whole text again. Bytes are passed on as they are. `peek`: how many
    tokens a block of the component `peek` has, which tells the most probable ones where the mouse rests; None: there is
    none. `noted`: positions with a note. `verdict`: the line above the tokens; None: there is none. `hint`
    stands at the end of the legend.
    """
    told = (
        None
        if verdict is None
        else [visible(verdict.text), verdict.is_right, [list(fact) for fact in verdict.facts], verdict.why]
    )
    head = {"document": document, "initial": initial, "peek": peek, "noted": list(noted), "verdict": told, "hint": hint}
    data = as_bytes(head) + b"\n" + content  # on a line of its own, so that the script can read it without the rest
    state = _MOUNT(
        key=key, data=data, default={"picked": initial}, on_picked_change=lambda: None, on_looks_change=lambda: None
    )
    picked, looks = state.picked, state.looks
    changed = {name: looks.get(name) for name in ("colour", "unsure")} if looks else None
    return (picked if isinstance(picked, int) else None), changed
