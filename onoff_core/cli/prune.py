"""`onoff prune`: remove old generations, after having shown them."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onoff_core.cli.printing import table
from onoff_core.errors import StoreError
from onoff_core.study import Study, load_study

if TYPE_CHECKING:
    from onoff_core.store import Store
    from onoff_core.store.upkeep import Removal

    Remove = Callable[[Store, list[Removal]], list[Removal]]


def add(commands: Any) -> None:
    command = commands.add_parser(
        "prune",
        help="remove old generations (a dry run, until --yes)",
        description="List generations that are not current any more, and with --yes remove them. What is current, what "
        "a current one was made from, and what is being written or read by a writer stays.",
    )
    command.add_argument("--keep", type=_count, default=0, metavar="N", help="keep the N newest former ones of each")
    command.add_argument(
        "--asset",
        metavar="ASSET",
        help="drop current rows of this asset, from which nothing is made, such as token_distributions",
    )
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--older-than",
        "--keep-days",
        type=_days,
        metavar="DAYS",
        dest="older_than",
        help="only those finished longer ago than this",
    )
    which.add_argument("--unfinished", action="store_true", help="those that were begun and never finished, too")
    which.add_argument("--orphans", action="store_true", help="all of what is no longer in the study, current ones too")
    command.add_argument("--yes", action="store_true", help="remove them")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid.judging import open_store
    from onoff_core.grid.statistics_tables import renew_comparisons
    from onoff_core.store.catalog import publish_catalog
    from onoff_core.store.upkeep import remove_leftovers

    study = load_study()
    store = open_store(study)
    found, remove = _chosen(args, study, store)
    gone = remove(store, found) if args.yes else []
    rows = []
    for removal in found:
        generation = removal.generation
        mebibytes = round(removal.num_bytes / (1 << 20), 1)
        state = "removed" if removal in gone else "in use" if args.yes else removal.why
        rows.append([generation.asset, "|".join(generation.partition), generation.fingerprint, mebibytes, state])
    if rows:
        print(table(["asset", "partition", "generation", "MiB", "state"], rows) + "\n")
    if args.yes:
        leftovers = remove_leftovers(store)
        if store.files.exists(""):
            if args.orphans:
                renew_comparisons(study, store)
            publish_catalog(store)
        print(f"{len(gone)} generations removed, and {leftovers} files of writers that died; store: {store.root}")
    elif rows:
        print(f"{len(rows)} generations would go from {store.root}. Remove them with --yes")
    else:
        print(f"nothing to remove in {store.root}")
    return 0


def _chosen(args: argparse.Namespace, study: Study, store: "Store") -> tuple[list["Removal"], "Remove"]:
    """What is asked for, and how it is removed."""
    from onoff_core.store import dropping, upkeep
    from onoff_core.store.schema import names_of

    if args.orphans:
        datasets, models = {None, *study.datasets}, {None, *study.models}
        pairs = {(*one.names, other.name) for one in study.partitions.values() for other in one.references}

        def in_study(asset: str, partition: tuple[str, ...]) -> bool:
            dataset, model, reference = names_of(asset, partition)
            asked = reference is None or (dataset, model, reference) in pairs
            return dataset in datasets and model in models and asked

        return dropping.orphans(store, in_study), dropping.remove_orphans
    if args.asset is not None:
        from onoff_core.tables import GRID_ASSETS, OPTIONAL

        if args.asset not in (known := (*GRID_ASSETS, *OPTIONAL)):
            raise StoreError(f"--asset {args.asset!r}: no such asset; there are: {', '.join(known)}")
        if args.older_than is None:
            raise StoreError("--asset drops current results: say with --older-than how many days old they have to be")
        return dropping.droppable(store, args.asset, args.older_than), dropping.drop
    return upkeep.removable(store, args.keep, args.older_than, args.unfinished), upkeep.prune


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number is wanted, 0 or more, not {text!r}")
    return int(text)


def _days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"a number of days is wanted, 0 or more, not {text!r}")
    return number
