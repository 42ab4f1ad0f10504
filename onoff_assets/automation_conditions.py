"""What follows samples by itself: rewards, statistics and the leaderboard are made again when they are behind.

A condition here asks what is, not what happened. Dagster's `any_deps_updated().since_last_handled()` forgets an update
that comes between a request and the next tick, so that a leaderboard without its last row would stay so for good; and
it requests at once what a run left that died and is about to be retried. What the store says a table was made from
cannot be missed, and a table that is up to date is not made again because its input was looked at.
"""

from collections.abc import Collection, Iterable

import dagster as dg

from onoff_assets import tags
from onoff_core.grid.fingerprints import ASSETS
from onoff_core.study import Study

Keys = Collection[str | None]  # partition keys; None: of an asset without partitions


class OfPartitions(dg.AutomationCondition):
    """A condition that is a set of partitions, found by Python and thus in the code server."""

    def __init__(self, study: Study) -> None:
        self.study = study

    @property
    def description(self) -> str:
        return (self.__doc__ or "").splitlines()[0]

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        """Those of `keys`, which are never none, for which the condition holds."""
        raise NotImplementedError

    def inputs(self, asset: str, keys: Keys) -> dict[str | None, str]:
        """The version of all that each of them depends on."""
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
        """Without those of datasets and models that have left the study."""
        return {key for key in keys if key in self.study.partitions}


class BehindItsInputs(OfPartitions):
    """The table was made from something else than its input is now, or was not made."""

    @property
    def name(self) -> str:
        return "behind_its_inputs"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.partition_states import leaderboard_made_from
        from onoff_core.grid.leaderboard import leaderboard_version
        from onoff_core.grid.status import is_behind
        from onoff_core.store import Store, current_generations

        known = current_generations(Store(self.study.store_path))
        if asset == "leaderboard":
            has_rows = any(made == "statistics" for made, _ in known)
            return {None} if has_rows and leaderboard_made_from(instance) != leaderboard_version(known) else ()
        partitions = {key: self.study.partition(str(key)) for key in keys}
        return {key for key, one in partitions.items() if is_behind(known, asset, (one.dataset, one.model))}


class AboutToBeRetried(OfPartitions):
    """A run of it died, and Dagster is about to start it again."""

    @property
    def name(self) -> str:
        return "about_to_be_retried"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.partition_states import about_to_be_retried

        runs = [run for run in about_to_be_retried(instance) if tags.PARTITION in run.tags or _selects(run, asset)]
        return {run.tags.get(tags.PARTITION) for run in runs}.intersection(keys)


class FailedTooOften(OfPartitions):
    """It failed more than automation.max_failures times with the inputs it has now."""

    @property
    def name(self) -> str:
        return "failed_too_often"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.partition_states import failures

        limit = self.study.automation.max_failures
        return {key for key, number in failures(instance, self.inputs(asset, keys)).items() if number > limit}


class CanceledByHand(OfPartitions):
    """Its last run was canceled, with the inputs it has now."""

    @property
    def name(self) -> str:
        return "canceled_by_hand"

    def find(self, asset: str, keys: Keys, instance: dg.DagsterInstance) -> Keys:
        from onoff_assets.cancellations import canceled

        return canceled(instance, self.inputs(asset, keys), asset)


def _selects(run: dg.DagsterRun, asset: str) -> bool:
    return run.asset_selection is not None and dg.AssetKey(asset) in run.asset_selection


def nobody_is_at_it(study: Study) -> dg.AutomationCondition:
    """No run makes it now or is about to; it has not failed too often, and nobody stopped it.

    In this order: a run that ends while a tick looks is seen by one of the first two.
    """
    free = ~dg.AutomationCondition.in_progress() & ~AboutToBeRetried(study)
    return (free & ~FailedTooOften(study) & ~CanceledByHand(study)).with_label("nobody_is_at_it")


def follows_its_inputs(study: Study) -> dg.AutomationCondition:
    """Made again with, or after, the table it is made from, and not before all of that is there.

    A changed setting is the schedule's matter: it may call for new samples first.
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
    """Made again when any partition's statistics have changed; a grid with gaps has a leaderboard too."""
    return (BehindItsInputs(study) & nobody_is_at_it(study)).with_label("follows_any_partition")


def follow_samples() -> dg.AutomationConditionSensorDefinition:
    """The sensor that asks the conditions above."""
    return dg.AutomationConditionSensorDefinition(
        "follow_samples",
        target=dg.AssetSelection.assets("rewards", "statistics", "leaderboard"),
        default_status=dg.DefaultSensorStatus.RUNNING,
        use_user_code_server=True,  # it loads the conditions above
        description="Keeps rewards, statistics and the leaderboard up to date when samples change.",
    )
