"""The study that a code location serves, and goes on serving while `onoff.yaml` cannot be read.

Dagster fails a backfill under way when its code location does not load, or when a partition that the backfill names is
gone. So the last study that was read without a fault is kept in DAGSTER_HOME. A code server or a run's worker that
finds the file broken uses that one, and says so. A name that was removed stays a partition as long as a backfill or a
run wants it: its runs fail with a message, and the backfill goes on with the others. On a command line a broken file is
an error, as everywhere else.
"""

import hashlib
import json
import logging
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from onoff_assets.code_location import build_definitions
from onoff_assets.partitions import NO_NAMES, Names
from onoff_assets.settings_watch import fault_sentence
from onoff_core.errors import OnoffError
from onoff_core.study import Study, load_study, split_partition_key

logger = logging.getLogger("onoff")


@dataclass(frozen=True)
class Served:
    """The study that the definitions are made of, and how it differs from the file."""

    study: Study
    retired: Names = NO_NAMES  # no longer in the study, still partitions
    fault: str | None = None  # why the file cannot be read now; the study is then the last one that could


_RECORD = TypeAdapter(Served)


def serve() -> Served:
    """The study in the settings file. Where that is broken, a process that Dagster started gets the last good one."""
    process, home = _dagster_process(), os.environ.get("DAGSTER_HOME")
    if process is None or not home:
        return Served(load_study())
    record = _record_file(Path(home))
    former = _read(record)
    try:
        study = load_study()
    except OnoffError as error:
        if former is None:
            raise
        logger.error("%s", fault_sentence(str(error)))
        return replace(former, fault=str(error))
    removed = NO_NAMES if former is None else _removed(former, study)
    if process == "worker":
        return Served(study, removed)
    served = Served(study, _still_wanted(study, removed))
    _write(record, served)
    return served


def _dagster_process() -> Literal["server", "worker"] | None:
    """The purpose for which Dagster started this process; None: a person started it, on a command line."""
    match sys.argv[1:3]:
        case ["code-server", *_] | ["api", "grpc"]:
            return "server"
        case ["api", *_]:
            return "worker"
    return None


def _record_file(home: Path) -> Path:
    """The file for this folder, settings file and store: a home may serve several code locations."""
    place = [os.getcwd(), os.environ.get("ONOFF_CONFIG"), os.environ.get("ONOFF_STORE")]
    return home / "onoff" / f"served-{hashlib.sha256(json.dumps(place).encode()).hexdigest()[:16]}.json"


def _read(record: Path) -> Served | None:
    if not record.is_file():
        return None
    try:
        return _RECORD.validate_json(record.read_bytes())
    except ValidationError as error:  # a version with other settings wrote it
        logger.warning("%s cannot be read and is not used: %s", record, error)
        return None


def _write(record: Path, served: Served) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    scratch = record.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_bytes(_RECORD.dump_json(served))
    os.replace(scratch, record)


def _removed(former: Served, study: Study) -> Names:
    """The former names that are not in the study any more."""
    return Names(
        datasets=tuple(
            name for name in (*former.study.datasets, *former.retired.datasets) if name not in study.datasets
        ),
        models=tuple(name for name in (*former.study.models, *former.retired.models) if name not in study.models),
    )


def _still_wanted(study: Study, removed: Names) -> Names:
    """Those of the names that a backfill under way was asked for, or a run that is queued, running or to be retried."""
    if removed == NO_NAMES:
        return removed
    import dagster as dg

    from onoff_assets.backfills import find_backfills
    from onoff_assets.partition_states import partitions_in_progress

    graph = build_definitions(study, removed).get_repository_def().asset_graph
    with dg.DagsterInstance.get() as instance:
        keys = find_backfills(instance, graph).under_way | partitions_in_progress(instance)
    wanted = [split_partition_key(key) for key in keys]
    return Names(
        datasets=tuple(name for name in removed.datasets if name in {dataset for dataset, _ in wanted}),
        models=tuple(name for name in removed.models if name in {model for _, model in wanted}),
    )
