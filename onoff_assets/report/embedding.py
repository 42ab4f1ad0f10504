"""The browser's own token view in a page without Streamlit: its scripts and styles, and one response's numbers for it.

A component of the browser is a script with one default export, which is called with bytes, an element and a way to say
what was picked. A page that does the same needs nothing else of Streamlit's.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from onoff_assets.browser import components
from onoff_assets.browser.bars import Distribution, bars_of
from onoff_assets.browser.colour import ramp_css
from onoff_assets.browser.numbers import short
from onoff_core.errors import ExchangeError

MOST_ALTERNATIVES = 20  # of a token, as the browser shows at first
MOST_BYTES = 4_900_000  # of a page, which has to stay below five million
_LEAST_BYTES = 6  # of an alternative in a page
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
    """Without the button that opens the browser's list of keys, which a page of its own has not."""
    before = f"{ramp_css()}\n.tools > .keys {{ display: none; }}\n" if name == "token_view" else ""
    return before + Path(components.__file__).with_name(f"{name}.css").read_text("utf-8")


def bundle() -> str:
    """The script of a page with a response: both components, their styles, and what connects them."""
    parts = [
        f"const {name} = {{ style: {json.dumps(component_style(file))}, show: {component_script(file)} }};"
        for name, file in (("tokenView", "token_view"), ("barView", "bar_view"))
    ]
    page = Path(__file__).with_name("response_page.js").read_text("utf-8")
    return "\n".join(['"use strict";', components.script("probability"), *parts, page])


class Alternatives:
    """What else the model could have said at each token, as the bars of the browser. Labels, which many tokens share,
    are written once.
    """

    def __init__(self, label: Callable[[int], str], shown: int, stored_temperature: float) -> None:
        self._label, self._shown, self._temperature = label, shown, stored_temperature
        self._numbers: dict[tuple[str, int | None], int] = {}
        self._tokens: list[list[Any]] = []

    def add(self, distribution: Distribution) -> None:
        """The next token: which row was chosen, how many alternatives are stored, the mass outside of them,
        and of each row its label's number, its rank (0: the rest) and its probability in millionths, or below a
        thousandth as it is.
        """
        rows: list[float] = []
        chosen = -1
        for place, bar in enumerate(bars_of(distribution, self._label, self._shown)):
            number = self._numbers.setdefault((bar.label, bar.token_id), len(self._numbers))
            rows += [number, bar.rank or 0, _packed(bar.probability)]
            chosen = place if bar.chosen else chosen
        self._tokens.append([chosen, len(distribution.topk_ids), short(distribution.tail_mass), rows])

    def packed(self) -> dict[str, Any]:
        return {"labels": list(self._numbers), "tokens": self._tokens, "temperature": self._temperature}


def _packed(probability: float) -> float:
    """A whole number of millionths, or a number below a thousandth, which is none."""
    return round(1_000_000 * probability) if probability == 0 or probability >= 1e-3 else short(probability)


def tries(first: int, num_tokens: int = 0) -> list[int]:
    """The numbers of alternatives a token that are tried until a page is small enough; of a response of so many tokens
    only those that may be needed.
    """
    if num_tokens * (_LEAST_BYTES * 4 * first + 200) < MOST_BYTES / 2:
        return [first]
    numbers = [first, *(number for number in _FEWER if number < first)]
    return [number for number in numbers if num_tokens * _LEAST_BYTES * number <= MOST_BYTES]


def first_that_fits(build: Callable[[int], str], numbers: Sequence[int], what: str) -> tuple[str, int]:
    """The page with the first of these numbers of alternatives a token that it has room for, and the number."""
    for shown in numbers:
        page = build(shown)
        if len(page.encode()) <= MOST_BYTES:
            return page, shown
    raise ExchangeError(f"{what} is too long for a page of its own: even without alternatives it is over 5 MB")


def dumps(content: Any) -> str:
    """Compact JSON; what is no character becomes a question mark."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()
