"""Tell a person that a night went wrong: one summary, once no run is under way, to the addresses in the study.

`automation.notify` lists addresses in Apprise's notation (mail, Slack and a hundred others; `pip install
'onoff[notify]'`), or `exec:COMMAND`, which gets the summary on its standard input. `$NAME` stands for an environment
variable, so that the file need not hold a secret.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from onoff_core.errors import PlatformError
from onoff_core.study import Study

_SECONDS = 60
_COMMAND_SECONDS = 60
_EXEC = "exec:"


def build_notify(study: Study) -> dg.SensorDefinition:
    """The sensor `notify`; it runs from the start if the study names an address."""
    targets = study.automation.notify

    @dg.sensor(
        name="notify",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if targets else dg.DefaultSensorStatus.STOPPED,
        description="Once nothing is under way: sends a summary to automation.notify if runs or checks failed.",
    )
    def notify(context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
        from onoff_assets.run_report import report_runs

        now = datetime.now(UTC)
        if context.cursor is None:  # failures from before it was turned on are not told
            context.update_cursor(now.isoformat())
            yield dg.SkipReason("from now on, failures are told")
            return
        report = report_runs(context.instance, datetime.fromisoformat(context.cursor))
        if report.in_progress:
            yield dg.SkipReason(f"{report.in_progress} runs are under way; told when they have ended")
            return
        if report.needs_a_person:
            body = "\n".join([*report.lines(), *_left(study, context.instance, [run.what for run in report.failed])])
            send(targets, f"onoff, {study.config_path}: {report.headline}", body)
        context.update_cursor(now.isoformat())
        yield dg.SkipReason("told" if report.needs_a_person else "nothing to tell")

    return notify


def _left(study: Study, instance: dg.DagsterInstance, keys: list[str]) -> list[str]:
    """A line for each partition that failed more than automation.max_failures times, so that nothing asks for it."""
    from onoff_assets.partition_states import failures
    from onoff_core.grid.problem_versions import inputs_version

    limit = study.automation.max_failures
    inputs = {key: inputs_version(study.partitions[key]) for key in keys if key in study.partitions}
    return [
        f"{key}: failed {count} times, and is left until an input changes or someone asks"
        for key, count in failures(instance, inputs).items()
        if count > limit
    ]


def send(targets: tuple[str, ...], title: str, body: str) -> None:
    """Send to every address; a `PlatformError` names those that could not be reached."""
    if not targets:
        raise PlatformError("automation.notify names nobody to tell")
    undelivered = [reason for target in targets if (reason := _send(target, title, body)) is not None]
    if undelivered:
        raise PlatformError("not told: " + "; ".join(undelivered))


def _send(target: str, title: str, body: str) -> str | None:
    """Send to one address. Returns why it failed, without the values of variables; None: it did not."""
    address = os.path.expandvars(target)
    if unset := re.findall(r"\$\{?\w+\}?", address):
        return f"{target}: {', '.join(unset)} is not set"
    return _run(address, f"{title}\n{body}\n") if address.startswith(_EXEC) else _notify(target, address, title, body)


def _run(address: str, text: str) -> str | None:
    command = shlex.split(address.removeprefix(_EXEC))
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=_COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return None if done.returncode == 0 else f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}"


def _notify(target: str, address: str, title: str, body: str) -> str | None:
    try:
        import apprise
    except ImportError:
        return f"{target}: needs a package; run: pip install 'onoff[notify]'"
    messenger = apprise.Apprise()
    if not messenger.add(address):
        return f"{target}: no address that Apprise knows (https://github.com/caronc/apprise/wiki)"
    return None if messenger.notify(title=title, body=body) else f"{target}: did not take it"
