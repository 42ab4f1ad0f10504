"""`onoff status`: the grid, dataset x model x asset."""

import argparse
from typing import Any

from onoff_core.cli.printing import table
from onoff_core.study import load_study

_MARKS = {"complete": "complete", "partial": "partial", "stale": "stale", "missing": "-"}


def add(commands: Any) -> None:
    command = commands.add_parser(
        "status",
        help="what is there of each partition",
        description="Print the grid: complete (made from what the settings say now), partial (begun), stale (made from "
        "other settings), - (missing).",
    )
    command.add_argument("--dataset", help="only this dataset")
    command.add_argument("--model", help="only this model")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid.fingerprints import ASSETS
    from onoff_core.grid.status import partition_status
    from onoff_core.store import Store

    study = load_study()
    store = Store(study.store_path)
    if args.dataset is not None:
        study.dataset(args.dataset)
    rows, unfinished = [], None
    for partition in study.partitions.values():
        if args.dataset not in (None, partition.dataset) or args.model not in (None, partition.model):
            continue
        states = partition_status(partition, None, store)
        rows.append([partition.dataset, partition.model, *(_MARKS[states[asset]] for asset in ASSETS)])
        if unfinished is None and any(state != "complete" for state in states.values()):
            unfinished = partition.key
    print(table(["dataset", "model", *ASSETS], rows))
    print(f"\nstore: {study.store_path}")
    if unfinished is not None:
        print("next: fill one with")
        print(
            f"  dagster asset materialize --select {','.join(ASSETS)} --partition '{unfinished}' "
            "-m onoff_assets.definitions"
        )
    return 0
