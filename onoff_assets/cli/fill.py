"""`onoff fill`: make what is missing or stale, each partition a run in Dagster's queue."""

import argparse
from typing import Any

from onoff_core.study import load_study


def add(commands: Any) -> None:
    command = commands.add_parser(
        "fill",
        help="queue a run for each partition that is missing or stale",
        description="Queue a run for each partition that is missing or stale. A run whose worker dies is tried again "
        "and goes on from what is written. Partitions in progress are left alone; what failed or was canceled before "
        "is asked for again. Needs DAGSTER_HOME; runs start as soon as `make ui` (or dagster dev) serves that queue.",
    )
    command.add_argument("--dataset", help="only this dataset")
    command.add_argument("--model", help="only this model")
    command.add_argument("--dry-run", action="store_true", help="say what would be queued, and queue nothing")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_assets.filling import alone, find_gaps, launch, queue_is_served
    from onoff_assets.instance import home_folder, open_instance

    study = load_study()
    if args.dataset is not None:
        study.dataset(args.dataset)
    if args.model is not None:
        study.model(args.model)
    keys = [
        partition.key
        for partition in study.partitions.values()
        if args.dataset in (None, partition.dataset) and args.model in (None, partition.model)
    ]
    with alone(home_folder(), print), open_instance() as instance:
        gaps = find_gaps(study, instance, keys)
        for key in gaps.in_progress:
            print(f"{key}: in progress")
        for key in gaps.unreadable:
            print(f"{key}: left alone, for its data set cannot be read (onoff status says why)")
        due = [state.key for state in gaps.due]
        if args.dry_run:
            for state in gaps.due:
                print(f"{state.key}: would be queued for {', '.join(state.due)}")
        else:
            for key, run_id in launch(study, instance, due) if due else ():
                print(f"{key}: queued as run {run_id}", flush=True)
        print(f"{len(due)} of {len(keys)} partitions {'to queue' if args.dry_run else 'queued'}")
        if due and not instance.run_retries_enabled:
            home = instance.root_directory
            print(f"note: {home} does not retry a run whose worker dies; copy the project's dagster.yaml there")
        if due and not args.dry_run and not queue_is_served(instance):
            print("next: make ui, for nothing takes runs from this queue now")
    return 0
