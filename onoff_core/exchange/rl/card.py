"""The data card beside an exported data set: what was chosen, from what, how many, and by which results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from onoff_core.exchange.files import WRITTEN_BY
from onoff_core.exchange.rl.selection import Choice, Selection, distribution, fewest_graded
from onoff_core.exchange.rl.sources import Source

_RULES = {
    "every": "the pass rate of every one of the models lies in the band",
    "any": "the pass rate of at least one of the models lies in the band",
    "mean": "the mean of the models' pass rates lies in the band",
}


@dataclass(frozen=True)
class Card:
    """What a card says."""

    title: str
    dataset: str
    sources: Sequence[Source]
    choice: Choice
    selection: Selection
    columns: Mapping[str, str]  # column -> meaning
    more: Sequence[str] = ()  # sentences on how the rows were made
    notes: Sequence[str] = ()  # what a user of the data should know
    counts: Mapping[str, int] = field(default_factory=dict)  # split -> rows

    @property
    def lineage(self) -> dict[str, Any]:
        """What the data set was made of, for machines."""
        choice = self.choice
        return {
            "dataset": self.dataset,
            "problems": self.sources[0].problems,
            "pass_rate": None if choice.band is None else str(choice.band),
            "rule": choice.rule,
            "control": choice.control,
            "seed": choice.seed,
            "models": [source.lineage for source in self.sources],
        }


def card_text(card: Card, files: Mapping[str, str]) -> str:
    """The whole README.md; `files`: of each split the file, or a pattern of files, that holds it."""
    data_files = [{"split": split, "path": path} for split, path in files.items()]
    head = {"configs": [{"config_name": "default", "data_files": data_files}], "tags": ["math", "onoff"]}
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n",
        f"# {card.title}\n",
        *(f"{line}\n" for line in _chosen(card)),
        *(f"{line}\n" for line in _control(card)),
        *(f"{line}\n" for line in card.more),
        *(f"**Note.** {note}\n" for note in card.notes),
        "## Rows\n",
        "\n".join(f"- `{split}`: {count:,}" for split, count in card.counts.items()) + "\n",
        "## Columns\n",
        _table(("column", "meaning"), [(f"`{name}`", meaning) for name, meaning in card.columns.items()]),
        "## Where it comes from\n",
        f"Written by {WRITTEN_BY} from these results of its store; each is named by the hash of all that decides it.\n",
        f"```json\n{json.dumps(card.lineage, ensure_ascii=False, indent=1)}\n```\n",
    ]
    return "\n".join(parts)


def _chosen(card: Card) -> list[str]:
    found, band = card.selection, card.choice.band
    told = f"{len(found.chosen):,} of the {len(found.pool):,} problems of `{card.dataset}` that have a pass rate"
    if band is None:
        lines = [f"{told}: all of them."]
    else:
        rule = f" ({_RULES[card.choice.rule]})" if len(card.sources) > 1 else ""
        lines = [
            f"{told}: those with a pass rate from {band.low:g} to {band.high:g}{rule}. They were chosen by the same "
            "responses that gave the pass rates, so new responses will give rates nearer to those of all problems."
        ]
    if found.without_rate:
        lines.append(f"{len(found.without_rate):,} problems have no pass rate, for no response has a verdict.")
    rows = [
        (
            f"`{source.model}`",
            f"{fewest_graded(found.pool, [source])}",
            distribution([rate for one in found.pool if (rate := source.pass_rates[one].share) is not None]),
        )
        for source in card.sources
    ]
    return [*lines, _table(("model", "verdicts a problem, at least", "problems by pass rate"), rows)]


def _control(card: Card) -> list[str]:
    found = card.selection
    if card.choice.control is None:
        return []
    drawn = (
        "from those that were not chosen, so that no problem is in both"
        if card.choice.control == "disjoint"
        else f"from all {len(found.pool):,}, so that {found.shared:,} of them are chosen ones too"
    )
    return [
        f"The split `control` has as many problems, {len(found.control):,}, drawn without regard to the pass rate "
        f"{drawn} (seed {card.choice.seed}: those whose SHA-256 of the seed and the problem's id is smallest)."
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
