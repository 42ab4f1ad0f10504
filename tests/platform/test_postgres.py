"""The same instance on PostgreSQL: a real server of the test's own, and twenty runs queued on it at once."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.ports import free_port
from tests.conftest import ROOT
from tests.platform.running import DagsterDev

pytestmark = [pytest.mark.dagster_cli, pytest.mark.timeout(900)]


def documented_block() -> dict[str, Any]:
    """The block of the shipped dagster.yaml, with its signs taken off as it says."""
    commented = re.search(r"^# storage:\n(?:#  .*\n)+", (ROOT / "dagster.yaml").read_text(), re.MULTILINE)
    assert commented is not None
    block: dict[str, Any] = yaml.safe_load(re.sub(r"^# ", "", commented[0], flags=re.MULTILINE))
    return block


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """A server on loopback, owned by an unprivileged user, gone after the tests."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (.ci/run installs it)")
    binaries, port = found[-1].parent, free_port()
    folder = Path(tempfile.mkdtemp(prefix="onoff-postgres-"))  # pytest's folders are closed to the server's user
    become: dict[str, Any] = {}
    if os.getuid() == 0:  # the server refuses to run as root
        nobody = pwd.getpwnam("nobody")
        become = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    data = folder / "data"
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"

    def call(*command: object) -> None:
        done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, **become)
        assert done.returncode == 0, done.stdout + done.stderr

    call(binaries / "initdb", "-D", data, "-U", "dagster", "-A", "trust", "-E", "UTF8")
    call(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        call(binaries / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "dagster", "dagster")
        yield f"postgresql+psycopg2://dagster@127.0.0.1:{port}/dagster"
    finally:
        call(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_twenty_runs_at_once(
    postgres_url: str, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty runs are queued at once and all of their events are there, with the documented block."""
    monkeypatch.setenv("DAGSTER_PG_URL", postgres_url)
    names = [f"d{number:02}" for number in range(20)]
    dev = DagsterDev(
        tmp_path,
        tiny_folder,
        documented_block(),
        datasets={name: {"source": "arithmetic", "num_examples": 1} for name in names},
        sampling={"max_length": 4, "num_samples": 1, "seed": 1},
    )
    dev.start()
    try:
        # statistics alone need no model, so twenty of them show the queue and the database, not the sampling
        make_rewards(dev, names)
        dev.backfill([f"{name}|tiny" for name in names], ["statistics"])
        dev.wait_for(lambda: len(dev.runs()) >= 20 and dev.all_done(), 400, "twenty runs")
        runs = [run for run in dev.runs() if run["key"]]
        assert sorted(run["key"] for run in runs) == [f"{name}|tiny" for name in names]
        assert {run["status"] for run in runs} == {"SUCCESS"}
        assert all("Materialized value statistics" in dev.messages(run["runId"]) for run in runs)
        assert not list(dev.home.glob("history/**/*.db")), "something still went to SQLite"
    finally:
        dev.stop()


def make_rewards(dev: DagsterDev, names: list[str]) -> None:
    """Samples and rewards of every partition by plain calls: the store does not ask who made them."""
    from onoff_core.grid.materialize import materialize_rewards, materialize_samples
    from onoff_core.store import Store
    from onoff_core.study import load_study

    study = load_study(dev.folder / "onoff.yaml")
    store = Store(study.store_path)
    for name in names:
        materialize_samples(study.partition(f"{name}|tiny"), store)
        materialize_rewards(study.partition(f"{name}|tiny"), store)
