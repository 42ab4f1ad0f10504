"""`onoff check`: read the settings and say what was understood."""

import argparse
from typing import Any

from onoff_core.cli.printing import table
from onoff_core.study import load_study


def add(commands: Any) -> None:
    command = commands.add_parser(
        "check",
        help="read onoff.yaml and say what was understood",
        description="Check the settings without loading a data set or a model.",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.problems.loading import problems_source

    study = load_study()
    print(f"{study.config_path}: {len(study.partitions)} partitions\n")
    sources = [
        [
            name,
            settings.split,
            "all" if settings.num_examples is None else str(settings.num_examples),
            problems_source(name, settings, study.base_dir),
        ]
        for name, settings in study.datasets.items()
    ]
    print(table(["dataset", "split", "problems", "from"], sources))
    print()
    print(table(["model", "weights"], [[name, settings.model_name] for name, settings in study.models.items()]))
    print(f"\nstore: {study.store_path}\nnext: onoff status")
    return 0
