"""`onoff bench`: speed and memory beside their references, measured now, on this machine."""

import argparse
import dataclasses
import importlib
import json
import platform
import sys
from pathlib import Path
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
    command.add_argument(
        "--engines", action="store_true", help="sampling: beside other engines alone, each in a process of its own"
    )
    command.add_argument(
        "--reference",
        action="append",
        default=[],
        type=_reference,
        metavar="NAME=PYTHON",
        help="sampling: where another engine is, such as openvino=.venv-openvino/bin/python (openvino, vllm; default: "
        "the environments of make .venv-openvino and make .venv-vllm, where they are)",
    )
    command.add_argument("--tiny", action="store_true", help="gpu: the checks of agreement alone, with small models")
    command.set_defaults(run=run)


# Options that mean something to one benchmark alone.
_OF_ONE = {"beside": "sampling", "tiny": "gpu", "engines": "sampling", "reference": "sampling"}


def run(args: argparse.Namespace) -> int:
    module = importlib.import_module(f"benchmarks.{args.name}")
    if any(getattr(args, option) not in (None, False, []) and args.name != of for option, of in _OF_ONE.items()):
        said = "--beside is for sampling, --tiny for gpu, --engines and --reference for sampling"
        print(f"onoff bench: {said}", file=sys.stderr)
        return 2
    if args.name == "gpu":
        print(json.dumps(module.run(tiny=args.tiny), indent=1))
        return 0
    figures, left_out = _figures(module, args)
    if args.json:
        machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        measured = {"figures": [dataclasses.asdict(figure) for figure in figures], "left_out": left_out}
        print(json.dumps({**machine, **measured}, indent=1))
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
    for line in left_out:
        print(line)
    medians = f"medians of {max(1, args.repeats)}"
    how = "shares of studies that are simulated with a fixed seed" if args.name == "statistics" else medians
    print(f"\n{how}; --json for machines", file=sys.stderr)
    return 0


def _figures(module: Any, args: argparse.Namespace) -> tuple[list[Any], list[str]]:
    """What was measured, and a sentence for each reference that is not there."""
    repeats = max(1, args.repeats)
    if args.beside is not None:
        return module.run_beside(repeats, args.beside), []
    if args.name != "sampling":
        return module.run(repeats), []
    registry = importlib.import_module("benchmarks.others.registry")
    pythons = registry.pythons(dict(args.reference))
    figures = module.run_engines(repeats, pythons) if args.engines else module.run(repeats, pythons)
    return figures, registry.left_out(pythons)


def _reference(text: str) -> tuple[str, Path]:
    registry = importlib.import_module("benchmarks.others.registry")
    try:
        named: tuple[str, Path] = registry.named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return named
