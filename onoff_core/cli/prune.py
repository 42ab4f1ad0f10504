"""`onoff prune`: remove old generations, after having shown them."""

import argparse
from typing import Any

from onoff_core.cli.printing import table
from onoff_core.study import load_study


def add(commands: Any) -> None:
    command = commands.add_parser(
        "prune",
        help="remove old generations (a dry run, until --yes)",
        description="List generations that are not current any more, and with --yes remove them. What is current, what "
        "a current one was made from, and what is being written or read by a writer stays.",
    )
    command.add_argument("--keep", type=_count, default=0, metavar="N", help="keep the N newest former ones of each")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--older-than", type=_days, metavar="DAYS", help="only those finished longer ago than this")
    which.add_argument("--unfinished", action="store_true", help="those that were begun and never finished, too")
    command.add_argument("--yes", action="store_true", help="remove them")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.store import Store
    from onoff_core.store.upkeep import prune, removable, remove_leftovers

    store = Store(load_study().store_path)
    found = removable(store, args.keep, args.older_than, args.unfinished)
    gone = prune(store, found) if args.yes else []
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
        print(f"{len(gone)} generations removed, and {leftovers} files of writers that died; store: {store.root}")
    elif rows:
        print(f"{len(rows)} generations would go from {store.root}. Remove them with --yes")
    else:
        print(f"nothing to remove in {store.root}")
    return 0


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
