"""`onoff usage`: what the store takes, by data set, model and asset."""

import argparse
from collections import defaultdict
from typing import Any

from onoff_core.cli.printing import table
from onoff_core.study import load_study


def add(commands: Any) -> None:
    command = commands.add_parser(
        "usage",
        help="what the store takes on its disk",
        description="Print the megabytes of each data set, model and asset: of what is current, and of former and "
        "unfinished generations, which `onoff prune` removes.",
    )
    command.add_argument("--dataset", help="only this dataset")
    command.add_argument("--model", help="only this model")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.store import Store
    from onoff_core.store.schema import names_of
    from onoff_core.store.usage import usage

    study = load_study()
    rows: list[list[object]] = []
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for part in usage(Store(study.store_path)):
        dataset, model, reference = names_of(part.asset, part.partition)
        if args.dataset not in (None, dataset) or args.model not in (None, model):
            continue
        asset = part.asset if reference is None else f"{part.asset} by {reference}"
        rows.append([asset, dataset or "-", model or "-", _megabytes(part.current), _megabytes(part.former)])
        for name in (part.asset, "all"):
            sums[name] = [sums[name][0] + part.current, sums[name][1] + part.former]
    rows += [[name, "all", "all", *map(_megabytes, both)] for name, both in sums.items() if name != "all"]
    current, former = sums["all"]
    rows.append(["all", "all", "all", _megabytes(current), _megabytes(former)])
    print(table(["asset", "dataset", "model", "current MB", "former MB"], rows))
    print(f"\nstore: {study.store_path}")
    if study.max_bytes is not None:
        print(f"store.max_bytes leaves {_megabytes(study.max_bytes - current - former)} MB")
    return 0


def _megabytes(count: int) -> float:
    return round(count / 1e6, 3)
