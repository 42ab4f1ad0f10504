"""Check a `dagster` or `dg` command and explain a fault in a sentence, where Dagster would print a trace or nothing.

Dagster loads our definitions before it looks at the command's partition, so the command can be read here.
"""

import argparse
import json
import re
from collections.abc import Sequence

import click

from onoff_core.errors import PartitionError
from onoff_core.study import Study
from onoff_core.tables import GRID_ASSETS, OPTIONAL

_PARTITIONED = {*GRID_ASSETS, *OPTIONAL}


def check_command(study: Study, argv: Sequence[str]) -> None:
    """Raise `click.ClickException`, which Dagster prints as one message, for a command that cannot succeed."""
    match argv[1:3]:
        case ["asset", "materialize"]:
            _check_materialize(study, argv[3:])
        case ["job", "execute" | "launch"]:
            _check_job(study, argv[3:])
        case ["launch", *_]:  # of dg
            _check_launch(study, argv[2:])


def _check_materialize(study: Study, arguments: Sequence[str]) -> None:
    given = _read(arguments, "--select", "--partition", "--partition-range")
    _check_assets(study, given.select, given)


def _check_launch(study: Study, arguments: Sequence[str]) -> None:
    given = _read(arguments, "--assets", "--job", "--partition", "--partition-range")
    _check_assets(study, "*" if given.job == "grid" else given.assets, given)


def _check_assets(study: Study, selected: str | None, given: argparse.Namespace) -> None:
    if given.partition_range is not None:
        raise click.ClickException(
            "--partition-range is of no use here: a partition is a dataset and a model, and each is a run of its own. "
            "Name one with --partition 'DATASET|MODEL', or queue many with: onoff fill --dataset NAME, --model NAME"
        )
    if given.partition is not None:
        _check_key(study, given.partition)
    elif _PARTITIONED & set(re.findall(r"\w+", selected or "")) or (selected or "").strip() == "*":
        raise click.ClickException(f"{selected} is made partition by partition. {_name_one(study)}")


def _check_job(study: Study, arguments: Sequence[str]) -> None:
    given = _read(arguments, "--job", "--tags")
    if given.job != "grid":
        return
    try:
        tags = json.loads(given.tags or "{}")
    except ValueError:  # Dagster reports that itself
        return
    key = tags.get("dagster/partition")
    if key is None:
        raise click.ClickException(
            f"the job grid makes one partition. {_name_one(study)}: "
            "dagster asset materialize --select samples,rewards,statistics,token_distributions --partition ..."
        )
    _check_key(study, str(key))


def _read(arguments: Sequence[str], *names: str) -> argparse.Namespace:
    """The values of these options, None for those that are not given; other arguments are ignored."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in names:
        parser.add_argument(name, *(["-j"] if name == "--job" else []))
    return parser.parse_known_args(list(arguments))[0]


def _check_key(study: Study, key: str) -> None:
    try:
        study.partition(key)
    except PartitionError as error:
        raise click.ClickException(f"--partition {key}: {error}") from error


def _name_one(study: Study) -> str:
    example = next(iter(study.partitions))
    return f"Name one, such as --partition '{example}', or queue all that is missing or stale with: onoff fill"
