"""Export a data set for training: choose, write, and say in a card what was done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from onoff_core.exchange.rl import preferences, rollouts
from onoff_core.exchange.rl.card import Card, card_text
from onoff_core.exchange.rl.preferences import Pairing, PreferenceRows
from onoff_core.exchange.rl.problems import SHAPES, ProblemRows, columns_of
from onoff_core.exchange.rl.rollouts import RolloutRows
from onoff_core.exchange.rl.selection import CONTROL, TRAIN, Choice, select
from onoff_core.exchange.rl.sources import Source, problems_of
from onoff_core.exchange.rl.writing import CARD_NAME, FileKind, Split, file_names, write_split, writing
from onoff_core.store import Store
from onoff_core.tasks import messages_of

What = Literal["problems", "preferences", "rollouts"]
WHATS: tuple[What, ...] = get_args(What)
Format = Literal["parquet", "jsonl", "verl", "trl"]
FORMATS: tuple[Format, ...] = get_args(Format)
# verl trains on prompts and rewards, and reads neither pairs nor rollouts; TRL reads no rollouts.
FORMATS_OF: dict[What, tuple[Format, ...]] = {
    "problems": FORMATS,
    "preferences": ("parquet", "jsonl", "trl"),
    "rollouts": ("parquet", "jsonl"),
}


@dataclass(frozen=True)
class Order:
    """What is asked for."""

    what: What
    dataset: str
    sources: Sequence[Source]
    choice: Choice
    format: Format
    folder: Path
    data_source: str | None = None  # verl's name for the data set; None: its name in the study
    pairing: Pairing = field(default_factory=Pairing)
    notes: Sequence[str] = ()  # for the card: what a user of the data should know


@dataclass(frozen=True)
class Written:
    """A folder that was written."""

    files: Mapping[str, Path]  # split -> file
    card_path: Path
    card: Card


def names_of(what: What, form: Format, *, control: bool) -> list[str]:
    """The files that an export writes."""
    return file_names([what, *([CONTROL] if control else [])], _kind(form))


def export_rl(store: Store, order: Order) -> Written:
    """Write the splits and the data card; a control is a split beside the chosen ones. Raises `ExchangeError` where
    nothing is left to write.
    """
    problems = problems_of(store, order.dataset, order.sources)
    selection = select([row["problem_id"] for row in problems], order.sources, order.choice)
    by_id = {row["problem_id"]: row for row in problems}
    make = {"problems": _problems, "preferences": _preferences, "rollouts": _rollouts}[order.what]
    made = make(order, by_id)
    splits = {TRAIN: selection.chosen, **({CONTROL: selection.control} if selection.control else {})}
    stems = {TRAIN: order.what, CONTROL: CONTROL}
    card = Card(
        title=_title(order),
        dataset=order.dataset,
        sources=order.sources,
        choice=order.choice,
        selection=selection,
        columns=made.columns,
        notes=order.notes,
    )
    with writing(order.folder) as scratch:
        written = {
            split: write_split(
                scratch,
                Split(split, stems[split], made.schema, made.rows(ids, split)),
                _kind(order.format),
                card.lineage,
            )
            for split, ids in splits.items()
        }
        card = replace(card, more=made.more(), counts={split: count for split, (_, count) in written.items()})
        names = {split: name for split, (name, _) in written.items()}
        (scratch / CARD_NAME).write_text(card_text(card, names), encoding="utf-8")
    return Written({split: order.folder / name for split, name in names.items()}, order.folder / CARD_NAME, card)


@dataclass(frozen=True)
class _Made:
    """Rows that are made as they are written."""

    schema: Any
    columns: Mapping[str, str]
    rows: Callable[[Sequence[str], str], Any]  # of problem ids, for a split
    more: Callable[[], list[str]] = list  # what is known of them afterwards


def _problems(order: Order, problems: Mapping[str, Mapping[str, Any]]) -> _Made:
    shape = order.format if order.format in SHAPES else "plain"
    of = ProblemRows(order.dataset, problems, order.sources, order.choice, order.data_source or order.dataset)
    return _Made(SHAPES[shape].schema, columns_of(shape), lambda ids, split: of.rows(ids, shape, split))


def _preferences(order: Order, problems: Mapping[str, Mapping[str, Any]]) -> _Made:
    def prompt_of(source: Source, problem_id: str) -> list[dict[str, str]]:
        return messages_of(problems[problem_id]["question"], source.known_task)

    of = PreferenceRows(order.dataset, order.sources, order.pairing, order.format == "trl", prompt_of)
    return _Made(of.schema, preferences.MEANINGS, of.rows, of.sentences)


def _rollouts(order: Order, problems: Mapping[str, Mapping[str, Any]]) -> _Made:
    of = RolloutRows(order.dataset, order.sources, problems)
    return _Made(rollouts.SCHEMA, rollouts.MEANINGS, of.rows)


def _kind(form: Format) -> FileKind:
    return "jsonl" if form == "jsonl" else "parquet"


def _title(order: Order) -> str:
    title = f"{order.what.capitalize()} of {order.dataset}"
    return title if order.choice.band is None else f"{title}, pass rate {order.choice.band}"
