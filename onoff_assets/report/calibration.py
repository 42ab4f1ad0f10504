"""Whether confidence tells right from wrong, from the tables of the asset `confidence` where a partition has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onoff_assets.report import figures
from onoff_assets.report.figures import Figure, Series
from onoff_assets.report.gathering import Gathered, Reported
from onoff_assets.report.markup import Markup, element, joined
from onoff_assets.report.tables import NONE, csv_text
from onoff_core.tables import TABLES

MEASURE = "mean_log_prob"  # whose reliability is drawn; chosen beforehand, not for its result
_OPEN = 12  # rows of the table that are shown at once
_TABLES = ("confidence_statistics", "confidence_bins", "confidence_voting")


@dataclass(frozen=True)
class Calibration:
    """A partition's rows of the three tables; empty where one has none."""

    of: Reported
    statistics: tuple[dict[str, Any], ...]  # a row a measure
    bins: tuple[dict[str, Any], ...]  # a row a measure and bin
    voting: tuple[dict[str, Any], ...]  # a row a rule, measure and k


def calibrations(gathered: Gathered) -> list[Calibration]:
    """Of each partition that has them, made from the very samples and rewards of the report."""
    found = []
    for one in gathered.there:
        rows = [_rows(gathered, one, name) for name in _TABLES]
        if rows[0]:
            found.append(Calibration(one, *map(tuple, rows)))
    return found


def _rows(gathered: Gathered, one: Reported, name: str) -> list[dict[str, Any]]:
    made = gathered.reader.store.current(name, (one.dataset, one.model)) if name in TABLES else None
    if made is None:
        return []
    inputs = made.manifest().inputs
    if any(inputs.get(asset) != one.manifests[asset].fingerprint for asset in ("samples", "rewards")):
        return []
    rows: list[dict[str, Any]] = made.read().to_pylist()
    return rows


def reliability(
    dataset: str, found: Sequence[Calibration], models: Sequence[str]
) -> tuple[Figure, list[Series]] | None:
    """Of `MEASURE`: how often responses are right that are held for right with some probability."""
    series = []
    for one in found:
        bins = sorted((row for row in one.bins if row["measure"] == MEASURE), key=lambda row: row["bin"])
        points = [(row["mean_probability"], row["accuracy"], _ends(row, "accuracy")) for row in bins]
        if len(points) > 1 and one.of.dataset == dataset:
            series.append(Series(one.of.model, points, models.index(one.of.model)))
    if not series:
        return None
    figure = figures.reliability(dataset, series, "probability of being right, by confidence", "share that is right")
    return figure, series


def html_calibration(found: Sequence[Calibration]) -> Markup | None:
    """A table of every measure; None where no partition has one."""
    rows = [(one.of, row) for one in found for row in one.statistics if row["auroc"] is not None]
    if not rows:
        return None
    titles = ("data set", "model", "measure", "AUROC", "within a problem", "calibration error", "by chance")
    head = element("tr", *(_cell("th", number, title) for number, title in enumerate(titles)))
    body = []
    for of, row in rows:
        numbers = [_number(row, "auroc"), _number(row, "within_auroc"), _number(row, "calibration_error")]
        chance = row["calibration_error_by_chance"]
        cells = [of.dataset, of.model, row["measure"], *numbers, NONE if chance is None else f"{chance:.3f}"]
        body.append(element("tr", *(_cell("td", number, cell) for number, cell in enumerate(cells))))
    table = element("table", element("thead", head), element("tbody", *body))
    said = (
        "AUROC: the chance that a right response looks surer than a wrong one; 0.5 is no better than a coin. Within a "
        "problem: of two responses to the same one. Calibration error: mean distance of the probability of being "
        "right, fitted on other problems, from the share that is. "
    )
    files = joined(
        element("a", "calibration.csv", href="calibration.csv"), ", ", element("a", "voting.csv", href="voting.csv")
    )
    return element(
        "section",
        element("h2", "Confidence"),
        element("p", said, files, ".", class_="soft"),
        element(
            "details",
            element("summary", f"{len(rows)} rows: AUROC and calibration of each measure"),
            element("div", table, class_="scroll", tabindex="0", role="region", aria_label="confidence"),
            open=len(rows) <= _OPEN,
        ),
    )


def csv_calibration(found: Sequence[Calibration]) -> dict[str, str]:
    """`calibration.csv` and `voting.csv`, with the tables' own columns; nothing where there are none."""
    tables = {"calibration.csv": ("confidence_statistics", [one.statistics for one in found]),
              "voting.csv": ("confidence_voting", [one.voting for one in found])}  # fmt: skip
    written = {}
    for name, (table, rows_of) in tables.items():
        if not found:
            continue
        columns = TABLES[table].schema.names
        rows = [
            [one.of.dataset, one.of.model, *("" if row[column] is None else row[column] for column in columns)]
            for one, rows in zip(found, rows_of, strict=True)
            for row in rows
        ]
        written[name] = csv_text(["dataset", "model", *columns], rows)
    return written


def _number(row: dict[str, Any], name: str) -> Markup | str:
    if row[name] is None:
        return NONE
    ends = _ends(row, name)
    shown = None if ends is None else element("span", f"[{ends[0]:.3f}, {ends[1]:.3f}]", class_="interval")
    return joined(f"{row[name]:.3f}", shown)


def _ends(row: dict[str, Any], name: str) -> tuple[float, float] | None:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return None if low is None or high is None else (low, high)


def _cell(tag: str, number: int, content: str | Markup) -> Markup:
    return element(tag, content, class_="number" if number > 2 else None)
