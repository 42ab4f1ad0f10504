"""`onoff export`: a partition's results as the research scripts' files."""

import argparse
from pathlib import Path
from typing import Any

from onoff_core.study import Partition, Study, load_study

WHAT = ("samples", "distributions")


def add(commands: Any) -> None:
    command = commands.add_parser(
        "export",
        help="write results.json, statistics.json, distributions.json and .npz",
        description="Write a partition's results as the research scripts' files. onoff_core.distributions has "
        "load_distributions(DIR) to read distributions back.",
    )
    add_partition_arguments(command)
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write into")
    command.add_argument(
        "--what", type=_what, default=WHAT, metavar="samples,distributions", help="which files (default: both)"
    )
    command.add_argument(
        "--dense", action="store_true", help="top-k distributions as arrays over the whole vocabulary (large)"
    )
    command.add_argument(
        "--legacy-token-strings",
        action="store_true",
        help="strip every token's text, as the scripts did; the strings then do not concatenate to the text",
    )
    command.set_defaults(run=run)


def add_partition_arguments(command: Any) -> None:
    command.add_argument("--dataset", help="may be left out where the study has one")
    command.add_argument("--model", help="may be left out where the study has one")


def named_partition(study: Study, args: argparse.Namespace) -> Partition:
    """The partition of `--dataset` and `--model`."""
    dataset = args.dataset or study.only("dataset", study.datasets)
    model = args.model or study.only("model", study.models)
    return study.partition(f"{dataset}|{model}")


def _what(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in WHAT]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(WHAT)}")
    return names


def run(args: argparse.Namespace) -> int:
    from onoff_core.export import ExportOptions, export_distributions, export_results
    from onoff_core.store import Store

    study = load_study()
    partition = named_partition(study, args)
    store, key = Store(study.store_path), (partition.dataset, partition.model)
    written: list[Path] = []
    if "samples" in args.what:
        written += export_results(store, key, args.output)
    if "distributions" in args.what:
        options = ExportOptions(partition.distribution.use_logits, args.dense, args.legacy_token_strings)
        written += export_distributions(store, key, args.output, options)
    for path in written:
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0
