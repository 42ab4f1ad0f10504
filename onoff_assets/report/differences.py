"""How much better one model of a report is than another, problem by problem, from the table `comparisons`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onoff_assets.report.gathering import Gathered, Reported
from onoff_assets.report.markup import Markup, element
from onoff_assets.report.tables import NONE, csv_text, percent
from onoff_core.store import Store
from onoff_core.store.provenance import compared_statistics

Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Difference:
    """The first model's accuracy minus the second's on the problems that both have verdicts on."""

    dataset: str
    first: str
    second: str
    num_problems: int
    difference: float
    other_problems: Ends  # 95 %, paired
    holm_p_value: float | None  # of no difference on other problems, corrected for num_compared pairs
    num_compared: int


def differences(gathered: Gathered) -> list[Difference]:
    """Of every two models of the report on one data set; without those that were compared on other verdicts."""
    found = []
    for dataset in gathered.datasets:
        of = {one.model: one for one in gathered.there if one.dataset == dataset}
        made = gathered.reader.store.current("comparisons", (dataset,))
        if made is None or len(of) < 2:
            continue
        compared = compared_statistics(made.manifest())
        for row in made.read().to_pylist():
            pair = (row["first_model"], row["second_model"])
            if row["statistic"] != "accuracy" or not of.keys() >= set(pair):
                continue
            if all(_is_of_these(gathered.reader.store, of[model], compared) for model in pair):
                found.append(_difference(dataset, row))
    return found


def _difference(dataset: str, row: dict[str, Any]) -> Difference:
    low, high = row["other_problems_low"], row["other_problems_high"]
    return Difference(
        dataset,
        row["first_model"],
        row["second_model"],
        row["num_problems"],
        row["difference"],
        None if low is None or high is None else (low, high),
        row["holm_p_value"],
        row["num_compared"],
    )


def _is_of_these(store: Store, one: Reported, compared: dict[str, str]) -> bool:
    """Whether the model was compared by the very verdicts that the report's numbers are of."""
    current = store.current("problem_statistics", (one.dataset, one.model))
    if current is None or compared.get(one.model) != current.fingerprint:
        return False
    return current.manifest().inputs.get("rewards") == one.manifests["statistics"].inputs.get("rewards")


def html_differences(found: Sequence[Difference]) -> Markup | None:
    """The table with a heading; None where there is no pair."""
    if not found:
        return None
    titles = ("data set", "model", "minus", "problems", "difference", "95 % interval", "p (Holm)")
    head = element("tr", *(_cell("th", number, title) for number, title in enumerate(titles)))
    rows = []
    for one in found:
        ends = NONE if one.other_problems is None else f"[{', '.join(map(_signed, one.other_problems))}]"
        p_value = NONE if one.holm_p_value is None else _p_value(one.holm_p_value)
        cells = (one.dataset, one.first, one.second, f"{one.num_problems:,}", _signed(one.difference), ends, p_value)
        rows.append(element("tr", *(_cell("td", number, cell) for number, cell in enumerate(cells))))
    table = element("table", element("thead", head), element("tbody", *rows))
    note = "Accuracies in points, problem by problem; p of no difference on other problems, corrected for all pairs. "
    return element(
        "section",
        element("h3", "Differences"),
        element("div", table, class_="scroll", tabindex="0", role="region", aria_label="differences"),
        element("p", note, element("a", "differences.csv", href="differences.csv"), ".", class_="soft"),
    )


def _cell(tag: str, number: int, text: str) -> Markup:
    return element(tag, text, class_="number" if number > 2 else None)


def _signed(value: float) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + percent(abs(value))


def _p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def csv_differences(found: Sequence[Difference]) -> str:
    header = ["dataset", "first_model", "second_model", "num_problems", "difference", "other_problems_low",
              "other_problems_high", "holm_p_value", "num_compared"]  # fmt: skip
    rows = [
        [one.dataset, one.first, one.second, one.num_problems, one.difference, *(one.other_problems or ("", "")),
         "" if one.holm_p_value is None else one.holm_p_value, one.num_compared]
        for one in found
    ]  # fmt: skip
    return csv_text(header, rows)
