"""Errors that may pass are retried with growing waits; errors that would come again are not; messages name the cell
and the next step. Provoked by breaking the real functions under the real asset.
"""

import errno
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from onoff_assets import execution, orphaned_runs, tags
from onoff_core.backends.memory import is_out_of_memory
from onoff_core.errors import DatasetError, ModelError, StoreError
from tests.platform.conftest import Platform

KEY = "arithmetic|tiny"


@pytest.fixture
def made(platform: Callable[..., Platform], monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setattr(execution, "FIRST_WAIT_SECONDS", 0.05)
    return platform()


def fail_first(monkeypatch: pytest.MonkeyPatch, times: int, error: Callable[[], BaseException]) -> list[int]:
    """Let sampling fail so often before it works; the calls made."""
    from onoff_core.grid import materialize

    calls: list[int] = []
    real = materialize._sample

    def sometimes(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise error()
        return real(*arguments)

    monkeypatch.setattr(materialize, "_sample", sometimes)
    return calls


def unreachable() -> BaseException:
    error = DatasetError("the hub does not answer")
    error.__cause__ = ConnectionResetError(errno.ECONNRESET, "reset")
    return error


def stale_handle() -> BaseException:
    error = StoreError("cannot be written")
    error.__cause__ = OSError(errno.ESTALE, "Stale file handle")
    return error


@pytest.mark.parametrize("error", [unreachable, stale_handle, lambda: TimeoutError("slow")])
def test_a_transient_error_is_retried(
    made: Platform, monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException]
) -> None:
    calls = fail_first(monkeypatch, 2, error)
    result = made.materialize(KEY, "samples")
    assert result.success
    assert len(calls) == 3
    waits = [
        event.event_specific_data.seconds_to_wait
        for event in result.all_events
        if event.event_type_value == "STEP_UP_FOR_RETRY"
    ]
    assert waits == [0.05, 0.1]


def test_a_transient_error_that_does_not_pass_fails_in_the_end(made: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fail_first(monkeypatch, 99, unreachable)
    assert not made.materialize(KEY, "samples", raises=False).success
    assert len(calls) == 4


def failure(result: Any) -> str:
    [event] = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    data = event.event_specific_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error_display_string)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (lambda: DatasetError("no such split"), "samples of arithmetic|tiny: no such split"),
        (lambda: MemoryError(), "lower sampling.batch_size for models.tiny or datasets.arithmetic"),
        (
            lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "out of memory with batch_size 8 and max_length 12",
        ),
        (lambda: ZeroDivisionError("ours"), "ZeroDivisionError: ours"),
        (lambda: StoreError("disk full"), "disk full"),
    ],
)
def test_a_lasting_error_fails_at_once_and_says_what_to_do(
    made: Platform, monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException], says: str
) -> None:
    calls = fail_first(monkeypatch, 99, error)
    result = made.materialize(KEY, "samples", raises=False)
    assert not result.success
    assert len(calls) == 1
    assert says in failure(result)


