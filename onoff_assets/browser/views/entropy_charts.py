"""How the entropy of tokens lies in correct and in wrong responses: shares of each, means, and over the position."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa

from onoff_assets.browser.aggregates import ENTROPY_EDGES, POSITION_EDGES, REWARDS, TokenSummary
from onoff_assets.browser.components.link_table import Cell, link_table
from onoff_assets.browser.numbers import fixed, signed, signed_interval
from onoff_assets.browser.views import charts, common


def show_means(summary: TokenSummary, title: str, key: str) -> None:
    """A row for each kind of response: the mean entropy of a token with its interval, and of how much it is; then the
    difference between correct and wrong ones, which two intervals beside each other do not tell."""
    rows = [
        [
            Cell(name),
            Cell(
                "–" if of.mean is None else fixed(of.mean, 3),
                "" if of.interval is None else f"[{of.interval[0]:.3f}, {of.interval[1]:.3f}]",
                number=True,
            ),
            *(Cell(f"{number:,}", number=True) for number in (of.num_responses, of.num_problems, of.num_tokens)),
        ]
        for name, of in zip(REWARDS, summary.by_reward, strict=True)
        if of.num_responses
    ]
    apart = summary.correct_minus_wrong
    if apart is not None:
        ends = "no interval" if apart.interval is None else signed_interval(apart.interval, 3)
        number = Cell(signed(apart.estimate, 3), ends, number=True)
        problems = Cell(f"{apart.num_problems:,}", number=True)
        rows.append([Cell("correct minus wrong"), number, Cell(""), problems, Cell("")])
    header = ["", "mean entropy, nats", "responses", "problems", "tokens"]
    link_table(title, header, rows, key=key)


def show_bands_note() -> None:
    """What the means, intervals and bands are of."""
    common.note(
        "Means are over all tokens of such responses. Intervals and bands are 95 % for other problems like these, the "
        "problem being the cluster; of one problem there are none. What a problem does to both kinds alike is "
        "not in the difference's interval."
    )


def _named(summary: TokenSummary) -> dict[int, str]:
    """What a legend says of each kind of responses that has tokens."""
    counts = {r: of.num_responses for r, of in enumerate(summary.by_reward) if of.num_tokens}
    return {r: f"{REWARDS[r]}, {n:,} response{'' if n == 1 else 's'}" for r, n in counts.items()}


def _scales(names: dict[int, str]) -> tuple[alt.Color, alt.Shape]:
    drawn = list(names.values())
    fills = alt.Scale(domain=drawn, range=[charts.COLOURS[r] for r in names])
    colour = alt.Color("responses:N", title=None, scale=fills, legend=charts.legend(drawn, symbolOpacity=1))
    return colour, alt.Shape("responses:N", title=None, scale=alt.Scale(domain=drawn))


def entropy_histograms(summaries: Sequence[TokenSummary], titles: Sequence[str]) -> list[alt.Chart]:
    """A chart for each, of the shares of each group's tokens, on the same axes, so that they can be laid side by side.

    A bin without tokens has no place on a log axis: the line breaks there.
    """
    counts = [of.histogram for of in summaries]
    shares = [count / np.maximum(1, count.sum(axis=1, keepdims=True)) for count in counts]
    filled = [np.flatnonzero(count.sum(axis=0)) for count in counts]
    last = max((int(bins[-1]) for bins in filled if len(bins)), default=0)
    least = min((float(share[share > 0].min()) for share in shares if (share > 0).any()), default=0.5)
    most = max((float(share.max()) for share in shares), default=1.0)
    x = alt.X("middle:Q", title="entropy (nats)", scale=alt.Scale(domain=[0, ENTROPY_EDGES[last + 1]], nice=False))
    ends = [least, max(most, 2 * least)]
    y = alt.Y("share:Q", title="share of its tokens (log)", scale=alt.Scale(type="log", domain=ends),
              axis=alt.Axis(format=".1~g", values=charts.powers_of_ten(*ends)))  # fmt: skip
    made = []
    for of, share, title in zip(summaries, shares, titles, strict=True):
        names = _named(of)
        colour, shape = _scales(names)
        table = pa.Table.from_pylist(_bins(of, share, last, names), _BINS)
        chart = alt.Chart(table, title=title, height=charts.height(list(names.values())))
        told = ["responses", "from", "to", alt.Tooltip("share", format=".3~g"), "tokens"]
        line = chart.mark_line(point=True, invalid="break-paths-show-path-domains")
        made.append(line.encode(x=x, y=y, color=colour, shape=shape, tooltip=told))
    return made


_BINS = pa.schema(
    [(name, pa.float64()) for name in ("from", "to", "middle", "share", "tokens")] + [("responses", pa.string())]
)


def _bins(summary: TokenSummary, shares: Any, last: int, names: dict[int, str]) -> list[dict[str, Any]]:
    low, high = ENTROPY_EDGES[:-1], ENTROPY_EDGES[1:]
    return [
        {
            "from": low[i],
            "to": high[i],
            "middle": (low[i] + high[i]) / 2,
            "share": float(shares[r, i]) or None,
            "tokens": float(summary.histogram[r, i]),
            "responses": name,
        }
        for r, name in names.items()
        for i in range(last + 1)
    ]


def entropy_by_position(summaries: Sequence[TokenSummary], titles: Sequence[str]) -> list[alt.LayerChart]:
    """A chart for each with bands, of correct and of wrong responses apart, on the same axes."""
    most = max((float(np.nanmax(of.position_entropy)) for of in summaries if of.num_tokens), default=1.0)
    last = max((int(np.flatnonzero(of.position_count.any(axis=0))[-1]) for of in summaries if of.num_tokens), default=0)
    end = max(1, int(POSITION_EDGES[last]))
    ticks = [0, *(digit * 10**power for power in range(7) for digit in (1, 2, 5) if digit * 10**power <= end)]
    x = alt.X(
        "position:Q", title="position, counted from 0 (log)", axis=alt.Axis(values=ticks, format="d"),
        scale=alt.Scale(type="symlog", constant=1, nice=False, domain=[0, end]),
    )  # fmt: skip
    y = alt.Y("entropy:Q", title="mean entropy (nats)", scale=alt.Scale(domain=[0, 1.15 * most], nice=False))
    ends = [alt.Tooltip(name, title=f"95 % interval, {name}", format=".3f") for name in ("low", "high")]
    told = ["responses", "position", alt.Tooltip("entropy", format=".3f"), *ends, "tokens"]
    made = []
    for of, title in zip(summaries, titles, strict=True):
        names = _named(of)
        colour, shape = _scales(names)
        table = pa.Table.from_pylist(_places(of, names), _PLACES)
        chart = alt.Chart(table, title=title, height=charts.height(list(names.values())))
        band = chart.mark_area(opacity=0.13, clip=True).encode(x=x, y="low:Q", y2="high:Q", color=colour)
        made.append(band + chart.mark_line(point=True).encode(x=x, y=y, color=colour, shape=shape, tooltip=told))
    return made


_PLACES = pa.schema(
    [(name, pa.float64()) for name in ("position", "entropy", "low", "high", "tokens")] + [("responses", pa.string())]
)


def _places(summary: TokenSummary, names: dict[int, str]) -> list[dict[str, Any]]:
    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        {
            "position": POSITION_EDGES[at],
            "entropy": summary.position_entropy[r, at],
            "low": known(summary.position_low[r, at]),
            "high": known(summary.position_high[r, at]),
            "tokens": summary.position_count[r, at],
            "responses": name,
        }
        for r, name in names.items()
        for at in np.flatnonzero(summary.position_count[r])
    ]
