"""A night that goes wrong, in a running `dagster dev`: a killed worker, a broken file, a model removed, a run canceled.

One `dagster dev` serves the module; the tests build on each other and run in this order.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.platform.running import DagsterDev
from tests.platform.test_dagster_dev import fragments, runs_of

pytestmark = [pytest.mark.dagster_cli, pytest.mark.timeout(1800)]

QUICK, SLOW = "quick|tiny", "slow|tiny"
EXTRA = ("quick|extra", "slow|extra")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterDev]:
    # Responses take their time, so that a run is in the middle of its work when it is killed, on any machine.
    script = {"seconds_per_response": 0.1}
    model = {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}
    running = DagsterDev(
        tmp_path_factory.mktemp("night"),
        None,
        datasets={
            "quick": {"source": "arithmetic", "num_examples": 3},
            "slow": {
                "source": "arithmetic",
                "num_examples": 12,
                "sampling": {"num_samples": 8, "max_length": 24, "batch_size": 16},
            },
        },
        models={"tiny": model},
    )
    running.start()
    yield running
    running.stop()


def onoff(dev: DagsterDev, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "onoff_core.cli.main", *arguments]
    done = subprocess.run(command, cwd=dev.folder, env=dev.environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def kill_worker(dev: DagsterDev, run_id: str) -> None:
    worker = dev.worker_pid(run_id)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    dev.wait_for(lambda: dev.run_status(run_id) == "FAILURE", 60, "the killed run to be marked failed")


def statuses(dev: DagsterDev, key: str, since: int = 0) -> list[str]:
    return [run["status"] for run in dev.runs()[since:] if run["key"] == key]


def test_what_is_filled_is_retried(dev: DagsterDev) -> None:
    """`onoff fill` queues both partitions; the one whose worker is killed is tried again and goes on."""
    assert "2 of 2 partitions queued" in onoff(dev, "fill")
    dev.wait_for(lambda: fragments(dev, "samples", SLOW) >= 2, 240, "the slow partition's first fragments")
    [slow] = runs_of(dev, SLOW)
    kill_worker(dev, slow["runId"])
    dev.wait_for(lambda: len(runs_of(dev, SLOW)) == 2, 60, "the killed run to be retried")
    assert "0 of 1 partitions queued" in onoff(dev, "fill", "--dataset", "slow"), "its retry is at it"
    dev.wait_for(dev.all_done, 300, "all runs to end")
    assert statuses(dev, QUICK) == ["SUCCESS"]
    assert statuses(dev, SLOW) == ["FAILURE", "SUCCESS"]
    assert "resuming: " in dev.messages(runs_of(dev, SLOW)[-1]["runId"])


def asset_backfill(dev: DagsterDev, keys: list[str]) -> str:
    return dev.backfill(keys, ["samples", "rewards", "statistics", "token_distributions"])


def backfill_status(dev: DagsterDev, backfill_id: str) -> str:
    return str(
        dev.query(
            """query($b: String!) { partitionBackfillOrError(backfillId: $b) {
                 ... on PartitionBackfill { status } ... on PythonError { message } } }""",
            b=backfill_id,
        )["partitionBackfillOrError"]["status"]
    )


def break_file(dev: DagsterDev) -> str:
    """A typo in a key; what the file was."""
    path = dev.folder / "onoff.yaml"
    whole = path.read_text()
    path.write_text(whole.replace("num_examples", "num_exampels", 1))
    return whole


def test_a_broken_file_does_not_stop_the_night(dev: DagsterDev) -> None:
    """A typo and a reload in the middle of an asset backfill: the last good study goes on being served, running and
    queued runs end well, partitions that are there read as they did, and a red check and tick name file and key.
    """
    dev.change(lambda content: content["sampling"].update(seed=8))
    dev.reload()
    known, before = len(dev.runs()), fragments(dev, "samples", SLOW)
    backfill = asset_backfill(dev, [SLOW, QUICK])
    dev.wait_for(lambda: fragments(dev, "samples", SLOW) > before, 240, "the slow partition's first fragment")
    whole = break_file(dev)
    dev.reload()
    dev.wait_for(lambda: statuses(dev, SLOW, known) == statuses(dev, QUICK, known) == ["SUCCESS"], 600, "both runs")
    dev.wait_for(lambda: backfill_status(dev, backfill) == "COMPLETED_SUCCESS", 60, "the backfill to end")
    assert dev.stale([QUICK, SLOW], ["samples"]) == {"samples": ["FRESH", "FRESH"]}
    says = "datasets.quick.num_exampels: unknown key; did you mean 'num_examples'?"
    dev.wait_for(lambda: says in failed_ticks(dev, "watch_settings"), 90, "a red tick that says what is wrong")
    assert f"{dev.folder}/onoff.yaml: {says}" in failed_check(dev)
    (dev.folder / "onoff.yaml").write_text(whole)
    dev.reload()
    dev.wait_for(lambda: failed_check(dev) == "", 90, "the check to pass again")


def failed_ticks(dev: DagsterDev, sensor: str) -> str:
    """What the last tick says, if it failed."""
    [tick] = dev.query(
        """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor {
             sensorState { ticks(limit: 1) { status error { message causes { message } } } } } } }""",
        s={**dev._partition_set()["repositorySelector"], "sensorName": sensor},
    )["sensorOrError"]["sensorState"]["ticks"] or [{"status": "NONE"}]
    return str(tick["error"]) if tick["status"] == "FAILURE" else ""


def failed_check(dev: DagsterDev) -> str:
    """What the check of the settings file says, if it does not hold."""
    [check] = dev.query(
        """{ assetChecksOrError: assetNodes(assetKeys: [{path: ["settings"]}]) { assetChecksOrError {
             ... on AssetChecks { checks { name executionForLatestMaterialization {
               evaluation { success description } } } } } } }"""
    )["assetChecksOrError"][0]["assetChecksOrError"]["checks"]
    evaluation = (check["executionForLatestMaterialization"] or {}).get("evaluation")
    return "" if evaluation is None or evaluation["success"] else str(evaluation["description"])


def test_a_removed_model_does_not_touch_the_others(dev: DagsterDev) -> None:
    """A model is added, its column filled by an asset backfill together with another one's, and removed while a run of
    the other is at work: that run is not canceled, and the backfill does what is left of it.
    """

    def add(content: dict[str, Any]) -> None:
        content["sampling"].update(seed=9)
        content["models"]["extra"] = dict(content["models"]["tiny"])

    dev.change(add)
    dev.reload()
    known, before = len(dev.runs()), fragments(dev, "samples", SLOW)
    backfill = asset_backfill(dev, [SLOW, QUICK, *EXTRA])
    dev.wait_for(lambda: fragments(dev, "samples", SLOW) > before, 300, "the slow partition's first fragment")
    dev.change(lambda content: content["models"].pop("extra"))
    dev.reload()
    dev.wait_for(lambda: statuses(dev, SLOW, known) == statuses(dev, QUICK, known) == ["SUCCESS"], 600, "what stays")
    dev.wait_for(dev.all_done, 120, "all runs to end")
    dev.wait_for(lambda: backfill_status(dev, backfill).startswith("COMPLETED"), 60, "the backfill to end")
    gone = [run for run in dev.runs()[known:] if run["key"] in EXTRA and run["status"] != "SUCCESS"]
    assert all("has no model 'extra'" in dev.messages(run["runId"]) for run in gone)
    dev.reload()
    assert sorted(partition_keys(dev)) == [QUICK, SLOW], "once nobody asks for it, the removed column is gone"


def partition_keys(dev: DagsterDev) -> list[str]:
    return list(
        dev.query("""{ assetNodes(assetKeys: [{path: ["samples"]}]) { partitionKeys } }""")["assetNodes"][0][
            "partitionKeys"
        ]
    )


def test_what_is_canceled_by_hand_stays_so(dev: DagsterDev) -> None:
    """With the sensor on that fills gaps; `onoff status` says it, and whoever asks gets it."""
    dev.change(lambda content: content["sampling"].update(seed=10))
    dev.reload()
    known, before = len(dev.runs()), fragments(dev, "samples", SLOW)
    dev.turn_on("fill_gaps")
    dev.wait_for(lambda: fragments(dev, "samples", SLOW) > before, 300, "the sensor's run of the slow partition")
    [slow] = [run for run in dev.runs()[known:] if run["key"] == SLOW]
    dev.terminate(slow["runId"])
    dev.wait_for(lambda: dev.run_status(slow["runId"]) == "CANCELED", 90, "the run to be canceled")
    ticks = dev.log().count("Checking for new runs for sensor: fill_gaps")
    dev.wait_for(
        lambda: dev.log().count("Checking for new runs for sensor: fill_gaps") >= ticks + 2, 200, "two more ticks"
    )
    dev.wait_for(dev.all_done, 200, "all runs to end")
    assert statuses(dev, SLOW, known) == ["CANCELED"]
    assert statuses(dev, QUICK, known) == ["SUCCESS"]
    assert f"{SLOW}: canceled, and left until an input changes or someone asks: onoff fill" in onoff(dev, "status")
    assert "1 of 1 partitions queued" in onoff(dev, "fill", "--dataset", "slow")
    dev.wait_for(lambda: statuses(dev, SLOW, known) == ["CANCELED", "SUCCESS"], 300, "what was asked for")
