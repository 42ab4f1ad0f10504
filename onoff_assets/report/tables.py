"""The numbers of a report's partitions as rows: for the page, as CSV and as LaTeX with booktabs."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from onoff_assets.report.gathering import Reported
from onoff_assets.report.markup import Markup, element, joined
from onoff_core.statistics.at_k import Kind

Ends = tuple[float, float] | None
NONE = "–"


@dataclass(frozen=True)
class Column:
    """One column of the table a reader sees. `value` gives the text, and a smaller second line or nothing."""

    title: str
    value: Callable[[Reported], tuple[str, str]]
    number: bool = True
    short: str | None = None  # the title where there is little room; None: the same


def columns_of(there: Sequence[Reported]) -> list[Column]:
    """The columns of these partitions: pass@k and maj@k at the largest k, and at a middle one, that all have."""
    common = set.intersection(*(set(one.estimates("pass_at_k")) for one in there)) - {1}
    ks = _shown_ks(sorted(common))
    return [
        Column("data set", lambda one: (one.dataset, ""), number=False),
        Column("model", lambda one: (one.model, ""), number=False),
        Column("problems × responses", lambda one: (_size(one), ""), short="size"),
        Column("accuracy", lambda one: _estimate(one.row["accuracy"], one.interval("interval_low", "interval_high"))),
        *(_at_k("pass_at_k", "pass", k) for k in ks),
        *(_at_k("maj_at_k", "maj", k) for k in ks[-1:]),
        Column("mean tokens", lambda one: (_number(one.row["mean_num_tokens"]), ""), short="tokens"),
        *([Column("of thinking", _thinking, short="think.")] if any(map(_thinks, there)) else []),
        Column("truncated", lambda one: (percent(one.row["truncated_share"]), ""), short="trunc."),
        Column("no answer", lambda one: (percent(one.row["unanswered_share"]), "")),
    ]


def _thinks(one: Reported) -> bool:
    return one.row["mean_thinking_tokens"] is not None


def _thinking(one: Reported) -> tuple[str, str]:
    """Tokens of the thinking; none where the settings tell no thinking apart."""
    return _number(one.row["mean_thinking_tokens"]), ""


def _size(one: Reported) -> str:
    """`500 × 16`, or the number of responses where problems have different numbers of them."""
    each = one.samples_per_problem
    return f"{one.row['num_problems']:,} × {each:,}" if each else f"{one.row['num_samples']:,} in all"


def _shown_ks(ks: Sequence[int]) -> list[int]:
    """The largest, and the middle one where there are three or more."""
    return sorted({ks[len(ks) // 2], ks[-1]} if len(ks) > 2 else set(ks[-1:]))


def _at_k(kind: Kind, name: str, k: int) -> Column:
    def value(one: Reported) -> tuple[str, str]:
        found = one.estimates(kind).get(k)
        return (NONE, "") if found is None else _estimate(found.estimate, found.other_problems)

    return Column(f"{name}@{k}", value)


def _estimate(value: float | None, ends: Ends) -> tuple[str, str]:
    return percent(value), "" if ends is None else f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def html_table(there: Sequence[Reported], notes: Sequence[Sequence[int]]) -> Markup:
    """The table; `notes`: the numbers of the footnotes of each partition."""
    columns = columns_of(there)
    head = element("tr", *(_cell("th", column, column.title, scope="col") for column in columns))
    rows = []
    for one, numbers in zip(there, notes, strict=True):
        cells = []
        for column in columns:
            text, note = column.value(one)
            marks = element("sup", ", ".join(map(str, numbers))) if column.title == "model" and numbers else None
            small = element("span", note, class_="interval") if note else None
            cells.append(_cell("td", column, joined(text, marks, small)))
        rows.append(element("tr", *cells))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label="results")


def _cell(name: str, column: Column, content: str | Markup, **attributes: str) -> Markup:
    return element(name, content, class_="number" if column.number else None, **attributes)


def latex_table(there: Sequence[Reported]) -> str:
    """A `table` for a paper that loads booktabs: of each partition a line of numbers and a line of their intervals; its
    notes are comments.
    """
    columns = columns_of(there)
    kinds = "".join("r" if column.number else "l" for column in columns)
    lines = [
        "% needs \\usepackage{booktabs}; written by onoff report",
        "\\begin{table}[t]",
        "\\centering\\footnotesize\\setlength{\\tabcolsep}{4pt}",
        f"\\begin{{tabular}}{{{kinds}}}",
        "\\toprule",
        " & ".join(_latex_title(column.short or column.title) for column in columns) + " \\\\",
        "\\midrule",
    ]
    previous = there[0].dataset
    for one in there:
        if one.dataset != previous:
            lines.append("\\addlinespace")
            previous = one.dataset
        cells = [column.value(one) for column in columns]
        comment = "".join(f"  % {_one_line(note)}" for note in one.notes)
        lines.append(" & ".join(_latex_cell(text) for text, _ in cells) + " \\\\" + comment)
        if any(note for _, note in cells):
            lines.append(" & ".join(_latex_note(note) for _, note in cells) + " \\\\[2pt]")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", _caption(there), "\\end{table}", ""])


def _caption(there: Sequence[Reported]) -> str:
    number = {one.samples_per_problem for one in there}
    of_each = f"{number.pop()} responses per problem. " if len(number) == 1 and None not in number else ""
    text = (
        "Accuracy, pass@$k$ and maj@$k$ in \\% with 95\\,\\% intervals for other problems like these, clustered by "
        f"problem. {of_each}Size: problems times responses to each. Tokens: their mean number. Trunc.: responses ended "
        "by the limit of tokens, in \\%; no answer: responses without one, in \\%."
    )
    return f"\\caption{{{text}}}\n\\label{{tab:onoff}}"


def _latex_title(title: str) -> str:
    return latex(title) if "@" not in title else latex(title).replace("@", "@$") + "$"


def _latex_cell(text: str) -> str:
    return "--" if text == NONE else latex(text)


def _latex_note(note: str) -> str:
    return f"{{\\scriptsize {latex(note)}}}" if note else ""


_LATEX = {
    "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "&": "\\&", "#": "\\#", "%": "\\%", "_": "\\_",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
    "|": "\\textbar{}", "–": "--", "×": "$\\times$", "\u00a0": "~",
}  # fmt: skip


def latex(text: str) -> str:
    """Text as LaTeX that sets exactly it; a control character is a space."""
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)


# The columns of `table.csv` that are taken from a partition's statistics as they stand.
_OF_STATISTICS = (
    "num_problems", "num_samples", "accuracy", "standard_error", "interval_low", "interval_high", "same_problems_low",
    "same_problems_high", "accuracy_lowest", "accuracy_highest", "mean_num_tokens", "median_num_tokens",
    "num_tokens_q05", "num_tokens_q25", "num_tokens_q75", "num_tokens_q95", "truncated_share", "unanswered_share",
    "timeout_share", "num_gold_unparsed", "thinking_share", "mean_thinking_tokens", "truncated_in_thinking_share",
    "cut_share",
)  # fmt: skip


def csv_table(there: Sequence[Reported]) -> str:
    """A row for each partition, with every digit; shares are from 0 to 1."""
    rows = [
        [one.dataset, one.model, *(one.row.get(name) for name in _OF_STATISTICS), "; ".join(one.notes)] for one in there
    ]
    return csv_text(["dataset", "model", *_OF_STATISTICS, "notes"], rows)


def csv_at_k(there: Sequence[Reported]) -> str:
    """A row for each partition, statistic and k, with both 95 % intervals."""
    rows = [
        [one.dataset, one.model, kind, k, found.estimate, *(found.other_problems or ("", "")),
         *(found.same_problems or ("", ""))]
        for one in there
        for kind in ("pass_at_k", "maj_at_k")
        for k, found in one.estimates(kind).items()
    ]  # fmt: skip
    names = ["other_problems_low", "other_problems_high", "same_problems_low", "same_problems_high"]
    return csv_text(["dataset", "model", "statistic", "k", "estimate", *names], rows)


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV in which no cell of text begins as a formula of a spreadsheet does."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[f"'{cell}" if _is_formula(cell) else cell for cell in row] for row in rows])
    return out.getvalue()


def _is_formula(cell: Any) -> bool:
    return isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r")
