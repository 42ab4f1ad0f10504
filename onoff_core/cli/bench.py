"""`onoff bench`: speed and memory beside their references, measured now, on this machine."""

import argparse
import dataclasses
import importlib
import json
import platform
import sys
from typing import Any

from onoff_core.cli.printing import table

NAMES = (
    "sampling",
    "branches",
    "distributions",
    "cross",
    "rewards",
    "statistics",
    "store",
    "platform",
    "browser",
    "scale",
    "gpu",
)


def add(commands: Any) -> None:
    command = commands.add_parser(
        "bench",
        help="measure speed and memory beside their references",
        description="Measure, in one run and in turn, our way and the references it is compared with; medians.",
    )
    command.add_argument("name", choices=NAMES)
    command.add_argument(
        "--repeats", type=int, default=3, help="measurements of each figure; statistics: times 200 studies (default 3)"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.add_argument(
        "--beside", type=int, metavar="N", help="sampling: as a share of the speed alone, beside N busy"
    )
    command.add_argument("--tiny", action="store_true", help="gpu: the checks of agreement alone, with small models")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    module = importlib.import_module(f"benchmarks.{args.name}")
    if (args.beside is not None and args.name != "sampling") or (args.tiny and args.name != "gpu"):
        print("onoff bench: --beside is for sampling, --tiny for gpu", file=sys.stderr)
        return 2
    if args.name == "gpu":
        print(json.dumps(module.run(tiny=args.tiny), indent=1))
        return 0
    repeats = max(1, args.repeats)
    figures = module.run(repeats) if args.beside is None else module.run_beside(repeats, args.beside)
    if args.json:
        machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        print(json.dumps({**machine, "figures": [dataclasses.asdict(figure) for figure in figures]}, indent=1))
        return 0
    rows = [
        [
            figure.name,
            f"{figure.value:,.4g} {figure.unit}".strip(),
            "-" if figure.ratio is None else f"{figure.ratio:.2f} x {figure.reference}",
            figure.target or "-",
        ]
        for figure in figures
    ]
    print(table(["figure", "value", "ratio", "target"], rows))
    medians = f"medians of {max(1, args.repeats)}"
    how = "shares of studies that are simulated with a fixed seed" if args.name == "statistics" else medians
    print(f"\n{how}; --json for machines", file=sys.stderr)
    return 0
