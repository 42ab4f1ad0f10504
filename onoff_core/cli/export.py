"""`onoff export`: a partition's results as the research scripts' files, or as data sets for training."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onoff_core.cli import export_rl
from onoff_core.cli.partition import add_partition_arguments, named_or_stored, require
from onoff_core.errors import ExchangeError
from onoff_core.exchange.options import SHAPES
from onoff_core.study import Study, load_study

if TYPE_CHECKING:
    from onoff_core.store import Store

# kind of file: the asset it is made from
WHAT = {"samples": "statistics", "distributions": "token_distributions", "process-rewards": "branches"}
NOTES = "notes"  # made from no asset
_USUAL = ("samples", "distributions")


def add(commands: Any) -> None:
    command = commands.add_parser(
        "export",
        help="write the research scripts' files, process rewards, or data sets for training",
        description="Write a partition's results as the research scripts' files (onoff_core.distributions has "
        "load_distributions(DIR) to read distributions back), or as a data set for training: problems by their pass "
        "rate, pairs of responses, rollouts, each with a data card.",
    )
    add_partition_arguments(command)
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to write into")
    command.add_argument(
        "--what",
        type=_what,
        default=_USUAL,
        metavar=",".join((*WHAT, *export_rl.RL, NOTES)),
        help="which files (default: samples and distributions); process-rewards: a line a response with its steps and "
        "their values, from branches at steps; problems, preferences (a right and a wrong response of one problem), "
        "rollouts (token ids and log-probabilities): data sets for training, see below; "
        "notes: what was noted in the browser",
    )
    command.add_argument(
        "--shape",
        choices=SHAPES,
        default="described",
        help="described: as the scripts' description shows them (default); scripts: as the scripts wrote them",
    )
    command.add_argument(
        "--dense",
        action="store_true",
        help="top-k distributions as arrays over the whole vocabulary (large; --shape described only)",
    )
    command.add_argument(
        "--legacy-token-strings",
        action="store_true",
        help="strip every token's text, as the scripts did (and --shape scripts does); the strings then do not "
        "concatenate to the text",
    )
    export_rl.add_arguments(command)
    command.set_defaults(run=run)


def _what(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in (*WHAT, *export_rl.RL, NOTES)]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join((*WHAT, *export_rl.RL, NOTES))}")
    if len(names) > 1 and set(names) & set(export_rl.RL):
        raise argparse.ArgumentTypeError(f"{' and '.join(export_rl.RL)} are data sets of their own: name one alone")
    return names


def _for_training(args: argparse.Namespace, study: Study, store: "Store") -> int:
    if args.dense or args.legacy_token_strings or args.shape != "described":
        raise ExchangeError(f"--shape, --dense and --legacy-token-strings go with {', '.join(_USUAL)}")
    return export_rl.run(args, args.what[0], study, store)


def run(args: argparse.Namespace) -> int:
    from onoff_core.exchange import (
        ExportOptions,
        export_distributions,
        export_notes,
        export_process_rewards,
        export_results,
    )
    from onoff_core.store import Store

    study = load_study()
    store = Store(study.store_path)
    if args.what[0] in export_rl.RL:
        return _for_training(args, study, store)
    if given := export_rl.given(args):
        raise ExchangeError(f"{given[0]} goes with --what {', '.join(export_rl.RL)}")
    key = named_or_stored(study, store, args)
    partition = study.partitions.get(str(key))  # None: no longer in the study
    written: list[Path] = []
    assets = [WHAT[what] for what in args.what if what != NOTES]
    require(store, key, *assets)
    options = ExportOptions(
        use_logits=partition is not None and partition.distribution.use_logits,
        dense=args.dense,
        legacy_token_strings=args.legacy_token_strings,
        shape=args.shape,
        split=None if partition is None else partition.dataset_settings.split,
        input_file=str(args.output / "results.json") if "samples" in args.what else None,
    )
    if args.dense and args.shape == "scripts":
        raise ExchangeError("--dense goes with --shape described; the scripts' shape has indices and values")
    if "samples" in args.what:
        written += export_results(store, key, args.output, options, print)
    if "distributions" in args.what:
        written += export_distributions(store, key, args.output, options, print)
    if "process-rewards" in args.what:
        written += export_process_rewards(store, key, args.output, print)
    if NOTES in args.what:
        written += export_notes(store, key, args.output, print)
    for path in written:
        print(f"{path}  {path.stat().st_size:,} bytes")
    samples = store.current("samples", key)
    for asset in assets:
        made_from = store.require(asset, key).manifest().inputs["samples"]
        if samples is None or samples.fingerprint != made_from:
            print(f"note: {asset} is of earlier samples, and so are these files; onoff status prints what to run")
    if "distributions" in args.what:
        print("next: from onoff_core.distributions import load_distributions")
        print(f"      data = load_distributions({str(args.output)!r})")
    else:
        print(f"next: onoff show '{key}'")
    return 0
