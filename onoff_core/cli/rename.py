"""`onoff rename`: give a data set or a model another name, with all its results."""

import argparse
from typing import Any

from onoff_core.study import load_study


def add(commands: Any) -> None:
    command = commands.add_parser(
        "rename",
        help="rename a dataset or a model in the store",
        description="Give a dataset or a model another name in the store: nothing is made again. Change the name in "
        "the settings file as well, before or after; Dagster shows the results under the new name once it has run it.",
    )
    command.add_argument("kind", choices=("dataset", "model"))
    command.add_argument("old")
    command.add_argument("new")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid.judging import open_store
    from onoff_core.grid.statistics_tables import renew_comparisons
    from onoff_core.store.catalog import publish_catalog
    from onoff_core.store.renaming import rename

    study = load_study()
    store = open_store(study)
    count = rename(store, args.kind, args.old, args.new)
    renew_comparisons(study, store)
    publish_catalog(store)
    print(f"{count} generations of the {args.kind} {args.old} are now of {args.new}; store: {store.root}")
    return 0
