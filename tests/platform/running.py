"""A real `dagster dev`, webserver and daemon, over a study of its own, spoken to over HTTP as the UI does."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.ports import free_port
from tests.conftest import ROOT, write_study

IN_PROGRESS = {"NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING"}


class DagsterDev:
    """One `dagster dev` at a time in a folder with `onoff.yaml` and an instance."""

    def __init__(
        self, folder: Path, model_folder: Path | None, instance: dict[str, Any] | None = None, **study: Any
    ) -> None:
        self.folder, self.home, self.port = folder, folder / "dagster_home", free_port()
        self.home.mkdir(parents=True)
        shipped = yaml.safe_load((ROOT / "dagster.yaml").read_text())
        # The shipped instance with shorter waits: a test does not spend its time waiting for a daemon to look again.
        # A run that was starting when all was killed is given up after a minute, not after the shipped ten.
        shipped["run_monitoring"].update(poll_interval_seconds=2, start_timeout_seconds=60)
        shipped["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
        (self.home / "dagster.yaml").write_text(yaml.safe_dump({**shipped, **(instance or {})}))
        write_study(folder, model_folder, **study)
        self.process: subprocess.Popen[bytes] | None = None
        self.run("instance", "concurrency", "set", "gpu", "1")  # as the Makefile does for a new instance

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).parent / "dagster"), *arguments]

    def run(self, *arguments: str) -> str:
        """A command of Dagster's own; its output."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self) -> None:
        with (self.folder / "dagster.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("dev", "-m", "onoff_assets.definitions", "--host", "127.0.0.1", "--port", str(self.port)),
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for(self._is_up, 150, "dagster dev to come up")

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-4000:]
        try:
            return bool(self.query("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"))
        except OSError:
            return False

    def stop(self) -> None:
        """As Ctrl-C does; then whatever of its session is left."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.kill_session()

    def kill_session(self) -> None:
        """`kill -9` of everything that this `dagster dev` started, itself included, as a power cut would."""
        assert self.process is not None
        for pid in self._session():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def _session(self) -> dict[int, str]:
        """The processes of this `dagster dev`'s own session, with their command lines."""
        assert self.process is not None
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    session = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[3])
                    if session == self.process.pid:
                        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                        found[int(entry.name)] = command.decode(errors="replace")
        return found

    def log(self) -> str:
        return (self.folder / "dagster.log").read_text(errors="replace")

    def daemon_pid(self) -> int:
        """The daemon among this `dagster dev`'s own children."""
        found = [pid for pid, command in self._session().items() if re.search(r"dagster[._]+daemon.* run", command)]
        assert found, f"no daemon among {self._session()}"
        return min(found)

    def query(self, text: str, **variables: Any) -> Any:
        body = json.dumps({"query": text, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def wait_for(self, happened: Callable[[], Any], seconds: float, what: str) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = happened()
            if found:
                return found
            time.sleep(0.3)
        runs = "\n".join(f"{run['key']} {run['status']} {run['tags']}" for run in self.runs()) if self._is_up() else ""
        raise AssertionError(f"waited {seconds} s for {what}\n{runs}\n{self.log()[-3000:]}")

    # What a person does in the UI.

    def backfill(self, keys: list[str], assets: list[str] | None = None) -> str:
        """Launch a backfill of the job over these partitions, or of some assets; its id."""
        what: dict[str, Any] = {"selector": self._partition_set()}
        if assets is not None:
            what = {"assetSelection": [{"path": [asset]} for asset in assets]}
        data = self.query(
            """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            p={**what, "partitionNames": keys},
        )["launchPartitionBackfill"]
        assert data["__typename"] == "LaunchBackfillSuccess", data
        return str(data["backfillId"])

    def _partition_set(self) -> dict[str, Any]:
        return {
            "partitionSetName": "grid_partition_set",
            "repositorySelector": {
                "repositoryName": "__repository__",
                "repositoryLocationName": "onoff_assets.definitions",
            },
        }

    def launch(self, key: str, assets: list[str], job: str = "grid") -> str:
        """Materialize assets of one partition; the run's id. The page of an asset names the job `__ASSET_JOB`."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "onoff_assets.definitions",
            "jobName": job,
            "assetSelection": [{"path": [asset]} for asset in assets],
            "assetCheckSelection": [],
        }
        dataset, model = key.split("|")
        tags = {"dagster/partition": key, "dagster/partition/dataset": dataset, "dagster/partition/model": model}
        data = self.query(
            """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            p={
                "selector": selector,
                "executionMetadata": {"tags": [{"key": name, "value": value} for name, value in tags.items()]},
            },
        )["launchRun"]
        assert data["__typename"] == "LaunchRunSuccess", data
        return str(data["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """Cancel a run, as its button does."""
        data = self.query(
            """mutation($r: String!) { terminateRun(runId: $r) { __typename
                 ... on TerminateRunFailure { message } } }""",
            r=run_id,
        )["terminateRun"]
        assert data["__typename"] == "TerminateRunSuccess", data

    def reload(self) -> None:
        """Reload the code location, as its button does."""
        self.query(
            """mutation { reloadRepositoryLocation(repositoryLocationName: "onoff_assets.definitions")
                 { __typename } }"""
        )

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit `onoff.yaml`."""
        path = self.folder / "onoff.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    # What a person sees in the UI.

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first: id, status, partition, start and end, tags."""
        found = self.query(
            """{ runsOrError { ... on Runs { results {
                 runId status creationTime startTime endTime tags { key value } } } } }"""
        )["runsOrError"]["results"]
        for run in found:
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
            run["key"] = run["tags"].get("dagster/partition")
        return sorted(found, key=lambda run: run["creationTime"])

    def run_status(self, run_id: str) -> str:
        return next(str(run["status"]) for run in self.runs() if run["runId"] == run_id)

    def all_done(self) -> bool:
        """Whether nothing is queued or running, or failed and about to be tried again."""
        return not any(run["status"] in IN_PROGRESS or _will_be_retried(run["tags"]) for run in self.runs())

    def messages(self, run_id: str) -> str:
        """All that a run logged, errors with their causes."""
        data = self.query(
            """query($r: ID!) { logsForRun(runId: $r) { ... on EventConnection { events {
                 __typename ... on MessageEvent { message }
                 ... on ExecutionStepFailureEvent { error { message causes { message } }
                                                    failureMetadata { description } } } } } }""",
            r=run_id,
        )["logsForRun"]["events"]
        return json.dumps(data, ensure_ascii=False)

    def worker_pid(self, run_id: str) -> int | None:
        found = re.search(r"[Pp]rocess(?: for run)? \(pid: (\d+)\)", self.messages(run_id))
        return int(found[1]) if found else None

    def stale(self, keys: list[str], assets: list[str]) -> dict[str, list[str]]:
        """asset -> what the UI says of each key."""
        nodes = self.query(
            """query($keys: [AssetKeyInput!]!, $partitions: [String!]!) { assetNodes(assetKeys: $keys) {
                 assetKey { path } staleStatusByPartition(partitions: $partitions) } }""",
            keys=[{"path": [asset]} for asset in assets],
            partitions=keys,
        )["assetNodes"]
        return {node["assetKey"]["path"][0]: node["staleStatusByPartition"] for node in nodes}

    def turn_on(self, sensor: str) -> None:
        self._sensor("startSensor", sensor)

    def _sensor(self, mutation: str, name: str) -> None:
        data = self.query(
            f"""mutation($s: SensorSelector!) {{ {mutation}(sensorSelector: $s) {{ __typename
                 ... on PythonError {{ message }} }} }}""",
            s={**self._partition_set()["repositorySelector"], "sensorName": name},
        )[mutation]
        assert data["__typename"] == "Sensor", data


def _will_be_retried(tags: dict[str, str]) -> bool:
    return tags.get("dagster/will_retry") == "true" and "dagster/auto_retry_run_id" not in tags