def test_out_of_memory_in_scoring_is_told_what_helps_there(made: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """`batch_size` is of no effect on scoring; the advice names what is."""
    from onoff_core.grid import materialize

    made.materialize(KEY, "samples")

    def full(*arguments: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(materialize, "_extract", full)
    said = failure(made.materialize(KEY, "token_distributions", raises=False))
    assert "lower sampling.batch_size" not in said
    for helps in ("device, device_map or torch_dtype in models.tiny.backend_specific", "sampling.max_length for"):
        assert helps in said


def test_an_error_that_brings_its_own_advice_keeps_it(made: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised where memory ended with one response in flight is not told to lower batch_size."""

    def alone() -> BaseException:
        error = ModelError("models.tiny: out of memory with a single response in flight; lower sampling.max_length")
        error.__cause__ = MemoryError()
        return error

    fail_first(monkeypatch, 99, alone)
    said = failure(made.materialize(KEY, "samples", raises=False))
    assert "single response in flight" in said
    assert "batch_size" not in said


def test_a_fault_in_a_users_file_is_told_without_what_it_was_raised_from(
    made: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal shows it twice; a fault that may be the library's keeps its traces."""

    def caused(kind: type[Exception]) -> Exception:
        error = kind("line 2")
        error.__cause__ = ValueError("line 1")
        return error

    for kind, kept in ((DatasetError, None), (StoreError, "StoreError")):
        fail_first(monkeypatch, 99, lambda kind=kind: caused(kind))
        result = made.materialize(KEY, "samples", raises=False)
        [event] = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
        cause = event.event_specific_data.error.cause
        assert (cause and cause.cls_name) == kept


def test_offline_mode_is_a_setting_and_not_a_hiccup(made: Platform) -> None:
    from huggingface_hub.errors import OfflineModeIsEnabled

    assert isinstance(OfflineModeIsEnabled(), ConnectionError)
    assert not execution.is_transient(OfflineModeIsEnabled())
    assert not execution.is_transient(OSError(errno.ENOSPC, "No space left on device"))
    assert execution.is_transient(OSError(errno.EIO, "Input/output error"))


def test_out_of_a_gpus_memory_is_told_by_name(made: Platform) -> None:
    import torch

    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


@pytest.fixture
def gone(made: Platform) -> str:
    """The tag of a worker that has ended."""
    code = "from onoff_assets.orphaned_runs import this_worker; print(this_worker())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_run_without_its_worker_is_an_orphan(made: Platform, gone: str) -> None:
    job = made.defs.resolve_job_def("grid")
    here = orphaned_runs.this_worker()
    host, _, rest = here.split(" ", 2)
    workers = {
        "gone": gone,
        "here": here,
        "elsewhere": "another-host - 1 1",
        "another boot": f"{host} 00000000-0000-0000-0000-000000000000 {rest}",
        "another process": f"{here}9",
    }
    runs = {
        name: made.instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTED, tags={tags.WORKER: worker}
        ).run_id
        for name, worker in workers.items()
    }
    lost = {"gone", "another boot", "another process"}
    assert set(orphaned_runs.end_orphaned_runs(made.instance)) == {runs[name] for name in lost}
    statuses = {name: made.instance.get_run_by_id(run_id).status.value for name, run_id in runs.items()}
    assert statuses == {name: "FAILURE" if name in lost else "STARTED" for name in workers}


def test_an_orphan_that_was_being_canceled_is_not_retried(made: Platform, gone: str) -> None:
    job = made.defs.resolve_job_def("grid")
    run = made.instance.create_run_for_job(job, status=dg.DagsterRunStatus.CANCELING, tags={tags.WORKER: gone})
    assert orphaned_runs.end_orphaned_runs(made.instance) == [run.run_id]
    assert made.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED


def test_a_run_that_ends_while_orphans_are_looked_for_has_the_last_word(
    made: Platform, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the list of started runs, succeeds, and its worker is gone when it is looked at."""
    job = made.defs.resolve_job_def("grid")
    run = made.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={tags.WORKER: gone})
    real = orphaned_runs.is_gone

    def late(worker: str) -> bool:
        made.instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id
        )
        return bool(real(worker))

    monkeypatch.setattr(orphaned_runs, "is_gone", late)
    assert orphaned_runs.end_orphaned_runs(made.instance) == []
    assert made.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.SUCCESS


def test_a_clock_set_anew_makes_no_orphans(made: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system derives the time of day of a process's start from the clock as it is now."""
    import psutil

    worker, process, began = orphaned_runs.this_worker(), psutil.Process(), psutil.Process().create_time()
    real = psutil._psplatform.boot_time
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: real() + 3600)
    assert psutil.Process(process.pid).create_time() - began > 3000
    assert not orphaned_runs.is_gone(worker)


def test_every_run_names_its_worker(made: Platform) -> None:
    """Also those that make no partition: an orphan without a name would count as in progress for days."""
    [everything] = [job for job in made.defs.get_repository_def().get_all_jobs() if job.name == "__ASSET_JOB"]
    assert len(everything.all_node_defs) >= 22
    assert {
        node.name for node in everything.all_node_defs if "input_versions" not in node.required_resource_keys
    } == set()
    run = made.leaderboard().dagster_run
    assert made.instance.get_run_by_id(run.run_id).tags["onoff/worker"] == orphaned_runs.this_worker()


def test_a_run_says_of_which_study_settings_and_code_it_is(platform: Callable[..., Platform]) -> None:
    made = platform(automation={"owners": ["me@example.org", "team:maths"]})
    result = made.materialize(KEY, "samples")
    tags = made.instance.get_run_by_id(result.run_id).tags
    assert tags["onoff/study"] == made.folder.name
    assert tags["onoff/code"].strip("+")
    observed = made.instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey("settings"), dg.DagsterEventType.ASSET_OBSERVATION, ["dagster/data_version"]
    )
    assert tags["onoff/settings"] == observed[KEY]["dagster/data_version"]
    graph = made.defs.get_repository_def().asset_graph
    assert list(graph.get(dg.AssetKey("samples")).owners) == ["me@example.org", "team:maths"]
