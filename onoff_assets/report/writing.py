"""The folder of a report, and the file of one response."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onoff_assets.report import figures, pgfplots
from onoff_assets.report.calibration import MEASURE, Calibration, calibrations, csv_calibration, reliability
from onoff_assets.report.choosing import DEFAULT_RULE, NAMED_RULE, Chosen, choose_named, choose_two
from onoff_assets.report.differences import csv_differences, differences
from onoff_assets.report.figures import Box, Series
from onoff_assets.report.gathering import Gathered, Reported
from onoff_assets.report.index_page import Card, Content, Drawing, index_page
from onoff_assets.report.methods import methods, settings_json
from onoff_assets.report.response_page import response_page, tokens_of
from onoff_assets.report.tables import csv_at_k, csv_table, latex, latex_table
from onoff_core import atomic
from onoff_core.errors import ExchangeError
from onoff_core.machine import cannot_write
from onoff_core.statistics.at_k import Kind

_KINDS: dict[Kind, tuple[str, str]] = {
    "pass_at_k": ("pass@k", "at least one of k is right"),
    "maj_at_k": ("maj@k", "the majority of k is right"),
}
_OURS = ("responses/*.html", "figures/*.svg", "figures/*.tex", "*.csv", "*.tex")
UNFINISHED = "<!DOCTYPE html><p>This report was not finished. The same command writes it again.</p>\n"
MARK = "<!-- onoff report -->"  # at the end of a first page, by which a later report knows the folder


@dataclass(frozen=True)
class Written:
    """A file of a report."""

    path: Path
    num_bytes: int


def write_report(
    gathered: Gathered, output: Path, named: Sequence[tuple[str, int]] | None, title: str, alternatives: int
) -> list[Written]:
    """Write the folder. `named`: the responses to show; None: those of `choosing.DEFAULT_RULE`."""
    _check_folder(output)
    there = gathered.there
    chosen = choose_named(there, named) if named is not None else [two for one in there for two in choose_two(one)]
    cards, pages = _response_pages(gathered, chosen, alternatives)
    calibrated, compared = calibrations(gathered), differences(gathered)
    content = Content(
        title=title,
        gathered=gathered,
        drawings=_drawings(gathered, calibrated),
        cards=cards,
        rule=DEFAULT_RULE if named is None else NAMED_RULE,
        sentences=methods(there),
        compared=compared,
        calibrated=calibrated,
    )
    files = {
        "table.csv": csv_table(there),
        "at_k.csv": csv_at_k(there),
        "table.tex": latex_table(there),
        "methods.txt": "\n".join(content.sentences) + "\n",
        "methods.tex": "\n".join(map(latex, content.sentences)) + "\n",
        "settings.json": settings_json(there),
        **{f"figures/{one.file}.svg": one.figure.file(one.names) for one in content.drawings},
        **{f"figures/{one.file}.tex": one.tex for one in content.drawings if one.tex is not None},
        **({"differences.csv": csv_differences(compared)} if compared else {}),
        **csv_calibration(calibrated),
        **pages,
        # the last one, so that a folder with a first page has all that it names
        "index.html": index_page(content) + MARK,
    }
    if not (output / "index.html").exists():
        _write(output / "index.html", UNFINISHED + MARK)
    written = [_write(output / name, content) for name, content in files.items()]
    _remove_former(output, set(files))
    return written


def write_response(gathered: Gathered, output: Path, named: tuple[str, int], alternatives: int) -> list[Written]:
    """Write one response as one file."""
    chosen = choose_named(gathered.there, [named])
    if len(chosen) > 1:
        keys = ", ".join(one.of.key for one in chosen)
        raise ExchangeError(f"--output {output}: one response is wanted, and {keys} have one each; name one partition")
    return [_write(output, _page(gathered, chosen[0], alternatives, None))]


def _check_folder(output: Path) -> None:
    """Refuse a folder with files that no report wrote: some of them might be overwritten."""
    if not output.exists():
        return
    if not output.is_dir():
        raise ExchangeError(f"--output {output}: not a folder; name one that is new, or a .html file for one response")
    index = output / "index.html"
    if any(output.iterdir()) and not (index.is_file() and MARK in index.read_text("utf-8", errors="replace")[-200:]):
        raise ExchangeError(f"--output {output}: holds files that are no report's; name a folder that is new or empty")


def _remove_former(output: Path, names: set[str]) -> None:
    """Remove the pages and figures of the report that was here before, as far as this one has not written them anew."""
    for former in (f for name in _OURS for f in output.glob(name)):
        if former.relative_to(output).as_posix() not in names:
            former.unlink()


def _write(path: Path, content: str) -> Written:
    try:
        with atomic.replacing(path, ".report-") as scratch:
            scratch.write_text(content, "utf-8", errors="replace")
    except OSError as error:
        raise ExchangeError(cannot_write(path, error)) from error
    return Written(path, path.stat().st_size)


def _response_pages(
    gathered: Gathered, chosen: Sequence[Chosen], alternatives: int
) -> tuple[list[Card], dict[str, str]]:
    cards, pages = [], {}
    for number, one in enumerate(chosen):
        name = f"{number + 1}-{_plain(one.of.key)}-{_plain(one.problem_id)}-{one.sample_index}.html"
        pages[f"responses/{name}"] = _page(gathered, one, alternatives, "../index.html")
        sample = gathered.reader.sample(one.of.responses, one.problem_id, one.sample_index)
        cards.append(Card(one, sample, name))
    return cards, pages


def _page(gathered: Gathered, one: Chosen, alternatives: int, back: str | None) -> str:
    tokens = tokens_of(gathered.reader, one.of.responses, one.problem_id, one.sample_index)
    return response_page(tokens, alternatives=alternatives, back=back)


def _plain(text: str) -> str:
    """A part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")[:40] or "x"


