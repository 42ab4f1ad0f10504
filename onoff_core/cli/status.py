"""`onoff status`: the grid, dataset x model x asset."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onoff_core.cli.extensions import extensions
from onoff_core.cli.printing import table
from onoff_core.commands import materialize_command
from onoff_core.errors import ModelError
from onoff_core.study import Partition, Study, load_study

if TYPE_CHECKING:
    from onoff_core.grid.status import AssetStatus
    from onoff_core.store import Store

_MARKS = {
    "complete": "complete",
    "imported": "complete (imported)",
    "partial": "partial",
    "stale": "stale",
    "missing": "-",
    "dropped": "dropped",
    "not asked for": "not asked for",
}


def add(commands: Any) -> None:
    command = commands.add_parser(
        "status",
        help="what is there of each partition",
        description="Print the grid: complete (made from what the settings say now; imported: brought in by onoff "
        "import), partial (begun), stale (made from other settings), dropped (removed by onoff prune "
        "--asset, on purpose), - (missing). An asset that the settings have to ask for has a column where they do.",
    )
    command.add_argument("--dataset", help="only this dataset")
    command.add_argument("--model", help="only this model")
    command.add_argument("--all", action="store_true", help="also what is in the store and not in the study")
    for extension in extensions("onoff.status"):
        extension.add_arguments(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid.asked import asked_of_any
    from onoff_core.grid.problem_versions import problems_versions
    from onoff_core.grid.status import partition_status
    from onoff_core.store import Store, current_generations

    study = load_study()
    store = Store(study.store_path)
    if args.dataset is not None and not args.all:
        study.dataset(args.dataset)
    if args.model is not None and not args.all:
        study.model(args.model)
    versions = problems_versions(study, store)
    notes = {
        name: f"shown as of its last run, for it cannot be read now: {why}" for name, why in versions.wrong.items()
    }
    known = current_generations(store)
    rows, unfinished, open_keys = [], None, []
    assets = asked_of_any(study.partitions.values())
    wanting: tuple[str, ...] = assets
    for partition in study.partitions.values():
        if args.dataset not in (None, partition.dataset) or args.model not in (None, partition.model):
            continue
        try:
            states = partition_status(partition, versions.found.get(partition.dataset), store, known)
        except ModelError as error:
            notes[partition.model] = f"cannot be judged: {error}"
            states = {}
        notes |= _taken_over(partition, versions.found.get(partition.dataset), store, states)
        rows.append([partition.dataset, partition.model, *(_mark(states, asset) for asset in assets)])
        wants_work = any(state not in ("complete", "imported", "dropped") for state in states.values())
        open_keys += [partition.key] if wants_work else []
        if unfinished is None and wants_work:
            unfinished = partition.key  # to make imported samples anew would replace them
            wanting = tuple(asset for asset, state in states.items() if state not in ("imported", "dropped"))
    if args.all:
        rows += _not_in_study(study, store, assets, args.dataset, args.model)
    print(table(["dataset", "model", *assets], rows))
    print(f"\nstore: {study.store_path}")
    for name, note in notes.items():
        print(f"{name}: {note}")
    for extension in extensions("onoff.status"):
        for line in extension.notes(study, open_keys, args):
            print(line)
    if unfinished is not None:
        print("next: fill one with")
        print(f"  {materialize_command(wanting, unfinished)}")
    elif rows:
        print("next: onoff browse, or onoff show 'DATASET|MODEL'")
    return 0


def _taken_over(
    partition: Partition, version: str | None, store: "Store", states: "Mapping[str, AssetStatus]"
) -> dict[str, str]:
    """What a run would take over where the samples are stale: then it costs less than all of them."""
    from onoff_core.grid.taking_over import expected

    if states.get("samples") != "stale" or version is None:
        return {}
    found = expected(partition, store, version)
    return {} if found is None else {partition.key: found.sentence}


def _mark(states: "Mapping[str, AssetStatus]", asset: str) -> str:
    """Of one asset of a partition; nothing where the partition does not ask for it."""
    if not states:
        return "?"
    return _MARKS[states[asset]] if asset in states else ""


def _not_in_study(
    study: Study, store: "Store", assets: Sequence[str], dataset: str | None, model: str | None
) -> list[list[str]]:
    """A row for each partition that the store has and the study has not."""
    there = [(asset, names) for asset in assets for names in store.partitions(asset)]
    current = {(asset, names[:2]) for asset, names in there if store.current(asset, names) is not None}
    return [
        [*names, *("not in study" if (asset, names) in current else "-" for asset in assets)]
        for names in sorted({names[:2] for _, names in there})  # cross-scores have the reference in their names too
        if "|".join(names) not in study.partitions and dataset in (None, names[0]) and model in (None, names[1])
    ]
