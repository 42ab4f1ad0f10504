"""The partition that a command is about, and what has to be there of it."""

import argparse
from typing import TYPE_CHECKING, Any

from onoff_core.commands import materialize_command
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


def require(store: "Store", key: tuple[str, str], *assets: str) -> None:
    """Raise an error where one of the assets is not there: it names the one command that makes them, and what they are
    made from as far as that is missing too.
    """
    from onoff_core.tables import TABLES

    absent = [asset for asset in assets if store.current(asset, key) is None]
    if absent:
        chain = dict.fromkeys(one for asset in absent for one in (*reversed(TABLES[asset].made_from), asset))
        missing = [asset for asset in chain if asset != "problems" and store.current(asset, key) is None]
        raise MissingInputError(
            f"{' and '.join(absent)} of {'|'.join(key)} {'is' if len(absent) == 1 else 'are'} not there yet in "
            f"{store.root}; run: {materialize_command(missing, '|'.join(key))}"
        )
