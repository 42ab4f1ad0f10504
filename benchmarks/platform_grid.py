"""A large grid for `benchmarks.platform`, in a process of its own: `fill` records every partition as made, `ticks`
times one tick each of the nightly schedule and of the sensors.

The results are empty generations under the fingerprints that the settings ask for, in a published catalog: they have
all that a tick reads of a result, and no rows.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.events import AssetObservationData, DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable

from onoff_assets import tags
from onoff_assets.code_location import build_definitions
from onoff_assets.input_versions import settings_versions
from onoff_core.grid.problem_versions import current_problems_version
from onoff_core.grid.status import wanted_fingerprints
from onoff_core.progress import Progress
from onoff_core.store import Store, publish_catalog
from onoff_core.study import Partition, load_study


def fill(log: Callable[[str], None] | None) -> None:
    """Record every partition of the study as made. `log` takes the progress; None: a terminal shows it."""
    made = load_study()
    store = Store(made.store_path)
    problems = {
        name: current_problems_version(name, settings, made.base_dir, store) for name, settings in made.datasets.items()
    }
    events = [_event(dg.AssetObservation, "problems", name, version) for name, version in problems.items()]
    progress = Progress("filling", len(made.partitions), log, unit="partitions")
    for partition in made.partitions.values():
        events += _made(store, partition, problems[partition.dataset])
        progress.add()
    with dg.DagsterInstance.get() as instance:
        _record(instance, events)
    publish_catalog(store)


def _made(store: Store, partition: Partition, problems: str) -> list[EventLogEntry]:
    """Write a partition's results; the events that Dagster would have recorded of its run."""
    observed = settings_versions([partition], {partition.dataset: problems}, store)
    wanted = wanted_fingerprints(partition, problems)
    for asset, fingerprint in wanted.items():
        generation = store.generation(asset, (partition.dataset, partition.model), fingerprint)
        generation.complete({"problems": problems, **wanted}, {}, {})
        store.make_current(generation)
    versions = {asset: by_key[partition.key] for asset, by_key in observed.items() if partition.key in by_key}
    return [
        *(_event(dg.AssetObservation, asset, partition.key, version) for asset, version in versions.items()),
        *(_event(dg.AssetMaterialization, asset, partition.key, version) for asset, version in wanted.items()),
    ]


def _event(kind: Callable[..., Any], asset: str, key: str, version: str) -> EventLogEntry:
    """An event without a run, as `report_runless_asset_event` makes it."""
    found = kind(asset, partition=key, tags={tags.DATA_VERSION: version})
    made = isinstance(found, dg.AssetMaterialization)
    event = DagsterEvent(
        event_type_value="ASSET_MATERIALIZATION" if made else "ASSET_OBSERVATION",
        event_specific_data=StepMaterializationData(found) if made else AssetObservationData(found),
        job_name="",
    )
    return EventLogEntry(
        user_message="", level="INFO", job_name="", run_id="", error_info=None, timestamp=time.time(),
        dagster_event=event,
    )  # fmt: skip


def _version_of(event: EventLogEntry) -> str:
    found: Any = event.asset_materialization or event.asset_observation
    return str(found.tags[tags.DATA_VERSION])


def _record(instance: dg.DagsterInstance, events: Sequence[EventLogEntry]) -> None:
    """Write all events at once into the empty index of SQLite's storage, as `store_event` writes each.

    Reported one by one, every event would make an engine and compile its statements anew, which takes 10 ms.
    """
    storage: Any = instance.event_log_storage
    rows = [{**storage._event_to_row(event), "id": number} for number, event in enumerate(events, 1)]
    versions = [
        {"event_id": row["id"], "asset_key": row["asset_key"], "event_timestamp": row["timestamp"],
         "key": tags.DATA_VERSION, "value": _version_of(event)}
        for row, event in zip(rows, events, strict=True)
    ]  # fmt: skip
    latest = {row["asset_key"]: (event, row["id"]) for row, event in zip(rows, events, strict=True)}
    with storage.index_transaction() as connection:
        connection.execute(SqlEventLogStorageTable.insert(), rows)
        connection.execute(AssetEventTagsTable.insert(), versions)
        for event, number in latest.values():
            storage._store_asset_event(connection, event, number)


def ticks() -> dict[str, float]:
    """Seconds of one tick each, without loading the definitions."""
    defs = build_definitions(load_study())
    repository = defs.get_repository_def()
    with dg.DagsterInstance.get() as instance:
        now = datetime.now(UTC)
        scheduled = dg.build_schedule_context(instance, scheduled_execution_time=now, repository_def=repository)
        sensed = dg.build_sensor_context(instance, repository_def=repository)
        return {
            "nightly": _seconds(lambda: repository.get_schedule_def("nightly").evaluate_tick(scheduled)),
            "fill_gaps": _seconds(lambda: repository.get_sensor_def("fill_gaps").evaluate_tick(sensed)),
            "follow_samples": _seconds(lambda: dg.evaluate_automation_conditions(defs, instance)),
        }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(None if sys.stderr.isatty() else lambda line: print(line, file=sys.stderr, flush=True))
    else:
        print(json.dumps(ticks()))
