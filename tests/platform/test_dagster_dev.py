"""What a person does every night, in a running `dagster dev`: a backfill, a killed worker, a power cut, a new model.

One `dagster dev` serves the module; the tests build on each other and run in this order.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.platform.conftest import CHAIN
from tests.platform.running import DagsterDev

pytestmark = [pytest.mark.dagster_cli, pytest.mark.timeout(900)]

QUICK, SLOW, BROKEN = "quick|tiny", "slow|tiny", "quick|broken"


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[DagsterDev]:
    folder = tmp_path_factory.mktemp("dev")
    broken = folder / "broken"
    broken.mkdir()
    shutil.copy(tiny_folder / "config.json", broken)  # a configuration without weights or tokenizer
    cpu = {"backend_specific": {"device": "cpu"}}
    running = DagsterDev(
        folder,
        tiny_folder,
        datasets={
            "quick": {"source": "arithmetic", "num_examples": 3},
            "slow": {
                "source": "arithmetic",
                "num_examples": 96,
                "sampling": {"num_samples": 8, "max_length": 80, "batch_size": 16},
            },
        },
        models={"tiny": {"model_name": str(tiny_folder), **cpu}, "broken": {"model_name": str(broken), **cpu}},
    )
    running.start()
    yield running
    running.stop()


def runs_of(dev: DagsterDev, key: str) -> list[dict[str, Any]]:
    return [run for run in dev.runs() if run["key"] == key]


def fragments(dev: DagsterDev, asset: str, key: str) -> int:
    dataset, model = key.split("|")
    return len(list((dev.folder / "store" / asset / dataset / model).glob("*/*.parquet")))


def overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return bool(first["startTime"] < second["endTime"] and second["startTime"] < first["endTime"])


def test_backfill_with_a_killed_worker_and_a_broken_model(dev: DagsterDev) -> None:
    """One run a partition, one at a time on the GPU; the broken model fails alone; the killed run is retried and
    resumes; grading runs beside sampling.
    """
    dev.backfill([QUICK, BROKEN, SLOW])
    dev.wait_for(lambda: fragments(dev, "samples", SLOW) >= 2, 240, "the slow partition's first fragments")
    [slow] = runs_of(dev, SLOW)
    worker = dev.worker_pid(slow["runId"])
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    dev.wait_for(lambda: dev.run_status(slow["runId"]) == "FAILURE", 60, "the killed run to be marked failed")
    dev.wait_for(lambda: len(runs_of(dev, SLOW)) == 2, 60, "the killed run to be retried")
    assert not (dev.folder / "store" / "samples" / "slow" / "tiny" / "current.json").exists()
    dev.wait_for(lambda: runs_of(dev, SLOW)[-1]["status"] == "STARTED", 120, "the retry to start")
    regrade = dev.launch(QUICK, ["rewards", "statistics"])
    dev.wait_for(dev.all_done, 300, "all runs to end")

    [quick], [broken], [killed, retry] = (runs_of(dev, key)[:n] for key, n in ((QUICK, 1), (BROKEN, 1), (SLOW, 2)))
    assert [run["status"] for run in (quick, broken, killed, retry)] == ["SUCCESS", "FAILURE", "FAILURE", "SUCCESS"]
    assert "resuming: " in dev.messages(retry["runId"])
    assert "samples of quick|broken: models.broken" in dev.messages(broken["runId"])
    assert len(runs_of(dev, BROKEN)) == 1, "a lasting error is not retried"
    on_gpu = [quick, broken, killed, retry]
    spans = [(run["startTime"], run["endTime"]) for run in on_gpu]
    assert not any(overlap(a, b) for i, a in enumerate(on_gpu) for b in on_gpu[i + 1 :]), spans
    [graded] = [run for run in dev.runs() if run["runId"] == regrade]
    assert graded["status"] == "SUCCESS"
    assert overlap(graded, retry), "grading waited for the GPU"
    progress = dev.messages(retry["runId"])
    assert "sampling " in progress


def test_power_cut_in_a_backfill(dev: DagsterDev) -> None:
    """Webserver, daemon, code server and worker killed at once in mid-sampling; started again, the night goes on."""
    dev.change(lambda content: content["sampling"].update(seed=8))
    known, before = len(runs_of(dev, SLOW)), fragments(dev, "samples", SLOW)
    dev.backfill([SLOW, QUICK])
    [slow] = dev.wait_for(lambda: runs_of(dev, SLOW)[known:], 60, "the run")
    dev.wait_for(lambda: fragments(dev, "samples", SLOW) > before, 200, "its first fragment")
    dev.kill_session()
    dev.start()
    dev.wait_for(lambda: dev.run_status(slow["runId"]) == "FAILURE", 90, "the orphan to be reported")
    dev.wait_for(lambda: len(runs_of(dev, SLOW)) == known + 2 and dev.all_done(), 300, "the rest of the backfill")
    [*_, retry] = runs_of(dev, SLOW)
    assert retry["status"] == "SUCCESS"
    assert "resuming: " in dev.messages(retry["runId"])
    assert dev.stale([SLOW, QUICK], list(CHAIN)) == {key: ["FRESH", "FRESH"] for key in CHAIN}


def test_daemon_killed_in_a_backfill(dev: DagsterDev) -> None:
    """Without its daemon `dagster dev` ends; started again, the backfill is finished, each partition made once."""
    dev.change(lambda content: content["sampling"].update(seed=9))
    known = len(dev.runs())
    dev.backfill([QUICK, SLOW])
    os.kill(dev.daemon_pid(), signal.SIGKILL)
    assert dev.process is not None
    dev.process.wait(90)
    dev.kill_session()
    dev.start()
    dev.wait_for(
        lambda: {QUICK, SLOW} <= {run["key"] for run in dev.runs()[known:]} and dev.all_done(), 300, "the backfill"
    )
    made = [run["key"] for run in dev.runs()[known:] if run["status"] == "SUCCESS" and run["key"] is not None]
    assert sorted(made) == [QUICK, SLOW]


def test_a_new_model_is_filled_by_the_sensor(dev: DagsterDev) -> None:
    """A model added to onoff.yaml appears as a missing column after a reload, and the next tick fills just that."""

    def add(content: dict[str, Any]) -> None:
        content["models"]["second"] = dict(content["models"]["tiny"])
        content["models"].pop("broken")
        content["datasets"].pop("slow")

    dev.change(add)
    dev.reload()
    assert dev.stale([QUICK, "quick|second"], ["samples"]) == {"samples": ["FRESH", "MISSING"]}
    known = len(dev.runs())
    dev.turn_on("fill_gaps")
    dev.wait_for(
        lambda: dev.stale(["quick|second"], list(CHAIN)) == {key: ["FRESH"] for key in CHAIN}, 200, "the column"
    )
    dev.wait_for(dev.all_done, 60, "all runs to end")
    assert {run["key"] for run in dev.runs()[known:]} <= {"quick|second", None}  # None: the leaderboard


def test_the_leaderboard_follows(dev: DagsterDev) -> None:
    """The automation condition made the leaderboard without anyone asking."""

    def leaderboard() -> bool:
        nodes = dev.query("""{ assetNodes(assetKeys: [{path: ["leaderboard"]}]) { assetMaterializations(limit: 1)
            { metadataEntries { label ... on MarkdownMetadataEntry { mdStr } } } } }""")["assetNodes"]
        return any("second" in entry.get("mdStr", "") for made in nodes[0]["assetMaterializations"]
                   for entry in made["metadataEntries"])  # fmt: skip

    dev.wait_for(leaderboard, 90, "the leaderboard to show the new model")


def test_the_command_line_backfills(dev: DagsterDev) -> None:
    """`dagster job backfill`, as documented."""
    known = len(dev.runs())
    dev.run("job", "backfill", "-m", "onoff_assets.definitions", "-j", "grid", "--partitions", QUICK, "--noprompt")
    dev.wait_for(lambda: len(dev.runs()) > known and dev.all_done(), 120, "the run")
    assert [run["status"] for run in dev.runs()[known:] if run["key"] == QUICK] == ["SUCCESS"]
