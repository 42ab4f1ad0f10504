"""The first page of a report: the table, the curves, lengths, the responses that are shown, and the methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onoff_assets.browser.reading import Sample
from onoff_assets.report import figures
from onoff_assets.report.calibration import Calibration, html_calibration
from onoff_assets.report.choosing import Chosen
from onoff_assets.report.differences import Difference, html_differences
from onoff_assets.report.figures import Figure
from onoff_assets.report.gathering import Gathered, Reported
from onoff_assets.report.markup import Markup, element, joined, page
from onoff_assets.report.response_page import verdict
from onoff_assets.report.tables import html_table, percent

TEXT_FILES = (
    ("table.tex", "LaTeX, booktabs"),
    ("table.csv", "CSV, every digit"),
    ("at_k.csv", "pass@k and maj@k"),
    ("methods.txt", "methods"),
    ("methods.tex", "methods, LaTeX"),
    ("settings.json", "every setting, fingerprint and version"),
)


@dataclass(frozen=True)
class Drawing:
    """A figure of a report: its files' name, what it shows, its series' names with their places, and the same for LaTeX
    where there is that.
    """

    file: str
    figure: Figure
    names: Mapping[str, int]
    caption: str
    tex: str | None = None
    wide: bool = False


@dataclass(frozen=True)
class Card:
    """A response that has a page."""

    chosen: Chosen
    sample: Sample
    file: str


@dataclass(frozen=True)
class Content:
    """All that the first page says."""

    title: str
    gathered: Gathered
    drawings: Sequence[Drawing]
    cards: Sequence[Card]
    rule: str  # by which the responses were chosen
    sentences: Sequence[str]  # of the methods
    compared: Sequence[Difference]
    calibrated: Sequence[Calibration]


def index_page(content: Content) -> str:
    here, there = Path(__file__), content.gathered.there
    notes, numbers = _footnotes(there)
    button = element("button", "theme: system", id="theme")
    body = joined(
        element("header", element("h1", content.title), button),
        _missing(content.gathered),
        element("h2", "Accuracy"),
        html_table(there, numbers),
        element(
            "p",
            "In %. In brackets 95 % intervals for other problems like these, clustered by problem. Truncated: ended by "
            "the limit of tokens. The same as files: ",
            _files(TEXT_FILES[:3]),
            class_="soft",
        ),
        notes,
        html_differences(content.compared),
        _figures(content.drawings),
        html_calibration(content.calibrated),
        _responses(content.cards, content.rule),
        element("h2", "Methods"),
        element("blockquote", element("p", " ".join(content.sentences), class_="methods")),
        element("p", "As files: ", _files(TEXT_FILES[3:]), class_="soft"),
        _bounds(there),
    )
    style = here.with_name("page.css").read_text("utf-8") + figures.page_css()
    return page(content.title, element("main", body), style, here.with_name("theme.js").read_text("utf-8"))


def _files(files: Sequence[tuple[str, str]]) -> Markup:
    return Markup(", ".join(joined(element("a", name, href=name), f" ({what})") for name, what in files) + ".")


def _footnotes(there: Sequence[Reported]) -> tuple[Markup | None, list[list[int]]]:
    """The notes of all partitions as a numbered list, and of each partition the numbers of its own."""
    texts = list(dict.fromkeys(note for one in there for note in one.notes))
    numbers = [[1 + texts.index(note) for note in one.notes] for one in there]
    if not texts:
        return None, numbers
    items = element("ol", *(element("li", text) for text in texts), class_="notes")
    return element(
        "div", element("p", element("strong", "Not as the settings say now:")), items, class_="warning"
    ), numbers


def _missing(gathered: Gathered) -> Markup | None:
    if not gathered.missing:
        return None
    text = f"{', '.join(gathered.missing)}: of these there are no statistics yet."
    return element("div", element("p", element("strong", "Not in this report: "), text), class_="warning")


def _figures(drawings: Sequence[Drawing]) -> Markup | None:
    if not drawings:
        return None
    made = [
        element(
            "figure",
            one.figure.inline(),
            element("figcaption", one.caption, " ", _sources(one)),
            class_="wide" if one.wide else None,
        )
        for one in drawings
    ]
    names = {name: place for one in drawings for name, place in one.names.items()}
    return joined(
        element("h2", "Figures"), figures.legend(names) if names else None, element("div", *made, class_="figures")
    )


def _sources(one: Drawing) -> Markup:
    svg = element("a", "SVG", href=f"figures/{one.file}.svg")
    return svg if one.tex is None else joined(svg, ", ", element("a", "pgfplots", href=f"figures/{one.file}.tex"))


def _responses(cards: Sequence[Card], rule: str) -> Markup:
    heading = joined(element("h2", "Responses, token by token"), element("p", rule, class_="soft"))
    if not cards:
        return joined(heading, element("p", "There is no graded response to show."))
    return joined(heading, element("ul", *map(_card, cards), class_="cards"))


def _card(card: Card) -> Markup:
    sample, of = card.sample, card.chosen.of
    name = f"{of.key}, problem {card.chosen.problem_id}, sample {card.chosen.sample_index}"
    answer = "no answer" if sample.extracted_answer is None else f"answers {sample.extracted_answer}"
    return element(
        "li",
        element("p", element("a", name, href=f"responses/{card.file}")),
        element("p", verdict(sample), f" · {answer[:80]} · {len(sample.token_ids):,} tokens"),
        element("p", (sample.question or "")[:400], class_="question soft"),
    )


def _bounds(there: Sequence[Reported]) -> Markup:
    """What the intervals do not know of: responses without a verdict."""
    head = element("tr", *(element("th", text) for text in ("partition", "same problems, drawn again", "bounds")))
    rows = []
    for one in there:
        same = one.interval("same_problems_low", "same_problems_high")
        bounds = one.interval("accuracy_lowest", "accuracy_highest")
        rows.append(element("tr", *(element("td", text) for text in (one.key, _ends(same), _ends(bounds)))))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element(
        "details",
        element("summary", "Other intervals of the accuracy"),
        element("div", table, class_="scroll", tabindex="0", role="region", aria_label="other intervals"),
        element("p", "Bounds: were every response without a verdict wrong, or right.", class_="soft"),
    )


def _ends(ends: tuple[float, float] | None) -> str:
    return "–" if ends is None else f"[{percent(ends[0])}, {percent(ends[1])}]"
