"""`onoff plan`: what is missing or stale would take, before it starts."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onoff_core.cli.numbers import whole_number
from onoff_core.cli.printing import table
from onoff_core.study import Partition, Study, load_study

if TYPE_CHECKING:
    from onoff_core.grid.plan_estimate import PartitionEstimate
    from onoff_core.grid.plan_measured import Measurements
    from onoff_core.store import Store


def add(commands: Any) -> None:
    command = commands.add_parser(
        "plan",
        help="what is missing or stale would take: tokens, hours, disk, memory",
        description="Estimate what it takes to make all that is missing or stale, from the lengths and speeds of the "
        "runs that this store has. What no run tells is a question mark, and below the table stands why. Nothing is "
        "made, and without --probe no model is loaded.",
    )
    command.add_argument("--dataset", help="only this dataset")
    command.add_argument("--model", help="only this model")
    command.add_argument("--assets", action="store_true", help="a row for each asset")
    command.add_argument(
        "--probe",
        type=whole_number(1),
        metavar="N",
        help="where something is unknown, make the first N problems in a store that is thrown away, and measure that",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from onoff_core.grid.plan_measured import Measurements
    from onoff_core.grid.plan_work import estimates
    from onoff_core.store import Store

    study = load_study()
    partitions = _named(study, args)
    store = Store(study.store_path)
    found = estimates(partitions, store, Measurements(store))
    if args.probe is not None:
        with tempfile.TemporaryDirectory(prefix="onoff-probe-") as folder:
            measured = _probed(found, store, args.probe, Path(folder))
            found = estimates(partitions, store, measured)
    if args.json:
        print(json.dumps(_as_json(found), indent=1, ensure_ascii=False))
        return 0
    _report(study, partitions, found, args)
    return 0


def _named(study: Study, args: argparse.Namespace) -> list[Partition]:
    if args.dataset is not None:
        study.dataset(args.dataset)
    if args.model is not None:
        study.model(args.model)
    return [
        one
        for one in study.partitions.values()
        if args.dataset in (None, one.dataset) and args.model in (None, one.model)
    ]


def _probed(found: "Sequence[PartitionEstimate]", store: "Store", num_problems: int, folder: Path) -> "Measurements":
    """Measurements with probes of the partitions of which something is unknown, one after another: what one tells of
    its model need not be probed again.
    """
    from onoff_core.grid.plan_measured import Measurements, Probe
    from onoff_core.grid.plan_probe import probe
    from onoff_core.grid.plan_work import estimates

    probes: list[Probe] = []
    for one in found:
        partition = one.partition
        if one.wrong is not None or not any(
            now.unknown for now in estimates([partition], store, Measurements(store, probes))
        ):
            continue
        drawn = num_problems * partition.sampling.most_samples
        print(f"probe: {num_problems} problems, {drawn} responses of {partition.key}, kept nowhere", file=sys.stderr)
        if drawn < partition.sampling.batch_size:
            print(
                f"note: {drawn} responses do not fill a batch of {partition.sampling.batch_size}; a whole run is "
                "faster than this probe",
                file=sys.stderr,
            )
        probes.append(probe(partition, num_problems, folder, lambda line: print(f"  {line}", file=sys.stderr)))
    return Measurements(store, probes)


def _report(study: Study, partitions: Sequence[Partition], found: "Sequence[PartitionEstimate]", args: Any) -> None:
    from onoff_core.grid.plan_text import together_text, unknown_lines

    if not found:
        print(f"nothing is missing or stale of {len(partitions)} partitions")
        return
    one_by_one = args.assets or len(found) == 1
    print(_asset_table(found) if one_by_one else _partition_table(found))
    assets = [one for partition in found for one in partition.assets]
    print(f"\nin all: {together_text(assets) if assets else 'unknown'}")
    print(f"store: {study.store_path}")
    for line in dict.fromkeys(line for one in assets for line in one.basis):
        print(f"from {line}")
    unknown = unknown_lines(found)
    for reason, keys in unknown.items():
        print(f"unknown: {reason} ({', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''})")
    if any(why.asset is not None for partition in found for why in partition.unknown) and args.probe is None:
        print("next: onoff plan --probe 2, which runs two problems of what is unknown and keeps nothing")


def _partition_table(found: "Sequence[PartitionEstimate]") -> str:
    from onoff_core.grid.plan_text import bytes_text, count_text, seconds_text, tokens_of, total_text

    rows = []
    for one in found:
        memory = max((asset.memory for asset in one.assets if asset.memory is not None), default=None)
        rows.append(
            [
                one.partition.dataset,
                one.partition.model,
                ", ".join(f"{asset.work.asset}{_how(asset.work.state)}" for asset in one.assets) or "?",
                total_text(tokens_of(one.assets), count_text) if one.assets else "?",
                total_text([asset.seconds for asset in one.assets], seconds_text) if one.assets else "?",
                total_text([asset.num_bytes for asset in one.assets], bytes_text) if one.assets else "?",
                "?" if memory is None else bytes_text(memory),
            ]
        )
    return table(["dataset", "model", "to make", "tokens", "time", "disk", "memory"], rows)


def _how(state: str) -> str:
    return "" if state == "missing" else f" ({state})"


def _asset_table(found: "Sequence[PartitionEstimate]") -> str:
    from onoff_core.grid.plan_estimate import WITHOUT_TOKENS
    from onoff_core.grid.plan_text import bytes_text, count_text, range_text, seconds_text

    rows = []
    for one in found:
        key = [one.partition.dataset, one.partition.model]
        if one.wrong is not None:
            rows.append([*key, "?", "?", "?", "?", "?", "?", "?"])
        for asset in one.assets:
            has_tokens = asset.work.asset not in WITHOUT_TOKENS
            rows.append(
                [
                    *key,
                    asset.work.asset,
                    asset.work.state,
                    range_text(asset.work.range, lambda count: f"{count:,.0f}"),
                    range_text(asset.tokens, count_text) if has_tokens else "-",
                    range_text(asset.seconds, seconds_text),
                    range_text(asset.num_bytes, bytes_text),
                    _memory(asset.memory, asset.gpu_memory),
                ]
            )
    return table(["dataset", "model", "asset", "state", "responses", "tokens", "time", "disk", "memory"], rows)


def _memory(process: int | None, gpu: int | None) -> str:
    from onoff_core.grid.plan_text import bytes_text

    if process is None:
        return "?"
    return bytes_text(process) if gpu is None else f"{bytes_text(process)}, GPU {bytes_text(gpu)}"


def _as_json(found: "Sequence[PartitionEstimate]") -> list[dict[str, Any]]:
    from onoff_core.grid.plan_text import unknown_lines

    def ends(value: Any) -> list[float] | None:
        return None if value is None else [value.low, value.high]

    return [
        {
            "dataset": one.partition.dataset,
            "model": one.partition.model,
            "unknown": list(unknown_lines([one])),
            "assets": [
                {
                    "asset": asset.work.asset,
                    "state": asset.work.state,
                    "responses": asset.work.responses,
                    "responses_at_least": asset.work.range.low,
                    "responses_taken_over": asset.work.taken_over,
                    "tokens": ends(asset.tokens),
                    "seconds": ends(asset.seconds),
                    "bytes": ends(asset.num_bytes),
                    "memory_bytes": asset.memory,
                    "gpu_memory_bytes": asset.gpu_memory,
                    "basis": list(asset.basis),
                }
                for asset in one.assets
            ],
        }
        for one in found
    ]
