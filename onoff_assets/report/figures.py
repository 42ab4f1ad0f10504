"""Curves and boxes as SVG: numbers in, markup out. On a page colours come by class, so that its theme decides them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onoff_assets.report.markup import Markup, element, joined

# Distinguishable in all common forms of colour blindness (Okabe and Ito 2008, "Color Universal Design"), darkened to
# read on white and lightened to read on black; each series has a dash of its own besides.
LIGHT = ("#0060a8", "#b45309", "#00795a", "#a8327e", "#5b5bd6", "#6b6b00")
DARK = ("#5db3f5", "#f0a04b", "#37c79b", "#ee84c6", "#a5a5ff", "#c9c94d")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 4")
_WIDTH, _HEIGHT = 420, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 30, 42
_INK, _GRID = "#1a1c24", "#d5d8de"

Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Series:
    """A curve: its name, (x, y, 95 % interval) of each point by rising x, and its place among the report's series: its
    colour and its dash.
    """

    name: str
    points: Sequence[tuple[float, float, Ends]]
    place: int = 0


@dataclass(frozen=True)
class Box:
    """A distribution in five quantiles (5, 25, 50, 75, 95 %) and a mean, on a line of its own."""

    name: str
    quantiles: tuple[float, float, float, float, float]
    mean: float
    series: int


@dataclass(frozen=True)
class Figure:
    """A drawing of a size, in points."""

    title: str
    parts: Markup
    width: float = _WIDTH
    height: float = _HEIGHT

    def inline(self) -> Markup:
        """For a page whose style has the colours (`page_css`)."""
        box = f"0 0 {_n(self.width)} {_n(self.height)}"
        return element("svg", element("title", self.title), self.parts, viewBox=box, role="img")

    def file(self, names: Mapping[str, int]) -> str:
        """A file of its own: with its colours, on white, and below it the names of its series by their places."""
        legend = []
        for number, (name, place) in enumerate(names.items()):
            y = self.height + 14 + 16 * number
            line = element("line", x1=str(_LEFT), x2=str(_LEFT + 28), y1=_n(y - 4), y2=_n(y - 4), **_stroke(place))
            legend.append(joined(line, _text(_LEFT + 36, y, name, "start")))
        height = self.height + (16 * len(names) + 8 if names else 0)
        return (
            element(
                "svg",
                element("style", Markup(_style(LIGHT, _INK, _GRID))),
                element("rect", width="100%", height="100%", fill="#fff"),
                self.parts,
                *legend,
                xmlns="http://www.w3.org/2000/svg",
                viewBox=f"0 0 {_n(self.width)} {_n(height)}",
                width=_n(self.width),
                height=_n(height),
            )
            + "\n"
        )


def page_css() -> str:
    """The figures' style on a page of two themes."""
    colours = [f"light-dark({light},{dark})" for light, dark in zip(LIGHT, DARK, strict=True)]
    return _style(colours, "var(--st-text-color)", "color-mix(in srgb, var(--st-text-color) 18%, transparent)")


def _style(colours: Sequence[str], ink: str, grid: str) -> str:
    by_series = "".join(
        f".line.s{i}{{stroke:{colour};fill:none}}.band.s{i},.box.s{i},.dot.s{i}{{fill:{colour}}}\n"
        for i, colour in enumerate(colours)
    )
    return (
        f"svg text{{font:11px Helvetica,Arial,sans-serif;fill:{ink}}}\nsvg .title{{font-weight:700}}\n"
        f".grid{{stroke:{grid}}}\n.ink{{fill:{ink}}}\n.line{{stroke-width:2;fill:none}}\n{by_series}"
        ".band{fill-opacity:.15}\n.box{fill-opacity:.3}\n"
    )


def curves(title: str, series: Sequence[Series], x_label: str, y_label: str) -> Figure:
    """Curves with bands over a logarithmic x; y from 0 to 1, or to where the curves lie."""
    xs = sorted({x for one in series for x, _, _ in one.points})
    low, high = _range([value for one in series for _, y, ends in one.points for value in (y, *(ends or ()))])
    scale = _log_scale(xs)

    def at(x: float, y: float) -> tuple[float, float]:
        return scale(x), _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    bands = [_band(one, at) for one in series]
    lines = [_line(one, at) for one in series]
    ticks = _ticks(low, high)
    frame = [
        *(_horizontal(at(xs[0], tick)[1], f"{100 * tick:g} %") for tick in ticks),
        *(_text(scale(x), _HEIGHT - _BOTTOM + 16, f"{x:g}", "middle") for x in _fewer(xs)),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_label, "middle"),
        _text(_LEFT - 44, 14, f"{title}: {y_label}", "start", "title"),
    ]
    return Figure(title, joined(*frame, *bands, *lines))


