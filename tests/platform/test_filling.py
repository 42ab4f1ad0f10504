"""`onoff fill`: what it queues, what it leaves, and what it says where it cannot."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from onoff_assets.filling import alone
from onoff_core.cli.main import main
from onoff_core.grid.problem_versions import inputs_version
from tests.platform.conftest import Platform
from tests.platform.test_following import a_run

pytestmark = pytest.mark.dagster_cli
DATASETS = {name: {"source": "arithmetic", "num_examples": 2} for name in ("a", "b", "c", "d", "e")}


def queued(instance: dg.DagsterInstance) -> list[str]:
    runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    return sorted(run.tags["dagster/partition"] for run in runs)


def test_it_queues_what_is_due_and_nobody_is_at(
    platform: Callable[..., Platform], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """a is made, b is running, c failed too often and d was canceled: a person asks, so these two are asked again."""
    shown: dict[str, Any] = {}
    made = platform(datasets=DATASETS)
    with dg.DagsterInstance.get() as instance:
        made.instance = instance
        made.materialize("a|tiny")
        a_run(made, ("samples",), "b|tiny", status=dg.DagsterRunStatus.STARTED)
        inputs = {"onoff/inputs": inputs_version(made.study.partitions["c|tiny"]), "dagster/will_retry": "false"}
        for _ in range(3):
            a_run(made, ("samples",), "c|tiny", status=dg.DagsterRunStatus.FAILURE, tags=inputs)
        a_run(made, ("samples",), "d|tiny", status=dg.DagsterRunStatus.CANCELED)
        for arguments in (["--dry-run"], ["--dataset", "e"], [], []):
            assert main(["fill", *arguments]) == 0
            shown[" ".join(arguments)] = (capsys.readouterr().out, queued(instance))
        [run] = [run for run in instance.get_runs() if run.tags.get("dagster/partition") == "e|tiny"]
    assert shown["--dry-run"][1] == []
    assert "c|tiny: would be queued for samples, rewards, statistics, token_distributions" in shown["--dry-run"][0]
    assert shown["--dataset e"][1] == ["e|tiny"]
    assert "next: make ui" in shown["--dataset e"][0]
    last, waiting = shown[""]
    assert waiting == ["c|tiny", "d|tiny", "e|tiny"], "the last call queues nothing a second time"
    assert "b|tiny: in progress" in last
    assert "0 of 5 partitions queued" in last
    assert (run.job_name, run.tags["dagster/partition/model"]) == ("grid", "tiny")
    assert run.tags["onoff/inputs"] == inputs_version(made.study.partitions["e|tiny"])
    assert "dagster/backfill" not in run.tags, "a run of a backfill that is over is never retried"


@pytest.mark.parametrize(
    ("home", "says"),
    [
        (None, "DAGSTER_HOME is not set, so Dagster's records cannot be found; run: mkdir -p .dagster_home && export"),
        ("nowhere", "which is not the absolute path of a folder; `make ui` makes one"),
    ],
)
def test_it_says_what_to_do_without_a_home(
    platform: Callable[..., Platform], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    home: str | None, says: str,
) -> None:  # fmt: skip
    platform()
    if home is not None:
        monkeypatch.setenv("DAGSTER_HOME", home)
    assert main(["fill"]) == 1
    assert says in capsys.readouterr().err


def test_it_says_where_nothing_would_be_retried(
    platform: Callable[..., Platform], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An instance that was made by hand, without the shipped dagster.yaml."""
    platform(datasets={"a": DATASETS["a"]})
    (home / "dagster.yaml").unlink()
    assert main(["fill"]) == 0
    assert "does not retry a run whose worker dies; copy the project's dagster.yaml" in capsys.readouterr().out


def test_it_knows_no_other_names_than_the_study(
    platform: Callable[..., Platform], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform()
    assert main(["fill", "--model", "tinny"]) == 1
    assert "has no model 'tinny'; did you mean 'tiny'?" in capsys.readouterr().err


def test_two_at_once_ask_once(
    platform: Callable[..., Platform], home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits until the first has queued its runs, and then finds them in progress."""
    from onoff_assets import filling

    platform(datasets={name: DATASETS[name] for name in ("a", "b")})
    find, waits, statuses = filling.find_gaps, threading.Event(), []
    monkeypatch.setattr(filling, "find_gaps", lambda *given: (waits.wait(60), find(*given))[1])
    both = [threading.Thread(target=lambda: statuses.append(main(["fill"]))) for _ in range(2)]
    for one in both:
        one.start()
    waits.set()
    for one in both:
        one.join()
    assert statuses == [0, 0]
    with dg.DagsterInstance.get() as instance:
        assert queued(instance) == ["a|tiny", "b|tiny"]
        with alone(home, print):
            said: list[str] = []
            waiting = threading.Thread(target=lambda: alone(home, said.append).__enter__(), daemon=True)
            waiting.start()
            deadline = time.monotonic() + 60
            while not said and time.monotonic() < deadline:
                time.sleep(0.05)
            assert said == ["another onoff fill is at work on this instance; waiting for it"]
