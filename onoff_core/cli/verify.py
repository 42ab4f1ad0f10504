"""`onoff verify`: re-read the store against its manifests."""

import argparse
import sys
from typing import Any

from onoff_core.cli.printing import plain
from onoff_core.study import load_study


def add(commands: Any) -> None:
    command = commands.add_parser(
        "verify",
        help="re-read everything in the store and name what is damaged",
        description="Re-read every fragment against its manifest (bytes, checksum, rows) and name what is damaged; "
        "exit status 1 if something is. Changes nothing: the next materialization of the partition makes a damaged "
        "fragment anew, and only that.",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.store import Store
    from onoff_core.store.upkeep import Finding, verify

    store = Store(load_study().store_path)
    generations = damaged = 0
    for found in verify(store):
        if not isinstance(found, Finding):
            generations += 1
            continue
        damaged += found.damaged
        what = plain(f"{found.where}: {found.wrong}")
        print(f"{'damaged' if found.damaged else 'note'}: {what}\n  {plain(found.mend)}", flush=True)
    print(f"{generations} generations read in {store.root}: {damaged or 'nothing'} damaged", file=sys.stderr)
    return 1 if damaged else 0
