"""A large grid for `benchmarks.platform`, in a process of its own: `fill` records every partition as made, `tick` times
one tick of the nightly schedule.

The results are empty generations under the fingerprints that the settings ask for: what a tick reads of a result is
there, its rows are not.
"""

import sys
import time
from datetime import UTC, datetime

import dagster as dg

from onoff_assets.definitions import defs
from onoff_assets.observing import settings_versions
from onoff_assets.study import study
from onoff_core.grid.problem_versions import current_problems_version
from onoff_core.grid.status import wanted_fingerprints
from onoff_core.store import Store


def fill() -> None:
    store, made = Store(study().store_path), study()
    with dg.DagsterInstance.get() as instance:
        for partition in made.partitions.values():
            version = current_problems_version(partition.dataset, partition.dataset_settings, made.base_dir, store)
            tagged = settings_versions([partition], {partition.dataset: version})
            for asset, by_key in tagged.items():
                observed = {"dagster/data_version": by_key[partition.key]}
                instance.report_runless_asset_event(dg.AssetObservation(asset, partition=partition.key, tags=observed))
            for asset, fingerprint in wanted_fingerprints(partition, version).items():
                generation = store.generation(asset, (partition.dataset, partition.model), fingerprint)
                generation.complete({"problems": version}, {}, {})
                store.make_current(generation)
                tags = {"dagster/data_version": fingerprint}
                instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition.key, tags=tags))


def tick() -> float:
    """Seconds of one tick, without loading the definitions."""
    repository = defs.get_repository_def()
    with dg.DagsterInstance.get() as instance:
        now = datetime.now(UTC)
        context = dg.build_schedule_context(instance, scheduled_execution_time=now, repository_def=repository)
        began = time.perf_counter()
        repository.get_schedule_def("nightly").evaluate_tick(context)
        return time.perf_counter() - began


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill()
    else:
        print(tick())