def _drawings(gathered: Gathered, calibrated: Sequence[Calibration]) -> list[Drawing]:
    """Of each data set pass@k, maj@k and, where there is confidence, reliability; lengths, right and wrong apart."""
    drawings, models = [], gathered.models
    for dataset in gathered.datasets:
        of = [one for one in gathered.there if one.dataset == dataset]
        for kind, (name, meaning) in _KINDS.items():
            series = [Series(one.model, _points(one, kind), models.index(one.model)) for one in of]
            series = [one for one in series if len(one.points) > 1]
            if series:
                caption = f"{name} on {dataset}: {meaning}. Bands: 95 % intervals for other problems like these."
                figure = figures.curves(dataset, series, "k responses", name)
                names = {one.name: one.place for one in series}
                tex = pgfplots.curves(series, "k responses", name)
                drawings.append(Drawing(f"{kind}-{dataset}", figure, names, caption, tex))
    for dataset in gathered.datasets:
        drawn = reliability(dataset, calibrated, models)
        if drawn is not None:
            caption = f"Reliability of {MEASURE} on {dataset}: bins of equally many responses. Bands: 95 % intervals."
            names = {one.name: one.place for one in drawn[1]}
            drawings.append(Drawing(f"reliability-{dataset}", drawn[0], names, caption))
    rows = [box for one in gathered.there for box in _boxes(one, models.index(one.model))]
    if rows:
        caption = "Lengths of responses, right and wrong apart: 5 to 95 % (line), 25 to 75 % (box), median, mean (dot)."
        drawings.append(Drawing("lengths", figures.boxes("Lengths", rows, "tokens"), {}, caption, wide=True))
    return drawings


def _points(one: Reported, kind: Kind) -> list[tuple[float, float, tuple[float, float] | None]]:
    return [(k, found.estimate, found.other_problems) for k, found in sorted(one.estimates(kind).items())]


def _boxes(one: Reported, place: int) -> list[Box]:
    table = one.responses.table
    lengths, rewards = np.array(table["num_tokens"].to_pylist(), float), table["reward"].to_pylist()
    found = []
    for reward, name in ((1, "right"), (0, "wrong")):
        of = lengths[np.array([value == reward for value in rewards], bool)]
        if len(of):
            q05, q25, q50, q75, q95 = map(float, np.quantile(of, (0.05, 0.25, 0.5, 0.75, 0.95)))
            found.append(Box(f"{one.key}, {name}", (q05, q25, q50, q75, q95), float(of.mean()), place))
    return found
