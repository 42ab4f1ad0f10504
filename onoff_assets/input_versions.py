"""Keep Dagster's knowledge of the inputs exact: which version of problems and settings each partition has now.

Dagster calls a partition stale when an input of it was observed with a new version after it was made. So
inputs have to be observed: every run observes its own partition before its first step (`input_versions`, so that its
results are compared with the inputs they were made from), and every tick of the schedule and the sensor observes the
partitions without a run whose inputs changed.
"""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from onoff_assets import tags
from onoff_assets.code_version import code_version
from onoff_assets.orphaned_runs import this_worker
from onoff_assets.run_options import SampleOptions, adapted, sample_options
from onoff_core.commands import EXPORT
from onoff_core.errors import OnoffError
from onoff_core.grid.fingerprints import (
    fingerprint_of,
    sampling_settings_version,
    second_opinion_settings,
    statistics_settings,
)
from onoff_core.study import Partition, Study

if TYPE_CHECKING:
    from onoff_core.store import Store

_MAX_SECONDS = 20.0
SETTINGS_ASSETS = (
    "settings",
    "reward_settings",
    "distribution_settings",
    "statistics_settings",
    "cross_settings",
    "branch_settings",
    "second_opinion_settings",
    "confidence_settings",
)


def latest_versions(instance: dg.DagsterInstance, asset: str, kind: dg.DagsterEventType) -> dict[str, str]:
    """The data version last recorded of every partition of an asset, by partition key."""
    found = instance.event_log_storage.get_latest_tags_by_partition(dg.AssetKey(asset), kind, [tags.DATA_VERSION])
    return {key: tag[tags.DATA_VERSION] for key, tag in found.items() if tags.DATA_VERSION in tag}


def observe(instance: dg.DagsterInstance, versions: Mapping[str, Mapping[str, str]]) -> int:
    """Record every version, by asset and partition key, that Dagster does not have yet. Returns how many it recorded.

    An event costs some 10 ms, and a tick has a minute, so a change of a thousand partitions takes several ticks. Only
    the UI is late then; no request depends on it.
    """
    recorded, deadline = 0, time.monotonic() + _MAX_SECONDS
    for asset, by_key in versions.items():
        known = latest_versions(instance, asset, dg.DagsterEventType.ASSET_OBSERVATION)
        for key, version in by_key.items():
            if time.monotonic() > deadline:
                return recorded
            if known.get(key) != version:
                instance.report_runless_asset_event(
                    dg.AssetObservation(asset, partition=key, tags={tags.DATA_VERSION: version})
                )
                recorded += 1
    return recorded


def settings_versions(
    partitions: Iterable[Partition], problems: Mapping[str, str], store: "Store"
) -> dict[str, dict[str, str]]:
    """The versions of the settings assets, by asset and partition key; `problems`: by data set, where known.

    Dagster looks one step back only, so what decides rewards and token distributions counts all the way from the
    problems: a sampling setting makes them stale at once, not when the samples have been drawn again. Statistics and
    second opinions depend on `reward_settings` besides their own, so theirs count alone.
    """
    from onoff_core.grid.recorded import as_recorded
    from onoff_core.grid.status import wanted_fingerprints

    versions: dict[str, dict[str, str]] = {asset: {} for asset in SETTINGS_ASSETS}
    for named in partitions:
        try:
            partition = as_recorded(named, store)
            versions["settings"][partition.key] = sampling_settings_version(partition)
        except OnoffError as error:  # a model that is not there: its column has no versions, the others have
            dg.get_dagster_logger().warning(f"settings of {named.key}: {error}")
            continue
        if partition.dataset in problems:
            wanted = wanted_fingerprints(partition, problems[partition.dataset])
            versions["reward_settings"][partition.key] = wanted["rewards"]
            versions["distribution_settings"][partition.key] = wanted["token_distributions"]
            if "cross_scores" in wanted:
                versions["cross_settings"][partition.key] = wanted["cross_scores"]
            if "branches" in wanted:
                versions["branch_settings"][partition.key] = wanted["branches"]
            if "confidence" in wanted:
                versions["confidence_settings"][partition.key] = wanted["confidence"]
        for asset, own in (
            ("statistics_settings", statistics_settings(partition)),
            ("second_opinion_settings", second_opinion_settings(partition)),
        ):
            if own:  # where nothing is set, nothing depends on it
                versions[asset][partition.key] = fingerprint_of(own)
    return versions


def input_versions(study: Study) -> dg.ResourceDefinition:
    """Marks the run with its worker and its inputs' version; observes its own partition before its first step.

    A run without samples makes its tables from the samples that are there, which may be of former settings. So the
    run first observes the versions it really uses, which Dagster then records for its tables. At its end it observes
    the versions that the settings ask for, so that these tables are shown as stale.
    """

    def prepare(context: dg.InitResourceContext) -> Iterator[None]:
        run, instance = context.run, context.instance
        if run is None or instance is None:
            yield None
            return
        wanted = _begin(study, run, instance)
        try:
            yield None
        finally:
            observe(instance, wanted)

    return dg.ResourceDefinition(
        prepare,
        description="Observes the versions of problems and settings that a run uses, and marks the run with them.",
    )


