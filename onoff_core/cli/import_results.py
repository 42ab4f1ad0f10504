"""`onoff import`: a results.json of the research scripts, or of `onoff export`, into the store."""

import argparse
from pathlib import Path
from typing import Any

from onoff_core.cli.partition import add_partition_arguments, named_partition
from onoff_core.errors import materialize_command
from onoff_core.study import load_study


def add(commands: Any) -> None:
    command = commands.add_parser(
        "import",
        help="bring a results.json into the store as samples",
        description="Bring the responses of a results.json into the store as a partition's samples, marked as "
        "imported, so that they can be graded, scored and browsed. Token ids come from tokenizing the texts.",
    )
    command.add_argument("results", type=Path, metavar="RESULTS_DIR", help="folder of a results.json, or the file")
    add_partition_arguments(command)
    command.add_argument(
        "--own-problems",
        action="store_true",
        help="take questions and references from the file, not from the data set",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.exchange.importing import import_results
    from onoff_core.store import Store

    study = load_study()
    partition = named_partition(study, args)
    made = import_results(partition, Store(study.store_path), args.results, own=args.own_problems)
    print(f"{partition.key}: {made.manifest.num_rows} imported responses are its samples now ({study.store_path})")
    differing = made.manifest.facts["num_references_differing"]
    if differing:
        print(f"note: {differing} references differ from the data set's answers; rewards go by the data set's")
    print("next: grade them with (without `samples`, which would draw new ones)")
    print(f"  {materialize_command(('rewards', 'statistics', 'token_distributions'), partition.key)}")
    return 0
