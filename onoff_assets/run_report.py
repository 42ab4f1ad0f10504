"""Report how Dagster's runs ended since some moment, for a person who reads it in the morning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from onoff_assets import tags
from onoff_assets.partition_states import IN_PROGRESS, about_to_be_retried

_FAILURES = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}


@dataclass(frozen=True)
class EndedRun:
    """A run that did not succeed, with no later run of the same partition or assets."""

    what: str  # its partition key, or its assets where it has none
    run_id: str
    why: str


@dataclass(frozen=True)
class FailedCheck:
    """A check that did not hold when it was last evaluated."""

    name: str
    says: str
    is_error: bool


@dataclass(frozen=True)
class RunReport:
    """Runs that ended since some moment, and how many are still under way."""

    since: datetime
    succeeded: int
    failed: tuple[EndedRun, ...]
    canceled: tuple[EndedRun, ...]
    in_progress: int
    failed_checks: tuple[FailedCheck, ...]

    @property
    def needs_a_person(self) -> bool:
        return bool(self.failed or any(check.is_error for check in self.failed_checks))

    @property
    def headline(self) -> str:
        """Of what needs a person."""
        checks = sum(check.is_error for check in self.failed_checks)
        parts = [(len(self.failed), "partitions or assets failed"), (checks, "checks failed")]
        return ", ".join(f"{count} {what}" for count, what in parts if count)

    def lines(self) -> list[str]:
        """The report as a person reads it, the counts first."""
        head = [f"{self.succeeded} runs succeeded", f"{len(self.failed)} failed", f"{len(self.canceled)} were canceled"]
        return [
            f"since {self.since:%Y-%m-%d %H:%M}: {', '.join(head)}, {self.in_progress} in progress",
            *(f"failed: {run.what} (run {run.run_id[:8]}): {run.why}" for run in self.failed),
            *(f"canceled: {run.what} (run {run.run_id[:8]})" for run in self.canceled),
            *(f"check {check.name}: {check.says}" for check in self.failed_checks),
        ]


def report_runs(instance: dg.DagsterInstance, since: datetime) -> RunReport:
    """A run that failed and was tried again counts as its last try."""
    status = dg.DagsterRunStatus
    ended = instance.get_run_records(
        dg.RunsFilter(statuses=[status.SUCCESS, status.FAILURE, status.CANCELED], updated_after=since)
    )
    last: dict[str, dg.DagsterRun] = {}
    for record in ended:  # the newest first
        last.setdefault(_what(record.dagster_run), record.dagster_run)
    coming = {run.run_id for run in about_to_be_retried(instance)}
    busy = [*instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))]
    asked_again = {_what(run) for run in busy}
    settled = {what: run for what, run in last.items() if run.run_id not in coming and what not in asked_again}
    succeeded = [record.dagster_run for record in ended if record.dagster_run.status is status.SUCCESS]
    return RunReport(
        since=since,
        succeeded=len(succeeded),
        failed=tuple(_ended(instance, what, run) for what, run in settled.items() if run.status is status.FAILURE),
        canceled=tuple(_ended(instance, what, run) for what, run in settled.items() if run.status is status.CANCELED),
        in_progress=len(busy) + len(coming),
        failed_checks=_failed_checks(instance, [record.dagster_run for record in ended]),
    )


def _what(run: dg.DagsterRun) -> str:
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    return run.tags.get(tags.PARTITION) or ", ".join(assets) or run.job_name


def _ended(instance: dg.DagsterInstance, what: str, run: dg.DagsterRun) -> EndedRun:
    return EndedRun(what, run.run_id, _why(instance, run))


def _why(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The message of the first failure, in one line."""
    for record in instance.get_records_for_run(run.run_id, of_type=_FAILURES, ascending=True).records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.is_step_failure:
            data = event.step_failure_data
            told = data.user_failure_data.description if data.user_failure_data else None
            return " ".join((told or data.error_display_string.split("\n")[0]).split())
        if event is not None and event.message:
            return " ".join(event.message.split())
    return "no word of why"


def _failed_checks(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> tuple[FailedCheck, ...]:
    """The checks that did not hold at their last evaluation for a partition. `runs`: the newest first."""
    latest: dict[tuple[str, str | None], dg.AssetCheckEvaluation] = {}
    for run in runs:
        found = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
        for record in reversed(found):
            event = record.event_log_entry.dagster_event
            data = None if event is None else event.event_specific_data
            if isinstance(data, dg.AssetCheckEvaluation):
                latest.setdefault((data.check_name, data.partition), data)
    return tuple(
        FailedCheck(name, one.description or "did not hold", one.severity is dg.AssetCheckSeverity.ERROR)
        for (name, _), one in latest.items()
        if not one.passed
    )
