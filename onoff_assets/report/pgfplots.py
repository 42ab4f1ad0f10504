"""Curves with bands as pgfplots source, so that a paper sets them in its own fonts: numbers in, LaTeX out."""

from collections.abc import Sequence

from onoff_assets.report.figures import LIGHT, Series
from onoff_assets.report.tables import latex

_DASHES = ("solid", "dashed", "dotted", "dashdotted", "densely dashed", "densely dotted")


def curves(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """A `tikzpicture` of the same curves as `figures.curves`; y in %, x on a logarithmic axis to base 2."""
    xs = sorted({x for one in series for x, _, _ in one.points})
    ticks = ",".join(f"{x:g}" for x in xs)
    colours = [f"\\definecolor{{onoff{one.place}}}{{HTML}}{{{_colour(one)[1:].upper()}}}" for one in series]
    return "\n".join(
        [
            "% needs \\usepackage{pgfplots} and \\pgfplotsset{compat=1.16}; written by onoff report",
            *colours,
            "\\begin{tikzpicture}",
            "\\begin{axis}[width=\\linewidth, height=.62\\linewidth, xmode=log, log basis x=2, enlarge x limits=.05,",
            f"  xtick={{{ticks}}}, xticklabels={{{ticks}}}, ymajorgrids, grid style={{gray!25}},",
            f"  xlabel={{{latex(x_label)}}}, ylabel={{{latex(y_label)} (\\%)}}, legend columns=-1,",
            "  legend style={draw=none, font=\\scriptsize, at={(.5,-.22)}, anchor=north, column sep=.4em}]",
            *(line for one in series for line in _series(one)),
            "\\end{axis}",
            "\\end{tikzpicture}",
            "",
        ]
    )


def _series(one: Series) -> list[str]:
    colour, dash = f"onoff{one.place}", _DASHES[one.place % len(_DASHES)]
    there = [(x, ends) for x, _, ends in one.points if ends is not None]
    outline = [*((x, ends[1]) for x, ends in there), *((x, ends[0]) for x, ends in reversed(there))]
    style = f"draw=none, fill={colour}, fill opacity=.15, forget plot"
    band = f"\\addplot[{style}] coordinates {{{_places(outline)}}} -- cycle;"
    line = (
        f"\\addplot[{colour}, thick, {dash}, mark=*, mark size=1.2pt, mark options={{solid}}] "
        f"coordinates {{{_places([(x, y) for x, y, _ in one.points])}}};"
    )
    return [*([band] if outline else []), line, f"\\addlegendentry{{{latex(one.name)}}}"]


def _places(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"({x:g},{100 * y:.2f})" for x, y in points)


def _colour(one: Series) -> str:
    return LIGHT[one.place % len(LIGHT)]
