"""Rewards, statistics and the leaderboard follow samples by themselves: they are made again when they are behind.

A condition here looks at the present state, not at events. Dagster's `any_deps_updated().since_last_handled()` forgets
an update that comes between a request and the next tick, so a leaderboard would lack its last row for good; and it
requests at once the rest of a run that died, although Dagster is about to retry that run. The store always says what a
table was made from, so no update is missed, and a table that is up to date is never made again.
"""

from collections.abc import Collection, Iterable

import dagster as dg

from onoff_assets import tags
from onoff_core.grid.fingerprints import ASSETS
from onoff_core.study import Study

Keys = Collection[str | None]  # partition keys; None stands for an asset without partitions


class OfPartitions(dg.AutomationCondition):
    """A condition that holds for the partitions that `find` returns. It is Python, so the code server evaluates it."""

    def __init__(self, study: Study) -> None:
        self.study = study

    @property
    def description(self) -> str:
        return (self.__doc__ or "").splitlines()[0]

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        """Those of `keys` (at least one) for which the condition holds."""
        raise NotImplementedError

    def inputs(self, asset: str, keys: Keys) -> dict[str | None, str]:
        """The version of all inputs of each key."""
        from onoff_core.grid.leaderboard import leaderboard_version
        from onoff_core.grid.problem_versions import inputs_version
        from onoff_core.store import Store, current_generations

        if asset == "leaderboard":
            return {None: leaderboard_version(current_generations(Store(self.study.store_path)))}
        return {key: inputs_version(self.study.partition(str(key))) for key in keys}

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        candidates, true = context.candidate_subset, context.get_empty_subset()
        if not candidates.is_empty:
            keys = self._keys(candidates.expensively_compute_partition_keys()) if candidates.is_partitioned else {None}
            found = self.find(context.key.to_user_string(), keys, context.asset_graph_view.instance)
            if candidates.is_partitioned:
                true = candidates.compute_intersection_with_partition_keys({key for key in found if key is not None})
            elif found:
                true = candidates
        return dg.AutomationResult(context, true)

    def _keys(self, keys: Iterable[str]) -> set[str | None]:
        """The keys whose dataset and model are still in the study."""
        return {key for key in keys if key in self.study.partitions}


class BehindItsInputs(OfPartitions):
    """The table is not there, or was not made from the present version of its input."""

    @property
    def name(self) -> str:
        return "behind_its_inputs"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.partition_states import leaderboard_made_from
        from onoff_core.grid.leaderboard import leaderboard_version
        from onoff_core.grid.status import is_behind
        from onoff_core.store import Store, current_generations

        store = Store(self.study.store_path)
        known = current_generations(store)
        if asset == "leaderboard":
            has_rows = any(made == "statistics" for made, _ in known)
            return {None} if has_rows and leaderboard_made_from(instance) != leaderboard_version(known) else ()
        partitions = {key: self.study.partition(str(key)) for key in keys}
        return {
            key
            for key, one in partitions.items()
            if is_behind(known, asset, one.names) and store.dropped(asset, one.names) is None
        }


class AboutToBeRetried(OfPartitions):
    """A run of the table died, and Dagster is about to start it again."""

    @property
    def name(self) -> str:
        return "about_to_be_retried"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.partition_states import about_to_be_retried

        runs = [run for run in about_to_be_retried(instance) if tags.PARTITION in run.tags or _selects(run, asset)]
        return {run.tags.get(tags.PARTITION) for run in runs}.intersection(keys)


class FailedTooOften(OfPartitions):
    """Runs of the table failed more than automation.max_failures times with its present inputs."""

    @property
    def name(self) -> str:
        return "failed_too_often"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.partition_states import failures

        limit = self.study.automation.max_failures
        return {key for key, number in failures(instance, self.inputs(asset, keys)).items() if number > limit}


class CanceledByHand(OfPartitions):
    """The last run of the table was canceled, with its present inputs."""

    @property
    def name(self) -> str:
        return "canceled_by_hand"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.cancellations import canceled

        return canceled(instance, self.inputs(asset, keys), asset)


def _selects(run: dg.DagsterRun, asset: str) -> bool:
    return run.asset_selection is not None and dg.AssetKey(asset) in run.asset_selection


def nobody_is_at_it(study: Study) -> dg.AutomationCondition:
    """No run makes the table now or is about to; it has not failed too often, and nobody stopped it.

    The order counts: a run that ends during the tick is seen by one of the first two conditions.
    """
    free = ~dg.AutomationCondition.in_progress() & ~AboutToBeRetried(study)
    return (free & ~FailedTooOften(study) & ~CanceledByHand(study)).with_label("nobody_is_at_it")


def follows_its_inputs(study: Study) -> dg.AutomationCondition:
    """The table is made again with or after the table it is made from, once all of that is there.

    A changed setting is left to the schedule, since it may call for new samples first.
    """
    made_with_its_input = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
    condition = (
        (BehindItsInputs(study) | made_with_its_input)
        & ~dg.AutomationCondition.any_deps_missing().allow(dg.AssetSelection.assets(*ASSETS))
        & ~dg.AutomationCondition.any_deps_in_progress()
        & nobody_is_at_it(study)
    )
    return condition.with_label("follows_its_inputs")


def follows_any_partition(study: Study) -> dg.AutomationCondition:
    """The table is made again when any partition's statistics have changed; a grid with gaps has a leaderboard too."""
    return (BehindItsInputs(study) & nobody_is_at_it(study)).with_label("follows_any_partition")


def follow_samples() -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the conditions above."""
    return dg.AutomationConditionSensorDefinition(
        "follow_samples",
        target=dg.AssetSelection.all(),  # it evaluates those that have a condition
        default_status=dg.DefaultSensorStatus.RUNNING,
        use_user_code_server=True,  # it loads the conditions above
        description="Keeps rewards, statistics, the leaderboard and their like up to date when samples change.",
    )