def _begin(study: Study, run: dg.DagsterRun, instance: dg.DagsterInstance) -> dict[str, dict[str, str]]:
    """Mark the run and observe the versions it uses; those to observe at its end, by asset and partition key."""
    about = {tags.WORKER: this_worker(), tags.STUDY: study.base_dir.name, tags.CODE: code_version()}
    instance.add_run_tags(run.run_id, about)
    if not os.environ.get("DAGSTER_HOME"):
        dg.get_dagster_logger().warning(
            "DAGSTER_HOME is not set: results are kept in %s, and Dagster forgets this run; before the next one: %s",
            study.store_path,
            EXPORT,
        )
    key = run.tags.get(tags.PARTITION)
    if key in study.partitions:
        return _observe_inputs(study, instance, run, study.partitions[key])
    if run.asset_selection and dg.AssetKey("leaderboard") in run.asset_selection:
        from onoff_core.grid.leaderboard import leaderboard_version
        from onoff_core.store import Store, current_generations

        version = leaderboard_version(current_generations(Store(study.store_path)))
        instance.add_run_tags(run.run_id, {tags.INPUTS: version})
    return {}


def _observe_inputs(
    study: Study, instance: dg.DagsterInstance, run: dg.DagsterRun, partition: Partition
) -> dict[str, dict[str, str]]:
    """Observe the versions the run uses. Returns, by asset and partition key, the versions that the settings ask for
    where they differ: they are to be observed when the run ends.
    """
    from onoff_core.grid.problem_versions import current_problems_version, inputs_version
    from onoff_core.store import Store

    store = Store(study.store_path)
    samples_too = not run.asset_selection or dg.AssetKey("samples") in run.asset_selection
    problems: dict[str, str] = {}
    try:
        problems[partition.dataset] = current_problems_version(
            partition.dataset, partition.dataset_settings, partition.base_dir, store, fresh=samples_too
        )
    except OnoffError as error:  # the step that needs the problems fails with the same message
        dg.get_dagster_logger().warning(f"problems of {partition.dataset}: {error}")
    wanted = {"problems": problems, **settings_versions([partition], problems, store)}
    if samples_too:
        real = _ad_hoc_versions(store, partition, sample_options(run.run_config), wanted)
    else:
        real = _made_from(store, partition, {key.to_user_string() for key in run.asset_selection or ()})
    observe(instance, {**wanted, **real})
    marks = {tags.INPUTS: inputs_version(partition)}
    if partition.key in wanted["settings"]:
        marks[tags.SETTINGS] = {**wanted, **real}["settings"][partition.key]
    instance.add_run_tags(run.run_id, marks)
    return {asset: wanted[asset] for asset in real if asset in wanted}


def _ad_hoc_versions(
    store: "Store", partition: Partition, options: SampleOptions, wanted: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """The settings' versions that a run with config goes by, by asset and partition key; none where they are those
    that are wanted. `problems` belongs to other models too, so fewer problems count as another setting.
    """
    from onoff_core.problems import load_problems, problems_version

    actual, key = adapted(partition, options), partition.key
    problems = wanted["problems"].get(partition.dataset)
    if actual == partition or problems is None or key not in wanted["settings"]:
        return {}
    taken = problems_version(load_problems(actual.dataset, actual.dataset_settings, actual.base_dir))
    versions = settings_versions([actual], {actual.dataset: taken}, store)
    if taken != problems:
        versions["settings"][key] = fingerprint_of([versions["settings"][key], taken])
    return versions


def _made_from(store: "Store", partition: Partition, assets: Collection[str]) -> dict[str, dict[str, str]]:
    """The settings' versions that these assets will be made from, by asset and partition key, where samples stay.

    Imported samples have none: no setting makes them or what is made from them stale.
    """
    from onoff_core.grid import fingerprints
    from onoff_core.grid.status import wanted_cross
    from onoff_core.store.provenance import is_imported

    names = (partition.dataset, partition.model)
    samples, rewards = store.current("samples", names), store.current("rewards", names)
    if samples is None or is_imported(samples.manifest()):
        return {}
    made = {}
    if "rewards" in assets:
        made["reward_settings"] = fingerprints.rewards_fingerprint(partition, samples.fingerprint)
    elif {"statistics", "second_opinions"} & set(assets) and rewards is not None:
        made["reward_settings"] = rewards.fingerprint
    if "token_distributions" in assets:
        made["distribution_settings"] = fingerprints.token_distributions_fingerprint(partition, samples.fingerprint)
    if "cross_scores" in assets and partition.references:
        cross = wanted_cross(partition, samples.fingerprint)
        made["cross_settings"] = fingerprints.all_references_fingerprint(cross)
    scores = store.current("token_distributions", names)
    graded = made.get("reward_settings", None if rewards is None else rewards.fingerprint)
    scored = made.get("distribution_settings", None if scores is None else scores.fingerprint)
    if graded is not None and scored is not None:
        of_all = (partition, samples.fingerprint, graded, scored)
        if "branches" in assets and partition.branches is not None:
            made["branch_settings"] = fingerprints.branches_fingerprint(*of_all)
        if "confidence" in assets and partition.confidence is not None:
            made["confidence_settings"] = fingerprints.confidence_fingerprint(*of_all)
    return {asset: {partition.key: version} for asset, version in made.items()}
