"""A real `dagster dev` with twenty queued runs: killed in the middle, started again, and two of them on one home."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from benchmarks.ports import free_port
from tests.attacks.acting import Actor
from tests.attacks.conftest import SCRIPT, Attack
from tests.platform.running import DagsterDev
from tests.platform.test_dagster_dev import fragments
from tests.platform.test_night import onoff

DATASETS = {f"d{number:02}": {"source": "arithmetic", "num_examples": 8} for number in range(20)}
ASSETS = ("samples", "rewards", "statistics", "token_distributions")


def a_dev(folder: Path, seconds_per_response: float) -> DagsterDev:
    script = {**SCRIPT, "seconds_per_response": seconds_per_response}
    model = {"model_name": "fake", "backend_type": "fake", "backend_specific": {"script": script}}
    sampling = {"max_length": 12, "num_samples": 8, "batch_size": 16, "seed": 7}
    return DagsterDev(folder, None, datasets=DATASETS, models={"tiny": model}, sampling=sampling)


def succeeded(dev: DagsterDev) -> list[str]:
    return sorted(run["key"] for run in dev.runs() if run["status"] == "SUCCESS" and run["key"] is not None)


def as_it_should_be(dev: DagsterDev) -> str | None:
    """Whether each partition is there once; None: it is."""
    keys = [f"{name}|tiny" for name in DATASETS]
    made = {asset: [fragments(dev, asset, key) for key in keys] for asset in ASSETS}
    if made != {asset: [1 if asset in ("statistics",) else 2] * len(keys) for asset in ASSETS}:
        return f"fragments {made}"
    if sorted(set(succeeded(dev))) != keys:
        return f"runs that succeeded: {succeeded(dev)}"
    for key in keys:  # two daemons may take each other's runs for dead, and retry them: those find all complete
        runs = [run for run in dev.runs() if run["key"] == key and run["status"] == "SUCCESS"]
        if any("nothing to do" not in dev.messages(run["runId"]) for run in runs[1:]):
            return f"{key} was made twice"
    said = onoff(dev, "status")
    if said.count("complete") != 4 * len(keys):
        return said
    onoff(dev, "verify")
    stale = dev.stale(keys, list(ASSETS))
    return None if all(set(states) == {"FRESH"} for states in stale.values()) else str(stale)


def test_twenty_queued_runs_and_a_power_cut(attack: Attack, tmp_path: Path) -> None:
    """All is killed at once in the middle of them; then a second `dagster dev` is started on the same home."""
    dev = a_dev(tmp_path / "dev", 0.01)
    other: subprocess.Popen[bytes] | None = None
    dev.start()
    try:
        assert "20 of 20 partitions queued" in onoff(dev, "fill")
        dev.wait_for(lambda: len(succeeded(dev)) >= 3, 400, "the first runs")
        dev.kill_session()
        dev.start()
        command = [*dev.command("dev", "-m", "onoff_assets.definitions", "--port"), str(free_port())]
        with (tmp_path / "other.log").open("wb") as log:
            other = subprocess.Popen(
                command, cwd=dev.folder, env=dev.environment, stdout=log, stderr=log, start_new_session=True
            )
        dev.wait_for(lambda: dev.all_done() and len(succeeded(dev)) >= 20, 700, "all twenty")
        attack.held("twenty queued runs", as_it_should_be(dev))
        attack.held("nothing new is asked for", None if "0 of 20" in onoff(dev, "fill") else "it asks again")
    finally:
        if other is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(other.pid, signal.SIGKILL)
            other.wait()
        dev.stop()
    attack.check()


def test_a_run_of_dagster_that_gets_a_signal(
    attack: Attack, tmp_path: Path, intact: tuple[Path, dict[str, str]]
) -> None:
    """`dagster asset materialize` in a terminal, ended by Ctrl-C and by `kill`, each in the middle of its work."""
    import time

    from tests.attacks.conftest import mended, new_project

    for number in attack.tries((signal.SIGINT, signal.SIGTERM)):
        folder = new_project(tmp_path / number.name, 0.05)
        (folder / "home").mkdir()
        environment = {**os.environ, "DAGSTER_HOME": str(folder / "home"), "PYTHONWARNINGS": "ignore"}
        command = ["asset", "materialize", "--select", ",".join(ASSETS), "--partition", "arithmetic|tiny"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(Path(os.sys.executable).parent / "dagster"), *command, "-m", "onoff_assets.definitions"],
                cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        while not list((folder / "store").glob("samples/*/*/*/0*.parquet")) and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(number)
        try:
            process.wait(60)
            fault = None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            fault = "it went on for a minute"
        verified = Actor(folder, ["onoff", "status"], ["onoff", "verify"]).end().fault([0])
        attack.held(number.name, fault or verified or mended(folder, intact[1]))
    attack.check()
