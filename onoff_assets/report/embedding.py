"""The browser's own token view in a page without Streamlit: its scripts and styles, and one response's numbers for it.

A component of the browser is a script with one default export, which is called with bytes, an element and a way to say
what was picked. A page that does the same needs nothing else of Streamlit's.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from onoff_assets.browser import components
from onoff_assets.browser.bars import Distribution, as_payload, bars_of
from onoff_assets.browser.colour import ramp_css
from onoff_core.errors import ExchangeError

MOST_ALTERNATIVES = 20  # of a token, as the browser shows at first
MOST_BYTES = 4_900_000  # of a page, which has to stay below five million
_FEWER = (MOST_ALTERNATIVES, 10, 5, 3, 1, 0)


@cache
def component_script(name: str) -> str:
    """A component's script as an expression: its default export."""
    source = components.script(name)
    parts = re.split(r"^export default ", source, flags=re.MULTILINE)
    if len(parts) != 2 or re.search(r"^(?:import|export)\b", parts[0] + parts[1], re.MULTILINE):
        raise ExchangeError(f"{name}.js has to have one default export, and no import")
    before, after = parts
    return f"(() => {{\n{before}return {after}\n}})()"


def component_style(name: str) -> str:
    ramps = ramp_css() if name == "token_view" else ""
    return ramps + Path(components.__file__).with_name(f"{name}.css").read_text("utf-8")


def bundle() -> str:
    """The script of a page with a response: both components, their styles, and what connects them."""
    parts = [
        f"const {name} = {{ style: {json.dumps(component_style(file))}, show: {component_script(file)} }};"
        for name, file in (("tokenView", "token_view"), ("barView", "bar_view"))
    ]
    page = Path(__file__).with_name("response_page.js").read_text("utf-8")
    return "\n".join(['"use strict";', *parts, page])


class Alternatives:
    """What else the model could have said at each token, as the browser's bars, packed: what many tokens share, their
    labels above all, is written once.
    """

    def __init__(self, label: Callable[[int], str]) -> None:
        self._label = label
        self._numbers: dict[tuple[str, int | None], int] = {}
        self._tokens: list[list[Any]] = []

    def add(self, distribution: Distribution, title: str, note: str, shown: int) -> None:
        """The next token: its title and note, the row that was chosen, and of each row its label's number, its rank (0:
        the rest) and its probability in millionths.
        """
        payload = as_payload(bars_of(distribution, self._label, shown), title, note, None)
        rows: list[int] = []
        chosen = -1
        for place, (label, token_id, rank, probability, is_chosen, *_) in enumerate(payload["rows"]):
            number = self._numbers.setdefault((label, token_id), len(self._numbers))
            rows += [number, rank or 0, round(1_000_000 * probability)]
            chosen = place if is_chosen else chosen
        self._tokens.append([title, note, chosen, rows])

    def packed(self) -> dict[str, Any]:
        return {"labels": [list(one) for one in self._numbers], "tokens": self._tokens}


def fewer_until_it_fits(build: Callable[[int], str], first: int, what: str) -> tuple[str, int]:
    """The page with as many alternatives a token as it has room for, at most `first`, and how many these are."""
    for shown in dict.fromkeys([first, *(number for number in _FEWER if number < first)]):
        page = build(shown)
        if len(page.encode()) <= MOST_BYTES:
            return page, shown
    raise ExchangeError(f"{what} is too long for a page of its own: even without alternatives it is over 5 MB")


def title_and_note(at: int, distribution: Distribution, label: str, stored_temperature: float) -> tuple[str, str]:
    """What the browser writes over and under a token's bars."""
    at_temperature = "" if stored_temperature == 1.0 else f", stored at temperature {stored_temperature:g}"
    outside = f"mass outside the stored top {len(distribution.topk_ids)}: {distribution.tail_mass:.4f}"
    numbers = f"entropy {distribution.entropy:.3f} nats, surprisal {-distribution.logprob:.3f} nats"
    return f"token {at}: {label}", f"{numbers}, rank {distribution.rank}, {outside}{at_temperature}"


def dumps(content: Any) -> str:
    """Compact JSON; what is no character becomes a question mark."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()
