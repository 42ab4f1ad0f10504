"""The partition that a command is about, and what has to be there of it."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onoff_core.errors import MissingInputError
from onoff_core.study import Partition, Study

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


def require(store: "Store", key: tuple[str, str], assets: Sequence[str]) -> None:
    """Raise an error that names the one command to run where the last of the assets is not there: it makes the assets
    before it too, as far as they are missing.
    """
    if store.current(assets[-1], key) is None:
        missing = [asset for asset in assets if store.current(asset, key) is None]
        raise MissingInputError(
            f"{assets[-1]} of {'|'.join(key)} is not there yet in {store.root}; run: dagster asset materialize "
            f"--select {','.join(missing)} --partition '{'|'.join(key)}' -m onoff_assets.definitions"
        )
