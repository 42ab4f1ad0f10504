"""Show in the UI that `onoff.yaml` cannot be read: a check of `settings`, and a sensor that looks all day."""

from collections.abc import Iterator

import dagster as dg

from onoff_assets.partitions import Grid
from onoff_core.errors import OnoffError, SettingsError
from onoff_core.study import load_study

CHECK = "settings_file_can_be_read"
_SECONDS = 30


def read_fault() -> str | None:
    """Why the settings file cannot be read now; None: it can."""
    try:
        load_study()
    except OnoffError as error:
        return str(error)
    return None


def fault_sentence(fault: str) -> str:
    """The message about a settings file that cannot be read."""
    return f"{fault}\nDagster goes on with the study as it was before; mend the file, then reload the code location"


def build_settings_check(grid: Grid, settings: dg.SourceAsset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=settings.key,
        name=CHECK,
        description="The settings file can be read as a study. While it cannot, Dagster goes on with the study of "
        "before.",
        required_resource_keys=set(grid.resources),
        resource_defs=grid.resources,
    )
    def settings_file_can_be_read(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        fault = read_fault()
        return dg.AssetCheckResult(passed=fault is None, description=fault or "it can be read")

    return settings_file_can_be_read


def build_watch_settings(grid: Grid) -> dg.SensorDefinition:
    @dg.sensor(
        name="watch_settings",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails while the settings file cannot be read, and says when it was changed and not reloaded.",
    )
    def watch_settings(context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
        fault = read_fault()
        report(context.instance, fault)
        if fault is not None:
            raise SettingsError(fault)
        changed = load_study() != grid.study
        yield dg.SkipReason("the file was changed: reload the code location" if changed else "the file can be read")

    return watch_settings


def report(instance: dg.DagsterInstance, fault: str | None) -> None:
    """Record the check's result if it differs from the last one; a file that could always be read is not recorded."""
    key = dg.AssetCheckKey(dg.AssetKey("settings"), CHECK)
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=fault is None,
        metadata={},
        severity=dg.AssetCheckSeverity.ERROR,
        description=fault or "it can be read",
    )
    last = history[0].evaluation if history else None
    before = last.description if isinstance(last, dg.AssetCheckEvaluation) and not last.passed else None
    if before != fault:
        instance.report_runless_asset_event(evaluation)
