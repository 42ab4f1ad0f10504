"""The partition that a command is about, and what has to be there of it."""

import argparse
from typing import TYPE_CHECKING, Any

from onoff_core.commands import materialize_command
from onoff_core.errors import MissingInputError
from onoff_core.study import Partition, PartitionKey, Study, split_partition_key

if TYPE_CHECKING:
    from onoff_core.store import Store


def add_partition_arguments(command: Any) -> None:
    command.add_argument("--dataset", help="may be left out where the study has one")
    command.add_argument("--model", help="may be left out where the study has one")


def named_partition(study: Study, args: argparse.Namespace) -> Partition:
    """The partition of `--dataset` and `--model`."""
    dataset = args.dataset or study.only("dataset", study.datasets)
    model = args.model or study.only("model", study.models)
    return study.partition(f"{dataset}|{model}")


def named_or_stored(study: Study, store: "Store", args: argparse.Namespace) -> PartitionKey:
    """The partition of `--dataset` and `--model`, also where the study has it no longer and the store has."""
    if args.dataset is None or args.model is None:
        return named_partition(study, args).names
    return stored_partition(study, store, f"{args.dataset}|{args.model}")


def stored_partition(study: Study, store: "Store", key: str) -> PartitionKey:
    """The partition of a key that is in the study, or of which there is something in the store."""
    from onoff_core.tables import GRID_ASSETS

    names = split_partition_key(key)
    there = key not in study.partitions and any(store.current(asset, names) is not None for asset in GRID_ASSETS)
    return names if there else study.partition(key).names


def require(store: "Store", key: tuple[str, str], *assets: str) -> None:
    """Raise an error where one of the assets is not there: it names the one command that makes them, and what they are
    made from as far as that is missing too.
    """
    from onoff_core.tables import TABLES

    absent = [asset for asset in assets if store.current(asset, key) is None]
    if absent:
        chain = dict.fromkeys(one for asset in absent for one in (*reversed(TABLES[asset].made_from), asset))
        missing = [asset for asset in chain if asset != "problems" and store.current(asset, key) is None]
        state = "are not there yet" if len(absent) > 1 else f"is {store.how_far(absent[0], key)}"
        raise MissingInputError(
            f"{' and '.join(absent)} of {'|'.join(key)} {state} in {store.root}; "
            f"run: {materialize_command(missing, '|'.join(key))}"
        )
