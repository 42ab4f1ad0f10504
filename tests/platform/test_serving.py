"""A code location goes on with the last good study while the file is broken, and with names that a backfill wants."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from onoff_assets.code_location import build_definitions
from onoff_assets.partitions import Names
from onoff_assets.serving import serve
from onoff_assets.settings_watch import report
from onoff_core.errors import SettingsError
from tests.platform.conftest import Platform
from tests.platform.test_following import a_run

SERVER = ["/venv/bin/dagster", "api", "grpc", "--lazy-load-user-code"]
WORKER = ["/venv/bin/dagster", "api", "execute_run", "{}"]
PERSON = ["/venv/bin/dagster", "asset", "materialize", "--select", "samples"]


@pytest.fixture
def started_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return lambda command: monkeypatch.setattr(sys, "argv", command)


def breakages(path: Path) -> list[Callable[[], Any]]:
    """A typo, no YAML, no file, a value that is impossible, an empty file."""
    whole = path.read_text()
    return [
        lambda: path.write_text(whole.replace("sampling:", "samplign:")),
        lambda: path.write_text("models: [\n"),
        path.unlink,
        lambda: path.write_text(whole.replace("num_samples: 3", "num_samples: -3")),
        lambda: path.write_text(""),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_broken_file_leaves_the_last_good_study(
    platform: Callable[..., Platform], started_as: Callable[[list[str]], None], number: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """In code servers and workers, named in the log; a person on a command line gets the error."""
    folder = platform().folder
    started_as(SERVER)
    whole = serve()
    assert whole.fault is None
    breakages(folder / "onoff.yaml")[number]()
    for command in (SERVER, WORKER):
        started_as(command)
        served = serve()
        assert served.study == whole.study
        assert served.fault is not None
        assert str(folder) in served.fault
        assert f"{served.fault}\nDagster goes on with the study as it was before" in caplog.text
    started_as(PERSON)
    with pytest.raises(SettingsError):
        serve()


def test_a_file_that_was_never_good_is_an_error(
    platform: Callable[..., Platform], started_as: Callable[[list[str]], None]
) -> None:
    folder = platform().folder
    (folder / "onoff.yaml").write_text("datasets: 3")
    started_as(SERVER)
    with pytest.raises(SettingsError):
        serve()


def test_every_setting_is_kept(
    platform: Callable[..., Platform], started_as: Callable[[list[str]], None], tmp_path: Path
) -> None:
    """Overrides, lists, nulls and a whole vocabulary come back as they were."""
    folder = platform(
        datasets={
            "one": {
                "source": "arithmetic",
                "num_examples": None,
                "sampling": {"temperature": 1, "stop_strings": ["x"]},
            },
            "two": {"path": "mine.csv", "question_column": "q", "answer_column": "a", "task": {"system_prompt": None}},
        },
        task={"examples": [{"question": "1+1?", "response": "2"}]},
        sampling={"seed": None, "top_k": None},
        distribution={"top_k": None},
        automation={"timezone": "Europe/Zurich"},
    ).folder
    started_as(SERVER)
    now = serve().study
    (folder / "onoff.yaml").write_text("{")
    assert serve().study == now


@pytest.mark.parametrize(("status", "kept"), [("REQUESTED", True), ("COMPLETED_SUCCESS", False)])
def test_a_removed_name_stays_while_a_backfill_wants_it(
    platform: Callable[..., Platform], started_as: Callable[[list[str]], None], status: str, kept: bool
) -> None:
    """And goes when the backfill is over. What was removed and no backfill names goes at once."""
    made = platform(datasets={name: {"source": "arithmetic"} for name in ("a", "wanted", "unwanted")})
    started_as(SERVER)
    serve()
    graph = made.defs.get_repository_def().asset_graph
    with dg.DagsterInstance.get() as instance:
        data = AssetBackfillData.from_asset_partitions(
            asset_graph=graph, partition_names=["a|tiny", "wanted|tiny"], asset_selection=[dg.AssetKey("samples")],
            dynamic_partitions_store=instance, backfill_start_timestamp=0.0, all_partitions=False,
        )  # fmt: skip
        backfill = PartitionBackfill(
            "b", BulkActionStatus.REQUESTED, from_failure=False, tags={}, backfill_timestamp=0.0,
            asset_selection=[dg.AssetKey("samples")],
        ).with_asset_backfill_data(data, dynamic_partitions_store=instance, asset_graph=graph)  # fmt: skip
        instance.add_backfill(backfill.with_status(BulkActionStatus[status]))

    def remove(content: dict[str, Any]) -> None:
        del content["datasets"]["wanted"], content["datasets"]["unwanted"]

    made.write(remove)
    served = serve()
    assert served.retired == Names(datasets=("wanted",) if kept else ())
    assert list(served.study.datasets) == ["a"]
    started_as(WORKER)
    assert set(serve().retired.datasets) >= set(served.retired.datasets)
    keys = build_definitions(served.study, served.retired).resolve_job_def("grid").partitions_def.get_partition_keys()
    assert keys == (["a|tiny", "wanted|tiny"] if kept else ["a|tiny"])


@pytest.mark.parametrize(("status", "kept"), [("STARTING", True), ("STARTED", True), ("SUCCESS", False)])
def test_a_removed_name_stays_while_a_run_wants_it(
    platform: Callable[..., Platform], started_as: Callable[[list[str]], None], status: str, kept: bool
) -> None:
    """Such as one that `onoff fill` queued: its worker would else fail inside Dagster, with another message."""
    made = platform(datasets={name: {"source": "arithmetic"} for name in ("a", "wanted", "unwanted")})
    started_as(SERVER)
    serve()
    with dg.DagsterInstance.get() as instance:
        made.instance = instance
        a_run(made, ("samples",), "wanted|tiny", status=dg.DagsterRunStatus[status])

    def remove(content: dict[str, Any]) -> None:
        del content["datasets"]["wanted"], content["datasets"]["unwanted"]

    made.write(remove)
    for _ in range(2):  # also where the server is started once more
        assert serve().retired == Names(datasets=("wanted",) if kept else ())


def test_a_run_of_a_removed_name_fails_alone_and_says_so(platform: Callable[..., Platform]) -> None:
    made = platform()
    made.defs = build_definitions(made.study, Names(models=("gone",)))
    result = made.materialize("arithmetic|gone", "samples", raises=False)
    [event] = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "onoff.yaml has no model 'gone'" in event.event_specific_data.user_failure_data.description
    assert dg.evaluate_automation_conditions(made.defs, made.instance).total_requested == 0
    assert made.requested() == ["arithmetic|tiny"]


def test_the_check_is_recorded_when_it_changes(platform: Callable[..., Platform]) -> None:
    made = platform()
    key = dg.AssetCheckKey(dg.AssetKey("settings"), "settings_file_can_be_read")
    for fault in (None, "f: broken", "f: broken", "f: otherwise", None, None):
        report(made.instance, fault)
    history = made.instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    assert [one.evaluation.description for one in history if one.evaluation] == [
        "it can be read", "f: otherwise", "f: broken",
    ]  # fmt: skip


def test_a_tick_says_that_the_file_is_broken(platform: Callable[..., Platform]) -> None:
    """The schedule goes on with the last good study, and says so."""
    made = platform()
    made.materialize("arithmetic|tiny")
    sensor = made.defs.get_repository_def().get_sensor_def("fill_gaps")
    context = dg.build_sensor_context(instance=made.instance, repository_def=made.defs.get_repository_def())
    (made.folder / "onoff.yaml").write_text("datasets: {}")
    ticked = sensor.evaluate_tick(context)
    assert f"{made.folder}/onoff.yaml: models: is missing" in str(ticked.skip_message)
    assert "1 complete" in str(ticked.skip_message)