def reliability(title: str, series: Sequence[Series], x_label: str, y_label: str) -> Figure:
    """Curves on a square from 0 to 1 with its diagonal, where what is expected is what comes."""

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + x * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - y * (_HEIGHT - _TOP - _BOTTOM),
        )

    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    (x1, y1), (x2, y2) = at(0, 0), at(1, 1)
    frame = [
        *(_horizontal(at(0, tick)[1], f"{100 * tick:g} %") for tick in ticks),
        *(_text(at(tick, 0)[0], _HEIGHT - _BOTTOM + 16, f"{tick:g}", "middle") for tick in ticks),
        element("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), class_="grid", stroke_dasharray="3 3"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_label, "middle"),
        _text(_LEFT - 44, 14, f"{title}: {y_label}", "start", "title"),
    ]
    bands = [_band(one, at) for one in series]
    lines = [_line(one, at) for one in series]
    return Figure(title, joined(*frame, *bands, *lines))


def boxes(title: str, rows: Sequence[Box], x_label: str) -> Figure:
    """A box a row: whiskers from 5 to 95 %, the box from 25 to 75 %, a line at the median, a dot at the mean."""
    height, left = _TOP + 26 * len(rows) + _BOTTOM, 16 + 6.2 * max(min(len(row.name), 44) for row in rows)
    width = 2 * _WIDTH
    high = max(max(row.quantiles[-1], row.mean) for row in rows) or 1.0
    ticks = _ticks(0, high)
    top = max(high, ticks[-1])

    def x_of(value: float) -> float:
        return left + value / top * (width - left - _RIGHT)

    bottom = height - _BOTTOM
    parts = [_text(8, 14, title, "start", "title")]
    for tick in ticks:
        parts.append(
            element("line", x1=_n(x_of(tick)), x2=_n(x_of(tick)), y1=str(_TOP - 4), y2=_n(bottom), class_="grid")
        )
        parts.append(_text(x_of(tick), bottom + 16, f"{tick:,.0f}", "middle"))
    parts.append(_text((left + width - _RIGHT) / 2, height - 6, x_label, "middle"))
    for number, row in enumerate(rows):
        y = _TOP + 26 * number + 9
        q05, q25, q50, q75, q95 = map(x_of, row.quantiles)
        kind = f"s{row.series % len(LIGHT)}"
        parts += [
            _text(left - 8, y + 4, _short(row.name, 44), "end"),
            element("line", x1=_n(q05), x2=_n(q95), y1=_n(y), y2=_n(y), class_=f"line {kind}"),
            element("rect", x=_n(q25), y=_n(y - 7), width=_n(max(1.0, q75 - q25)), height="14", class_=f"box {kind}"),
            element("line", x1=_n(q50), x2=_n(q50), y1=_n(y - 7), y2=_n(y + 7), class_=f"line {kind}"),
            element("circle", cx=_n(x_of(row.mean)), cy=_n(y), r="2.6", class_="ink"),
        ]
    return Figure(title, joined(*parts), width, height)


def legend(names: Mapping[str, int]) -> Markup:
    """The names of the series with their places, each with its line."""
    items = []
    for name, number in names.items():
        line = element("line", x1="0", x2="28", y1="6", y2="6", **_stroke(number))
        swatch = element("svg", line, width="28", height="12", viewBox="0 0 28 12", aria_hidden="true")
        items.append(element("li", joined(swatch, " ", name)))
    return element("ul", *items, class_="legend")


def _band(one: Series, at: Callable[[float, float], tuple[float, float]]) -> Markup:
    there = [(x, ends) for x, _, ends in one.points if ends is not None]
    upper = [at(x, ends[1]) for x, ends in there]
    lower = [at(x, ends[0]) for x, ends in reversed(there)]
    return element("polygon", points=_points([*upper, *lower]), class_=f"band s{one.place % len(LIGHT)}")


def _line(one: Series, at: Callable[[float, float], tuple[float, float]]) -> Markup:
    places = [at(x, y) for x, y, _ in one.points]
    dots = [
        element("circle", element("title", f"{one.name}: {x:g}, {100 * y:.1f} %"), cx=_n(cx), cy=_n(cy), r="3",
                class_=f"dot s{one.place % len(LIGHT)}")
        for (cx, cy), (x, y, _) in zip(places, one.points, strict=True)
    ]  # fmt: skip
    return joined(element("polyline", points=_points(places), **_stroke(one.place)), *dots)


def _stroke(number: int) -> dict[str, str | bool | None]:
    dash = _DASHES[number % len(_DASHES)]
    return {"class_": f"line s{number % len(LIGHT)}", "stroke_dasharray": dash or None}


def _horizontal(y: float, label: str) -> Markup:
    line = element("line", x1=str(_LEFT), x2=str(_WIDTH - _RIGHT), y1=_n(y), y2=_n(y), class_="grid")
    return joined(line, _text(_LEFT - 8, y + 4, label, "end"))


def _text(x: float, y: float, text: str, anchor: str, kind: str | None = None) -> Markup:
    return element("text", text, x=_n(x), y=_n(y), text_anchor=anchor, class_=kind)


def _log_scale(xs: Sequence[float]) -> Callable[[float], float]:
    first, last = math.log2(xs[0]), math.log2(xs[-1])
    span = (last - first) or 1.0
    inner = _WIDTH - _LEFT - _RIGHT - 20
    return lambda x: _LEFT + 10 + ((math.log2(x) - first) / span if last > first else 0.5) * inner


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Whole tenths around the values, within 0 and 1."""
    low, high = max(0.0, math.floor(10 * min(values)) / 10), min(1.0, math.ceil(10 * max(values)) / 10)
    return (low, high) if high > low else (max(0.0, low - 0.1), min(1.0, high + 0.1))


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers from low to high."""
    raw = (high - low) / 5
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(step * i, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _fewer(xs: Sequence[float]) -> list[float]:
    """At most ten of them, the powers of two first."""
    powers = [x for x in xs if math.log2(x).is_integer()]
    return list(xs) if len(xs) <= 10 else powers[:: math.ceil(len(powers) / 10)]


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in places)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
