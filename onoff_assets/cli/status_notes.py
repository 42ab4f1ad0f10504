"""Dagster's part of `onoff status`: partitions that were canceled or failed too often, and how runs ended."""

import argparse
import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from onoff_core.errors import PlatformError
from onoff_core.study import Study, split_partition_key


def add_arguments(command: Any) -> None:
    command.add_argument(
        "--since",
        metavar="WHEN",
        help="also what Dagster's runs came to since then: yesterday, today, 12h, 3d, or a date such as 2026-11-26",
    )


def notes(study: Study, unfinished: Sequence[str], args: argparse.Namespace) -> list[str]:
    """Lines to print below the grid; `unfinished`: keys that are missing or stale.

    Without DAGSTER_HOME there is nothing to say, unless it is asked for.
    """
    if not os.environ.get("DAGSTER_HOME") and args.since is None:
        return []
    from onoff_assets.backfills import find_backfills, stopped_before_their_run
    from onoff_assets.cancellations import canceled
    from onoff_assets.code_location import build_definitions
    from onoff_assets.instance import open_instance
    from onoff_assets.partition_states import failures
    from onoff_assets.run_report import report_runs
    from onoff_core.grid.problem_versions import inputs_version

    since = None if args.since is None else moment(args.since, datetime.now().astimezone())
    inputs = {key: inputs_version(study.partitions[key]) for key in unfinished}
    with open_instance() as instance:
        backfills = find_backfills(instance, build_definitions(study).get_repository_def().asset_graph)
        stopped = canceled(instance, inputs) | stopped_before_their_run(instance, backfills.canceled, inputs)
        tired = [k for k, count in failures(instance, inputs).items() if count > study.automation.max_failures]
        report = [] if since is None else report_runs(instance, since).lines()
    lines = [f"{key}: canceled, and left until an input changes or someone asks: {_ask(key)}" for key in stopped]
    lines += [
        f"{key}: failed more than {study.automation.max_failures} times, and left until an input changes or someone "
        f"asks: {_ask(key)}"
        for key in tired
        if key not in stopped
    ]
    return [*sorted(lines), *report]


def _ask(key: str) -> str:
    dataset, model = split_partition_key(key)
    return f"onoff fill --dataset {dataset} --model {model}"


def moment(text: str, now: datetime) -> datetime:
    """`yesterday` and `today` begin at midnight; `12h`, `3d` count back from now; else a date, perhaps with a time."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        return midnight - timedelta(days=text == "yesterday")
    if found := re.fullmatch(r"(\d{1,4})([hd])", text):
        return now - timedelta(**{{"h": "hours", "d": "days"}[found[2]]: int(found[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise PlatformError(
            f"--since {text}: a moment is wanted: yesterday, today, 12h, 3d, or a date such as 2026-11-26"
        ) from error
