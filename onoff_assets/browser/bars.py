"""One token's distribution as bars: their lengths, labels and notes, as values for `components.bar_view` to draw."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from onoff_assets.browser.lens import Drawn
from onoff_assets.browser.numbers import short


@dataclass(frozen=True)
class Distribution:
    """The stored distribution of one token: the top-k by falling probability, and the token that was drawn."""

    position: int
    token_id: int
    logprob: float  # nats, of the drawn token
    rank: int  # of the drawn token, 1 is the most probable
    entropy: float  # nats, over the whole vocabulary
    tail_mass: float
    topk_ids: Sequence[int]
    topk_logprobs: Sequence[float]


_WITHOUT_LENS = 5  # the first fields of a bar


@dataclass(frozen=True)
class Bar:
    """A bar; `token_id` None: the mass of many tokens. `drawn` is the probability under the lens, None without one."""

    label: str
    token_id: int | None
    rank: int | None
    probability: float
    chosen: bool
    drawn: float | None = None
    drawn_low: float | None = None
    drawn_high: float | None = None
    cut: bool = False


def bars_of(
    distribution: Distribution, label: Callable[[int], str], shown: int, drawn: Drawn | None = None
) -> list[Bar]:
    """The `shown` most probable tokens, then the chosen one where it is not among them, then the mass of the rest.

    The chosen token outside the stored top-k is drawn from its own stored log-probability and rank, and its mass is
    taken out of the rest.
    """
    ids, probabilities = list(distribution.topk_ids), np.exp(np.asarray(distribution.topk_logprobs, dtype=np.float64))
    bars = [
        _bar(label(ids[i]), ids[i], i + 1, float(probabilities[i]), ids[i] == distribution.token_id, drawn, i)
        for i in range(min(shown, len(ids)))
    ]
    if not any(bar.chosen for bar in bars):
        bars.append(_chosen_bar(distribution, ids, probabilities, label, drawn))
    stored_rest = float(probabilities[shown:].sum())
    outside_chosen = bars[-1].probability if bars[-1].rank is not None and bars[-1].rank > shown else 0.0
    rest = max(0.0, stored_rest + distribution.tail_mass - outside_chosen)
    bars.append(_rest_bar(rest, distribution, len(ids), min(shown, len(ids)), outside_chosen > 0))
    return bars


def _bar(
    label: str, token_id: int, rank: int, probability: float, chosen: bool, drawn: Drawn | None, index: int
) -> Bar:
    if drawn is None:
        return Bar(label, token_id, rank, probability, chosen)
    value, low, high = (float(a[index]) for a in (drawn.probabilities, drawn.low, drawn.high))
    return Bar(label, token_id, rank, probability, chosen, value, low, high, cut=high == 0.0)


def _chosen_bar(
    distribution: Distribution,
    ids: list[int],
    probabilities: "np.ndarray[Any, Any]",
    label: Callable[[int], str],
    drawn: Drawn | None,
) -> Bar:
    name = label(distribution.token_id)
    if distribution.token_id in ids:
        index = ids.index(distribution.token_id)
        return _bar(name, distribution.token_id, index + 1, float(probabilities[index]), True, drawn, index)
    cut = drawn is not None and drawn.cutoff is not None
    probability = float(np.exp(distribution.logprob))
    return Bar(name, distribution.token_id, distribution.rank, probability, True, 0.0 if cut else None, cut=cut)


def _rest_bar(rest: float, distribution: Distribution, stored: int, shown: int, but_chosen: bool) -> Bar:
    but = " but the chosen" if but_chosen else ""
    name = f"all other tokens{but}" if shown < stored else f"outside the top {stored}{but}"
    return Bar(name, None, None, rest, False)


def as_payload(
    bars: Sequence[Bar], title: str, note: str, lens_label: str | None, temperature: float = 1.0
) -> dict[str, Any]:
    """What the component draws: a bar's fields in their order, with few digits, since every click sends them; without a
    lens, those that it has nothing to do with. `temperature`: that of the stored probabilities.
    """
    shown = None if lens_label is not None else _WITHOUT_LENS
    rows = [[_short(value) for value in astuple(bar)[:shown]] for bar in bars]
    return {"title": title, "note": note, "lens": lens_label, "rows": rows, "at": temperature}


def _short(value: Any) -> Any:
    """A field with as few bytes as it needs."""
    if isinstance(value, bool):
        return int(value)
    return short(value) if isinstance(value, float) else value
